"""Train the 30-day mortality model on SUPPORT2 and write its file, manifest, card, page and plots.

Usage: python -m scripts.training [--seed 1995]
"""

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

from scripts.training import plots, support2
from scripts.training.card import card, thresholds
from scripts.training.gate import admit
from fhir_ai.models.page import page
from scripts.training.support2 import COLUMNS, Column, Patients
from scripts.training.train import Trained, fit, split

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "plugins" / "fhir_ai" / "models" / "support2"
DOCS = ROOT / "docs" / "ai" / "models"
VERSION = "1.0.0"
COHORT = (
    "seriously ill adult inpatients of eight disease groups (acute respiratory failure or multiple organ failure with "
    "sepsis or malignancy, heart failure, COPD, cirrhosis, non-traumatic coma, lung cancer, metastatic colon cancer)"
)


def main() -> None:
    """Read, admit, split, fit, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1995, help="draws the parts and fits the model")
    seed = parser.parse_args().seed
    patients, left_out = support2.read()
    parts = split(len(patients.died), seed)
    measured = admit(patients.features, patients.died, patients.ids, parts)
    trained = fit(patients.matrix(), patients.died, parts["train"], seed)
    threshold, quantile = thresholds(patients, trained, parts["tuning"])
    manifest = manifest_of(trained, threshold, quantile)
    said = card(manifest, patients, trained, parts, seed)
    said["gate"] = {**measured, "left_out": left_out}
    write(MODEL, DOCS, trained, manifest, said)
    draw(DOCS, patients, trained, parts["test"], said)
    area = said["auroc"]
    print(f"AUROC {area['value']:.3f} ({area['low']:.3f} to {area['high']:.3f}), {len(trained.content):,} bytes")


def manifest_of(trained: Trained, threshold: float, quantile: float) -> dict[str, Any]:
    """Say what the server checks before it computes."""
    age = COLUMNS[0]
    return {
        "name": "support2-30d",
        "version": VERSION,
        "title": "30-day mortality of seriously ill inpatients (SUPPORT2)",
        "outcome": "death of any cause within 30 days of study entry",
        "horizon": 30,
        "file": "model.onnx",
        "sha256": hashlib.sha256(trained.content).hexdigest(),
        "intercept": trained.intercept,
        "threshold": threshold,
        "conformal": quantile,
        "minimum_age": age.limits[0],
        "maximum_age": age.limits[1],
        "cohort": COHORT,
        "features": [_feature(each) for each in COLUMNS],
    }


def write(model: Path, docs: Path, trained: Trained, manifest: dict[str, Any], said: dict[str, Any]) -> None:
    """Write the files that the server ships, and the page."""
    model.mkdir(parents=True, exist_ok=True)
    docs.mkdir(parents=True, exist_ok=True)
    (model / "model.onnx").write_bytes(trained.content)
    (model / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    (model / "card.json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
    (docs / "support2.md").write_text(page(said), encoding="utf-8")


def draw(docs: Path, patients: Patients, trained: Trained, test: Any, said: dict[str, Any]) -> None:
    """Draw the plots of the page."""
    published = said["comparison"][0]["auroc"]["value"]
    scores = {
        f"this model, {said['auroc']['value']:.3f}": trained.probability[test],
        f"SUPPORT's 2-month score, {published:.3f}": patients.published["surv2m"][test],
    }
    plots.roc(docs / "support2-roc.png", patients.died[test], scores)
    plots.calibration(docs / "support2-calibration.png", said["calibration"]["tenths"])


def _feature(column: Column) -> dict[str, Any]:
    low, high = column.limits
    return {
        "name": column.name,
        "title": column.title,
        "unit": column.unit,
        "low": low,
        "high": high,
        "required": column.required,
        "levels": column.levels,
        "bands": column.bands,
    }


if __name__ == "__main__":
    main()

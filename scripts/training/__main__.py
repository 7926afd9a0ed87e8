"""Train the shipped models and write their files, manifests, cards, pages and plots; then sign them.

Usage: python -m scripts.training [support2 thyroid] [--seed 1995] [--no-sign]
"""

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

from fhir_ai.models.page import page

from scripts.training import plots, support2, thyroid
from scripts.training.card import card, thresholds, tried
from scripts.training.gate import admit
from scripts.training.sign import sign_all
from scripts.training.study import Study, feature
from scripts.training.train import Trained, fit, split

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "plugins" / "fhir_ai" / "models"
DOCS = ROOT / "docs" / "ai" / "models"
STUDIES = {"support2": support2.study, "thyroid": thyroid.study}


def main() -> None:
    """Read, admit, split, fit, measure, write, sign."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studies", nargs="*", help="which; all, if none are named")
    parser.add_argument("--seed", type=int, default=1995, help="draws the parts and fits the model")
    parser.add_argument("--no-sign", action="store_true", help="leave the signatures as they are")
    flags = parser.parse_args()
    for name in flags.studies or STUDIES:
        said = run(STUDIES[name](), flags.seed, MODELS, DOCS)
        area = said["auroc"]
        print(f"{name}: AUROC {area['value']:.3f} ({area['low']:.3f} to {area['high']:.3f}), {said['bytes']:,} bytes")
    if not flags.no_sign:
        print(f"signed with the key {sign_all()}")


def run(study: Study, seed: int, models: Path, docs: Path) -> dict[str, Any]:
    """Train one study, write its files below the two folders, and return its card."""
    patients = study.patients
    parts = split(len(patients.died), seed)
    measured = admit(patients.features, patients.died, patients.ids, parts)
    trained = fit(study.columns, patients.matrix(study.columns), patients.died, parts["train"], seed, study.pairs)
    manifest = manifest_of(study, trained, thresholds(study, trained, parts["tuning"]))
    said = card(study, manifest, trained, parts, seed)
    said["gate"] = {**measured, "left_out": patients.left_out}
    said["tried"] = tried(study, parts, seed)
    write(models / study.folder, docs, trained, manifest, said)
    draw(docs, study, trained, parts["test"], said)
    return said


def manifest_of(study: Study, trained: Trained, found: tuple[float, float]) -> dict[str, Any]:
    """Say what the server checks before it computes."""
    threshold, quantile = found
    return {
        **study.manifest,
        "file": "model.onnx",
        "sha256": hashlib.sha256(trained.content).hexdigest(),
        "intercept": trained.intercept,
        "threshold": threshold,
        "conformal": quantile,
        "terms": [list(each) for each in trained.terms],
        "features": [feature(each) for each in study.columns],
    }


def write(model: Path, docs: Path, trained: Trained, manifest: dict[str, Any], said: dict[str, Any]) -> None:
    """Write the files that the server ships, and the page."""
    model.mkdir(parents=True, exist_ok=True)
    docs.mkdir(parents=True, exist_ok=True)
    (model / "model.onnx").write_bytes(trained.content)
    (model / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    (model / "card.json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
    (docs / f"{said['folder']}.md").write_text(page(said), encoding="utf-8")


def draw(docs: Path, study: Study, trained: Trained, test: Any, said: dict[str, Any]) -> None:
    """Draw the plots of the page."""
    died = study.patients.died[test]
    scores = {f"this model, {said['auroc']['value']:.3f}": trained.probability[test]}
    for each in said["comparison"][:2]:
        scores[f"{each['name']}, {each['auroc']['value']:.3f}"] = study.patients.others[each["name"]][1][test]
    plots.roc(docs / f"{study.folder}-roc.png", died, scores, said["title"])
    plots.calibration(docs / f"{study.folder}-calibration.png", said["calibration"]["tenths"], said["name"])


if __name__ == "__main__":
    main()

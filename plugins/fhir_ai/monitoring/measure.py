"""Measure: a report as a MeasureReport about the Device of the model; each figure is a group with a measureScore.

Spec: https://hl7.org/fhir/R4/measurereport.html
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

from fhir_ai.monitoring.reference import Shift
from fhir_ai.monitoring.report import Discrimination, Report
from fhir_server.plugin_api import instant

HOME: Final = "http://fhir-server.org"
MEASURE: Final = f"{HOME}/Measure/ai-model-performance"
FIGURES: Final = f"{HOME}/CodeSystem/ai-performance"
UCUM: Final = "http://unitsofmeasure.org"
TITLES: Final = {
    "answers": "Answers of the model, shown or aside",
    "shown": "Answers that people were shown",
    "psi": "Population stability index from the training data",
    "ks": "Kolmogorov-Smirnov distance from the training data",
    "ks-p": "Chance of that distance where nothing shifted",
    "missing": "Share of missing values beyond that of the training data",
    "outside": "Share of values outside the range of the training data",
    "changes": "Changes that ADWIN saw in the stream of probabilities",
    "alerts": "Alerts per 100 answers",
    "unanswered": "Share of calls without a probability",
    "outcomes": "Patients whose outcome is known",
    "events": "Patients with the outcome",
    "auroc": "AUROC",
    "auroc-low": "AUROC, lower end of its 95 % interval",
    "auroc-high": "AUROC, upper end of its 95 % interval",
    "brier": "Brier score",
    "calibration-intercept": "Intercept of the calibration",
    "calibration-slope": "Slope of the calibration",
    "observed": "Share with the outcome",
    "predicted": "Mean probability",
    "sensitivity": "Sensitivity at the threshold",
    "ppv": "Positive predictive value at the threshold",
    "parity": "Largest difference of the share flagged between groups",
    "odds": "Largest difference of sensitivity or false alarms between groups",
    "flagged": "Share flagged, by group",
    "overridden": "Share of clinicians' answers that overrode it",
}
_OF_TITLE: Final = "What a figure is of: an input, a group of patients, a kind of failure"
_OF: Final = {"coding": [{"system": FIGURES, "code": "of", "display": _OF_TITLE}]}


def measure() -> dict[str, Any]:
    """Return the Measure that reports are of."""
    return {
        "resourceType": "Measure",
        "url": MEASURE,
        "version": "1.0.0",
        "name": "AiModelPerformance",
        "title": "Performance of a learned model on the patients of this server",
        "status": "active",
        "subjectCodeableConcept": {"text": "Device (a version of a model)"},
        "description": "Drift of inputs and probabilities, discrimination and calibration once outcomes are known, "
        "gaps between groups, and data quality.",
        "group": [{"code": _code(name), "stratifier": [{"code": _OF}]} for name in TITLES],
    }


def code_system() -> dict[str, Any]:
    """Return the codes of the figures."""
    concepts = [{"code": code, "display": title} for code, title in {**TITLES, "of": _OF_TITLE}.items()]
    return {
        "resourceType": "CodeSystem", "url": FIGURES, "version": "1.0.0", "name": "AiPerformance", "status": "active",
        "caseSensitive": True, "content": "complete", "count": len(concepts), "concept": concepts,
    }  # fmt: skip


def measure_report(report: Report, device: str, now: int) -> dict[str, Any]:
    """Return the MeasureReport of a report."""
    return {
        "resourceType": "MeasureReport",
        "status": "complete",
        "type": "summary",
        "measure": f"{MEASURE}|1.0.0",
        **({"subject": {"reference": device}} if device else {}),
        "date": instant(now),
        "period": {"start": instant(report.since), "end": instant(report.until)},
        "group": list(_groups(report)),
    }


def figures(report: Report) -> Iterator[tuple[str, str, float]]:
    """Yield the figures of a report: name, what it is of (a feature, a group, a kind; mostly empty), value."""
    yield "answers", "", report.n
    yield "shown", "", report.shown
    yield "changes", "", report.changes
    yield "alerts", "", report.alerts
    for shift in (*report.shifts, *([report.probability] if report.probability else [])):
        yield from _of_shift(shift)
    for kind, share in report.unanswered.items():
        yield "unanswered", kind, share
    if report.outcomes is not None:
        yield from _of_outcomes(report.outcomes)
    for gap in report.gaps:
        yield "parity", gap.attribute, gap.parity
        if gap.odds is not None:
            yield "odds", gap.attribute, gap.odds
        for group in gap.groups:
            yield "flagged", f"{gap.attribute} {group.label}", group.flagged
            if group.auroc is not None:
                yield "auroc", f"{gap.attribute} {group.label}", group.auroc
    if report.overridden is not None:
        yield "overridden", "", report.overridden[1]


def _of_shift(shift: Shift) -> Iterator[tuple[str, str, float]]:
    named = (("psi", shift.psi), ("ks", shift.distance), ("ks-p", shift.chance), ("outside", shift.outside))
    for name, value in named:
        if value is not None:
            yield name, shift.name, value
    yield "missing", shift.name, shift.missing


def _of_outcomes(found: Discrimination) -> Iterator[tuple[str, str, float]]:
    area, line = found.auroc, found.line
    named: Sequence[tuple[str, float | None]] = (
        ("outcomes", found.n), ("events", found.events), ("auroc", area[0] if area else None),
        ("auroc-low", area[1] if area else None), ("auroc-high", area[2] if area else None), ("brier", found.brier),
        ("calibration-intercept", line[0] if line else None), ("calibration-slope", line[1] if line else None),
        ("observed", found.observed), ("predicted", found.predicted), ("sensitivity", found.sensitivity),
        ("ppv", found.ppv),
    )  # fmt: skip
    for name, value in named:
        if value is not None:
            yield name, "", value


def _groups(report: Report) -> Iterator[dict[str, Any]]:
    """Yield the groups of the Measure; figures of inputs and the like are strata, what is not known has no score."""
    by_name: dict[str, list[tuple[str, float]]] = {name: [] for name in TITLES}
    for name, of, value in figures(report):
        by_name[name].append((of, value))
    for name, values in by_name.items():
        whole = [value for of, value in values if not of]
        strata = [{"value": {"text": of}, "measureScore": _quantity(value)} for of, value in values if of]
        yield {
            "code": _code(name),
            **({"measureScore": _quantity(whole[0])} if whole else {}),
            "stratifier": [{"code": [_OF], **({"stratum": strata} if strata else {})}],
        }


def _code(name: str) -> dict[str, Any]:
    return {"coding": [{"system": FIGURES, "code": name, "display": TITLES[name]}]}


def _quantity(value: float) -> dict[str, Any]:
    return {"value": Decimal(f"{value:.6g}"), "unit": "1", "system": UCUM, "code": "1"}

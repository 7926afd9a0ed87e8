"""What a ranked differential is in FHIR: a GuidanceResponse, a RiskAssessment, and parts of the answer."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from fhir_ai.findings.judging import Judged
from fhir_ai.findings.table import Criterion, Measure, parts, rules
from fhir_ai.findings.weighing import Candidate, Change, Support, Weighed
from fhir_ai.inputs.tables import ICD10, SNOMED
from fhir_ai.operations.making import HOME, about, author, concept, labelled, references
from fhir_ai.operations.triage_output import requirement
from fhir_ai.scores.red_flags import RedFlag
from fhir_server.plugin_api import PluginContext, Resource, instant

NAME: Final = "diagnose-support"
SUPPORT: Final = f"{HOME}/CodeSystem/diagnose-support"
SUPPORTS: Final[Mapping[Support, str]] = {
    "criteria-met": "Published criteria of the condition are met",
    "supported": "Findings speak for it: a ratio of 5 and more, or criteria that say to look for it",
    "possible": "Findings say little",
    "less-likely": "Findings speak against it: a ratio of a half and less",
}
SAID: Final = (
    "Support for a clinician, not a diagnosis. Ratios are of other patients than this one, multiply as if findings "
    "were independent, and say nothing of how common a condition is here. What is not in the table is not found."
)
_MOST_CHANGES: Final = 10
Part = tuple[str, Any]


def resources(
    ctx: PluginContext, patient: Resource, flags: Sequence[RedFlag], ranking: tuple[list[Candidate], list[Candidate]],
    would: Sequence[Change],
) -> list[dict[str, Any]]:  # fmt: skip
    """Return the guidance and, where there is a candidate, the risk."""
    common = {"subject": about(patient), "occurrenceDateTime": instant(ctx.now()), "performer": author(NAME)}
    considered, shown = ranking
    guidance = _guidance(ctx.new_id(), common, flags, (considered, would))
    return [labelled(guidance), *([labelled(_risk(common, shown, would))] if shown else [])]


def basis(candidates: Iterable[Candidate]) -> list[dict[str, str]]:
    """Return references to what of the record the ranking rests on."""
    judged = [each.asked for each in candidates]
    judged = [*judged, *(row.judged for each in candidates for row in each.rows if row.judged.holds is not None)]
    judged += [found for each in candidates for _, found in each.criteria if found.holds is not None]
    return references(reference for each in judged for reference in each.references)


def answered(shown: Sequence[Candidate], would: Sequence[Change]) -> list[Part]:
    """Return candidates and changes as parts of the answer."""
    ranks = {each.condition.name: number for number, each in enumerate(shown, 1)}
    told = [each for each in would if each.candidate.condition.name in ranks][:_MOST_CHANGES]
    found: list[Part] = [("candidate", _candidate(each, ranks[each.condition.name])) for each in shown]
    return [*found, *(("change", _changed(each, ranks[each.candidate.condition.name])) for each in told)]


def ratio_of(weight: float) -> Decimal:
    """Return a ratio to two digits."""
    return Decimal(f"{10**weight:.2g}")


def _guidance(
    id_: str, common: dict[str, Any], flags: Sequence[RedFlag], found: tuple[list[Candidate], Sequence[Change]]
) -> dict[str, Any]:
    considered, would = found
    status = "success" if considered or flags else "data-required"
    return {
        "resourceType": "GuidanceResponse",
        "requestIdentifier": {"system": f"{HOME}/diagnose-support", "value": id_},
        "moduleUri": f"{HOME}/OperationDefinition/diagnose-support",
        "status": "data-requested" if status == "success" and would else status,
        **common,
        "reasonCode": [{"text": f"red flag: {each.name}"} for each in flags],
        "note": [{"text": text} for text in (SAID, *(f"Red flag: {each.because} ({each.source})" for each in flags))],
        "dataRequirement": [requirement(name) for name in _measured(would)],
    }


def _measured(would: Sequence[Change]) -> list[str]:
    asked = [part for each in would for part in parts(each.row.if_)]
    return list(dict.fromkeys(part.measure for part in asked if isinstance(part, Measure)))[:_MOST_CHANGES]


def _risk(common: dict[str, Any], shown: Sequence[Candidate], would: Sequence[Change]) -> dict[str, Any]:
    version = rules().version
    return {
        "resourceType": "RiskAssessment",
        "status": "preliminary" if would else "final",
        "method": concept(f"Published criteria and likelihood ratios, table {version}", (SUPPORT, "likelihood-ratios")),
        **common,
        "basis": basis(shown),
        "prediction": [_prediction(each) for each in shown],
        "note": [{"text": SAID}],
    }


def _prediction(candidate: Candidate) -> dict[str, Any]:
    speaks = [row for row in candidate.rows if row.counted and row.ratio != 1]
    told = [f"{_called(row)} ({row.ratio:g})" for row in speaks]
    told += [f"{criterion.name}: met" for criterion, judged in candidate.criteria if judged.holds]
    return {
        "outcome": concept(candidate.condition.title, *codes(candidate)),
        "qualitativeRisk": concept(SUPPORTS[candidate.support], (SUPPORT, candidate.support)),
        "rationale": f"Product of likelihood ratios {ratio_of(candidate.weight)}: {'; '.join(told) or 'nothing known'}",
    }


def codes(candidate: Candidate) -> tuple[tuple[str, str], ...]:
    """Return the codes of a condition."""
    return (SNOMED, candidate.condition.snomed), (ICD10[0], candidate.condition.icd10)


def _candidate(candidate: Candidate, rank: int) -> list[Part]:
    condition = candidate.condition
    found: list[Part] = [("name", condition.name), ("title", condition.title)]
    found += [("code", {"system": system, "code": code}) for system, code in codes(candidate)]
    found += [("rank", rank), ("support", candidate.support), ("ratio", ratio_of(candidate.weight))]
    found += [("setting", condition.setting), ("considered-for", candidate.asked.said)]
    found += [("criterion", _criterion(*each)) for each in candidate.criteria]
    speaks = [row for row in candidate.rows if row.ratio != 1]
    found += [("for", _evidence(row)) for row in sorted(speaks, key=lambda row: -row.ratio) if row.ratio > 1]
    return found + [("against", _evidence(row)) for row in sorted(speaks, key=lambda row: row.ratio) if row.ratio < 1]


def _criterion(criterion: Criterion, judged: Judged) -> list[Part]:
    state = {True: "met", False: "not-met", None: "unknown"}[judged.holds]
    found: list[Part] = [("name", criterion.name), ("kind", criterion.kind), ("state", state), ("says", criterion.says)]
    found += [("finding", judged.said)] if judged.said else []
    return [*found, *_references(judged), ("source", rules().sources[criterion.source])]


def _evidence(row: Weighed) -> list[Part]:
    found: list[Part] = [("finding", _called(row)), ("ratio", Decimal(f"{row.ratio:g}")), ("counted", row.counted)]
    return [*found, *_references(row.judged), ("source", rules().sources[row.row.source])]


def _called(row: Weighed) -> str:
    if not row.row.called:
        return row.judged.said
    return f"{row.row.called}: {row.judged.said}" if row.judged.holds else f"{row.row.called}: no ({row.judged.said})"


def _references(judged: Judged) -> list[Part]:
    return [("reference", each) for each in references(judged.references)]


def _changed(change: Change, rank: int) -> list[Part]:
    return [
        ("finding", change.ask), ("candidate", change.candidate.condition.name), ("rank", rank),
        ("support", change.candidate.support), ("rank-if-present", change.there[0]),
        ("support-if-present", change.there[1]), ("rank-if-absent", change.gone[0]),
        ("support-if-absent", change.gone[1]),
    ]  # fmt: skip

"""What a triage is in FHIR: GuidanceResponse, RiskAssessment and Flag."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from fhir_ai.inputs.tables import INPUTS, LOINC, PLACES
from fhir_ai.operations.asked import Asked
from fhir_ai.operations.deciding import Decision
from fhir_ai.operations.making import HOME, SCORE, about, author, concept, labelled, references
from fhir_server.plugin_api import PluginContext, instant

NAME: Final = "triage"
ACUITY: Final = f"{HOME}/CodeSystem/triage-acuity"
ACTIONS: Final = {
    1: "Emergency response now: resuscitation team and continuous monitoring of vital signs",
    2: "Urgent assessment by a clinician able to manage acute illness; monitoring at least hourly",
    3: "Prompt assessment by a clinician; vital signs at least hourly",
    4: "Assessment by a registered nurse; vital signs every 4 to 6 hours",
    5: "Routine assessment; vital signs at least every 12 hours while waiting",
    None: "No acuity yet: measure what is missing now, and have a clinician look at the person meanwhile",
}
"""By the responses that the Royal College of Physicians recommends for NEWS2 bands."""
_RISKS: Final = {1: "high", 2: "high", 3: "moderate", 4: "low", 5: "low"}
SAID: Final = "Derived from NEWS2 bands, red flags and maternal criteria. Support for a clinician, who decides."


def status_of(decision: Decision) -> str:
    """Return the status of the guidance: whether data are needed, would help, or are all there."""
    if decision.acuity is None:
        return "data-required"
    return "success" if decision.complete or not decision.missing else "data-requested"


def resources(ctx: PluginContext, asked: Asked, decision: Decision) -> list[dict[str, Any]]:
    """Return guidance, risk and flag of a decision."""
    common = {"subject": about(asked.patient)}
    if asked.encounter and asked.encounter.get("id"):
        common["encounter"] = {"reference": f"Encounter/{asked.encounter['id']}"}
    at = instant(ctx.now())
    return [
        labelled(each)
        for each in (
            _guidance(ctx, common, at, decision),
            _risk(common, at, decision),
            _flag(common, at, decision),
        )
    ]


def basis(decision: Decision) -> list[dict[str, str]]:
    """Return references to what of the record the decision rests on."""
    return references(each.reference for each in decision.found.values() if each.value is not None)


def _guidance(ctx: PluginContext, common: dict[str, Any], at: str, decision: Decision) -> dict[str, Any]:
    notes = [SAID, *decision.notes, *(f"{rule.name}: {rule.because}" for rule in decision.rules)]
    return {
        "resourceType": "GuidanceResponse",
        "requestIdentifier": {"system": f"{HOME}/triage", "value": ctx.new_id()},
        "moduleUri": f"{HOME}/OperationDefinition/triage",
        "status": status_of(decision),
        **common,
        "occurrenceDateTime": at,
        "performer": author(NAME),
        "reasonCode": [{"text": rule.name} for rule in decision.rules],
        "note": [{"text": note} for note in notes],
        "dataRequirement": [requirement(each.name) for each in decision.missing if each.name != "age"],
    }


def requirement(name: str) -> dict[str, Any]:
    """Return which Observation would fill an input."""
    place = PLACES.get(name)
    codes = [{"system": LOINC, "code": code} for code in (place.codes[:1] if place else ())]
    codes = codes or [{"system": INPUTS, "code": name}]
    return {"type": "Observation", "codeFilter": [{"path": "code", "code": codes}]}


def _risk(common: dict[str, Any], at: str, decision: Decision) -> dict[str, Any]:
    prediction: dict[str, Any] = {"outcome": {"text": "acute deterioration"}, "rationale": _because(decision)}
    if decision.acuity is not None:
        code = _RISKS[decision.acuity]
        prediction["qualitativeRisk"] = concept(code, ("http://terminology.hl7.org/CodeSystem/risk-probability", code))
    return {
        "resourceType": "RiskAssessment",
        "status": "final" if status_of(decision) == "success" else "preliminary",
        "method": concept("NEWS2 bands, red flags, maternal criteria", (SCORE, "news2")),
        **common,
        "occurrenceDateTime": at,
        "performer": author(NAME),
        "basis": basis(decision),
        "prediction": [prediction],
        "mitigation": ACTIONS[decision.acuity],
        "note": [{"text": text} for text in _points(decision)],
    }


def _because(decision: Decision) -> str:
    urgent = [rule for rule in decision.rules if rule.acuity is not None and rule.acuity == decision.acuity]
    shown: Sequence[Any] = urgent or decision.rules
    return "; ".join(f"{rule.name}: {rule.because}" for rule in shown) or "no rule fired"


def _points(decision: Decision) -> list[str]:
    if decision.news2 is None:
        return []
    return [
        f"{part.input}: {part.points:g} points{f' ({part.because})' if part.because else ''}"
        for part in decision.news2.contributions
        if part.input in decision.found and decision.found[part.input].value is not None
    ]


def _flag(common: dict[str, Any], at: str, decision: Decision) -> dict[str, Any]:
    acuity = decision.acuity
    code = "data-required" if acuity is None else str(acuity)
    text = "Triage: data required" if acuity is None else f"Triage acuity {acuity} (derived from NEWS2 bands)"
    return {
        "resourceType": "Flag",
        "status": "active",
        "category": [concept("Clinical", ("http://terminology.hl7.org/CodeSystem/flag-category", "clinical"))],
        "code": concept(text, (ACUITY, code)),
        **common,
        "period": {"start": at},
        "author": author(NAME),
    }


def minutes(value: int) -> dict[str, Any]:
    """Return a Duration in minutes."""
    return {"value": Decimal(value), "unit": "min", "system": "http://unitsofmeasure.org", "code": "min"}

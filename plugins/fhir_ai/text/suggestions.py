"""Suggestions: what a mention would be in FHIR if somebody confirmed it; nothing here is confirmed.

Spec: https://hl7.org/fhir/R4/valueset-condition-ver-status.html
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from fhir_ai.inputs.units import UCUM
from fhir_ai.operations.making import labelled
from fhir_ai.text.extracting import Mention
from fhir_ai.text.html import Shown
from fhir_ai.text.lexicon import Concept
from fhir_ai.text.measures import Measure

_VERIFICATION: Final = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
_CLINICAL: Final = "http://terminology.hl7.org/CodeSystem/condition-clinical"
_LOINC: Final = "http://loinc.org"
_PRESSURES: Final = (("8480-6", "Systolic blood pressure"), ("8462-4", "Diastolic blood pressure"))


def suggestion(
    mention: Mention, page: Shown, subject: Mapping[str, Any], document: str, displays: Mapping[str, str]
) -> list[tuple[str, Any]]:
    """Return the parts of one suggestion, with offsets in the text of the attachment as it was decoded."""
    concept = mention.concept
    parts: list[tuple[str, Any]] = [
        ("kind", concept.kind), ("text", page.text[mention.start : mention.end]),
        *_offsets(page, mention.start, mention.end),
        ("concept", codeable(concept, displays)), ("assertion", mention.assertion),
        ("experiencer", mention.experiencer), ("historical", mention.historical),
    ]  # fmt: skip
    if mention.section.title:
        parts.append(("section", mention.section.title))
    if mention.measure is not None:
        parts += _measured(mention.measure, concept)
    if mention.time is not None:
        parts.append(("time", [("text", page.text[mention.time.start : mention.time.end]), *_dated(mention.time.date)]))
    parts += [("cue", [("text", page.text[a:b]), *_offsets(page, a, b)]) for a, b in mention.cues]
    resource = _resource(mention, subject, document, displays)
    return [*parts, ("resource", labelled(resource))] if resource else parts


def codeable(concept: Concept, displays: Mapping[str, str]) -> dict[str, Any]:
    """Return the concept with its code, and the display of the server's terminology where it knows one."""
    display = displays.get(concept.code)
    coding = {"system": concept.system, "code": concept.code, **({"display": display} if display else {})}
    return {"coding": [coding], "text": concept.title}


def _offsets(page: Shown, start: int, end: int) -> list[tuple[str, int]]:
    return [("start", page.origin(start)), ("end", page.origin(end, end=True))]


def _dated(date: str) -> list[tuple[str, Any]]:
    return [("date", date)] if date else []


def _measured(measure: Measure, concept: Concept) -> list[tuple[str, Any]]:
    found = [("value", quantity(measure.value, measure.unit))]
    if measure.second is not None:
        found.append(("second", quantity(measure.second, measure.unit)))
    return found


def quantity(value: Decimal, unit: str) -> dict[str, Any]:
    """Return a Quantity; without a unit where the text has none: none is guessed."""
    return {"value": value, **({"unit": unit, "system": UCUM, "code": unit} if unit else {})}


def _resource(
    mention: Mention, subject: Mapping[str, Any], document: str, displays: Mapping[str, str]
) -> dict[str, Any] | None:
    """Return the resource that somebody may confirm; None for what is denied, only asked for, or somebody else's."""
    if mention.assertion in ("absent", "hypothetical") or mention.experiencer != "patient" or not subject:
        return None
    code = codeable(mention.concept, displays)
    source = {"reference": document} if document else {"display": "the document of this call"}
    if mention.concept.kind == "problem":
        return _condition(mention, code, subject, source)
    if mention.concept.kind == "medication":
        return {
            "resourceType": "MedicationStatement",
            "status": "unknown",
            "medicationCodeableConcept": code,
            "subject": dict(subject),
            "derivedFrom": [source],
            "dosage": [{"text": f"{mention.measure.value} {mention.measure.unit}"}] if mention.measure else [],
        }
    return _observation(mention, code, subject, source)


def _condition(
    mention: Mention, code: dict[str, Any], subject: Mapping[str, Any], source: dict[str, str]
) -> dict[str, Any]:
    status = {"possible": "differential", "probable": "provisional"}.get(mention.assertion, "unconfirmed")
    clinical = "inactive" if mention.historical else "active"
    date = mention.time.date if mention.time else ""
    return {
        "resourceType": "Condition",
        "clinicalStatus": {"coding": [{"system": _CLINICAL, "code": clinical}]},
        "verificationStatus": {"coding": [{"system": _VERIFICATION, "code": status}]},
        "code": code,
        "subject": dict(subject),
        "evidence": [{"detail": [source]}],
        "note": [{"text": f"The text names {date} beside it."}] if date else [],
    }


def _observation(
    mention: Mention, code: dict[str, Any], subject: Mapping[str, Any], source: dict[str, str]
) -> dict[str, Any]:
    measure = mention.measure
    assert measure is not None, "a measurement without its number is no mention"
    common = {"resourceType": "Observation", "status": "preliminary", "code": code, "subject": dict(subject),
              "derivedFrom": [source]}  # fmt: skip
    if measure.second is None:
        return {**common, "valueQuantity": quantity(measure.value, measure.unit)}
    pair = zip(_PRESSURES, (measure.value, measure.second), strict=True)
    unit = measure.unit or "mm[Hg]"
    return {
        **common,
        "component": [
            {
                "code": {"coding": [{"system": _LOINC, "code": loinc}], "text": title},
                "valueQuantity": quantity(value, unit),
            }
            for (loinc, title), value in pair
        ],
    }

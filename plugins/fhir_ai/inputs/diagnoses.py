"""Diagnoses and treatments of a record, by their codes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_ai.inputs.ingredients import atc_codes
from fhir_ai.inputs.tables import ATC, ICD10, SNOMED, Diagnosis
from fhir_ai.inputs.times import hours_before, millis

_GONE = frozenset(("inactive", "remission", "resolved"))


@dataclass(frozen=True, slots=True)
class Diagnosed:
    """A Condition, or an order or statement of a medicine, that says yes."""

    reference: str
    at: int


def diagnosed(conditions: Sequence[Mapping[str, Any]], wanted: Diagnosis, since: int = 0) -> Diagnosed | None:
    """Return the Condition that has a diagnosis; refuted ones, those entered in error and those before never do."""
    for condition in conditions:
        if not stands(condition) or (wanted.now and not active(condition)):
            continue
        for system, code in codings(condition.get("code", {})):
            if _meets(system, code, wanted):
                at = begun(condition)
                if at is None or at >= since:
                    return Diagnosed(_reference(condition), at or 0)
    return None


def treated(medicines: Sequence[Mapping[str, Any]], atc: Sequence[str]) -> Diagnosed | None:
    """Return the active order or statement of a medicine with one of the codes.

    Where it has no ATC code (RxNorm, SNOMED CT), its ingredients are known by the names that it has.
    """
    for each in medicines:
        if each.get("status") != "active" or each.get("doNotPerform"):
            continue
        medicine = each.get("medicationCodeableConcept", {})
        known = [code for system, code in codings(medicine) if system == ATC] or list(atc_codes(medicine))
        if any(code.startswith(tuple(atc)) for code in known):
            return Diagnosed(_reference(each), millis(each.get("authoredOn") or each.get("dateAsserted")) or 0)
    return None


def recent_codes(conditions: Sequence[Mapping[str, Any]], now: int, hours: float) -> Iterator[tuple[str, str]]:
    """Yield `system|code` and reference of the active Conditions that began within some hours, or at no known time."""
    for condition in conditions:
        at = begun(condition)
        if stands(condition) and active(condition) and (at is None or hours_before(now, at) <= hours):
            for system, code in codings(condition.get("code", {})):
                yield f"{system}|{code}", _reference(condition)


def stands(condition: Mapping[str, Any]) -> bool:
    """Tell whether a Condition was not refuted or entered in error."""
    status = {code for _, code in codings(condition.get("verificationStatus", {}))}
    return not status & {"refuted", "entered-in-error"}


def active(condition: Mapping[str, Any]) -> bool:
    """Tell whether a Condition goes on."""
    status = {code for _, code in codings(condition.get("clinicalStatus", {}))}
    return not status & _GONE and not any(key.startswith("abatement") for key in condition)


def begun(condition: Mapping[str, Any]) -> int | None:
    """Return when a Condition began, else when it was recorded."""
    period = condition.get("onsetPeriod", {}).get("start")
    return millis(condition.get("onsetDateTime") or period or condition.get("recordedDate"))


def codings(concept: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield system and code of each coding."""
    for coding in concept.get("coding", ()):
        yield coding.get("system", ""), coding.get("code", "")


def _meets(system: str, code: str, wanted: Diagnosis) -> bool:
    if system == SNOMED:
        return code in wanted.snomed
    return system in ICD10 and code.startswith(wanted.icd10)


def _reference(resource: Mapping[str, Any]) -> str:
    return f"{resource['resourceType']}/{resource['id']}" if resource.get("id") else ""

"""Cover: a Coverage as adjudication takes it, and the order in which several of them pay.

Spec: https://hl7.org/fhir/R4/coverage.html
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from fhir_server.plugin_api import InvalidResource, Issue

_CLASS = "http://terminology.hl7.org/CodeSystem/coverage-class"


@dataclass(frozen=True, slots=True)
class Cover:
    """One coverage. payor: reference to who pays; plan: value of its class `plan`; order: 1 for who pays first."""

    id: str
    patient: str
    payor: str
    payor_identifier: str
    plan: str
    order: int
    since: date
    until: date | None
    subscriber: str
    resource: Mapping[str, Any]

    @property
    def family(self) -> str:
        """Who shares limits with this member; empty: nobody."""
        return f"{self.payor}|{self.subscriber}|{self.plan}" if self.subscriber else ""

    def on(self, day: date) -> bool:
        """Tell whether the coverage is in force on a day."""
        return self.since <= day and (self.until is None or day <= self.until)


def cover_of(resource: Mapping[str, Any], place: str = "Coverage") -> Cover:
    """Return what a Coverage says.

    Raises:
        InvalidResource: it is not active, names no patient or nobody who pays.
    """
    if resource.get("status") != "active":
        raise _unfit(f"the coverage is {resource.get('status', 'without status')}, not active", place)
    payor: Mapping[str, Any] = next(iter(resource.get("payor", ())), {})
    period = resource.get("period", {})
    patient = str(resource.get("beneficiary", {}).get("reference", ""))
    if not patient:
        raise _unfit("the coverage names no beneficiary", place)
    return Cover(
        id=str(resource.get("id", "")),
        patient=patient.rpartition("Patient/")[2],
        payor=str(payor.get("reference", "")),
        payor_identifier=str(payor.get("identifier", {}).get("value", "")),
        plan=plan_of(resource),
        order=int(resource.get("order", 1)),
        since=day_of(period.get("start"), date.min),
        until=last_day(period.get("end")),
        subscriber=str(resource.get("subscriberId", "")),
        resource=resource,
    )


def plan_of(resource: Mapping[str, Any]) -> str:
    """Return the plan that a Coverage names by its class; empty for none."""
    for each in resource.get("class", ()):
        if any(coding.get("code") == "plan" for coding in each.get("type", {}).get("coding", ())):
            return str(each.get("value", ""))
    return ""


def in_order(covers: Iterable[Cover], day: date) -> list[Cover]:
    """Return those in force on a day, who pays first before others."""
    return sorted((each for each in covers if each.on(day)), key=lambda each: (each.order, each.since, each.id))


def day_of(text: object, missing: date) -> date:
    """Return the day of a FHIR date; of a month or a year its first."""
    if not isinstance(text, str) or not text:
        return missing
    return date.fromisoformat((text[:10] + "-01-01")[:10] if len(text) < 10 else text[:10])


def last_day(text: object) -> date | None:
    """Return the last day of a FHIR date: of a year or a month its end; None where there is none."""
    if not isinstance(text, str) or not text:
        return None
    if len(text) >= 10:
        return date.fromisoformat(text[:10])
    year, month = int(text[:4]), int(text[5:7]) if len(text) >= 7 else 12
    return date.fromordinal(date(year + month // 12, month % 12 + 1, 1).toordinal() - 1)


def _unfit(text: str, place: str) -> InvalidResource:
    return InvalidResource(text, issues=[Issue(text, "business-rule", expression=(place,))])

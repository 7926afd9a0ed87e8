"""What an Observation says of when it was made and of what it is about."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, tzinfo
from typing import Any

from fhir_server.context import Context
from fhir_server.errors import Forbidden
from fhir_server.search.dates import date_bounds

Json = Mapping[str, Any]
Code = tuple[str, str]
VOID = frozenset(("cancelled", "entered-in-error"))
"""Statuses of what was never observed."""


def must_be_searchable(ctx: Context) -> None:
    """Raise Forbidden where the caller may not search Observations."""
    if not ctx.restriction.may("search-type", "Observation"):
        raise Forbidden("search of Observation is not allowed", expression="http.url")


def made_at(resource: Json, zone: tzinfo = UTC) -> int | None:
    """Return when it was made in microseconds: the effective time (the end of a period), else when it was issued."""
    for text in _times(resource):
        try:
            return date_bounds(text, zone)[0]
        except ValueError:
            continue  # stored unvalidated
    return None


def _times(resource: Json) -> Iterator[str]:
    period, timing = resource.get("effectivePeriod"), resource.get("effectiveTiming")
    events = timing.get("event", ()) if isinstance(timing, dict) else ()
    found = [resource.get("effectiveInstant"), resource.get("effectiveDateTime")]
    if isinstance(period, dict):
        found += [period.get("end"), period.get("start")]
    found += [max((event for event in events if isinstance(event, str)), default=None), resource.get("issued")]
    return (text for text in found if isinstance(text, str))


def codings(concept: Any) -> Iterable[Code]:
    """Return system and code of each coding of a CodeableConcept."""
    listed = concept.get("coding", ()) if isinstance(concept, dict) else ()
    return [(c.get("system", ""), c["code"]) for c in listed if isinstance(c, dict) and "code" in c]

"""Functions that take the parts of dates and times.

Spec: https://hl7.org/fhirpath/#extract-datedatetimetime-components
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from fhir_server.fhirpath.context import Run
from fhir_server.fhirpath.errors import FhirPathError
from fhir_server.fhirpath.functions.function import Function, answer, fixed
from fhir_server.fhirpath.node import Collection
from fhir_server.fhirpath.temporal import Temporal
from fhir_server.fhirpath.values import describe, single

_NAMES = ("year", "month", "day", "hour", "minute", "second")


def _function(name: str, take: Callable[[Temporal], Any]) -> Function:
    """A function of one date or time; empty where it does not have the part."""

    def call(run: Run, focus: Collection) -> Collection:
        value = single(focus, f"{name}()")
        if value is None:
            return []
        if not isinstance(value, Temporal):
            raise FhirPathError(f"{name}() takes a date or time, not {describe(focus[0])}")
        return answer(take(value))

    return fixed(call)


def _part(place: int) -> Callable[[Temporal], int | None]:
    """The part at a place of `_NAMES`."""

    def take(value: Temporal) -> int | None:
        at = place - 3 if value.kind == "Time" else place
        return value.parts[at] if 0 <= at < len(value.parts) else None

    return take


def milliseconds(value: Temporal) -> int | None:
    """The thousandths of the second, if they are said."""
    return None if value.fraction is None else value.milliseconds


def offset(value: Temporal) -> Decimal | None:
    """The time zone in hours east of UTC, if it is said."""
    return None if value.offset is None else Decimal(value.offset) / 60 + Decimal("0.0")


def date_of(value: Temporal) -> Temporal | None:
    """The date, as far as it is known."""
    return None if value.kind == "Time" else Temporal("Date", value.parts[:3])


def time_of(value: Temporal) -> Temporal | None:
    """The time of day of a DateTime, as far as it is known."""
    clock = value.parts if value.kind == "Time" else value.parts[3:]
    return Temporal("Time", clock, value.fraction) if clock else None


FUNCTIONS: Mapping[str, Function] = {
    **{f"{name}Of": _function(f"{name}Of", _part(place)) for place, name in enumerate(_NAMES)},
    "millisecondOf": _function("millisecondOf", milliseconds),
    "timezoneOffsetOf": _function("timezoneOffsetOf", offset),
    "dateOf": _function("dateOf", date_of),
    "timeOf": _function("timeOf", time_of),
}

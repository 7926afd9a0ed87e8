"""Adding durations to dates and times, and the bounds of what is not known to the millisecond.

Spec: https://hl7.org/fhirpath/N1/#datetime-arithmetic and https://hl7.org/fhir/fhirpath.html#functions (lowBoundary)
"""

from calendar import monthrange
from decimal import Decimal
from math import floor

from fhir_server.fhirpath.errors import FhirPathError
from fhir_server.fhirpath.quantity import CALENDAR_UNITS, Quantity
from fhir_server.fhirpath.temporal import DAY_MS, Temporal, from_milliseconds, interval

_EXACT_MS = {
    "week": 7 * DAY_MS, "day": DAY_MS, "hour": 3_600_000, "minute": 60_000, "second": 1000, "millisecond": 1,
}  # fmt: skip
# Decimals count in calendar seconds only; off a definite `0.1 's'` they are cut (docs/adr/0002-fhirpath.md).
_CALENDAR_OF_UCUM = {"wk": "week", "d": "day", "h": "hour", "min": "minute", "s": "second", "ms": "millisecond"}
_DATE_DIGITS = {4: 1, 6: 2, 8: 3, 10: 4, 12: 5, 14: 6, 17: 7}
_TIME_DIGITS = {2: 1, 4: 2, 6: 3, 9: 4}
_HIGHEST_CLOCK = (23, 59, 59)


def add_duration(value: Temporal, duration: Quantity, sign: int) -> Temporal | None:
    """A date or time moved by a duration; None when it leaves the years 1 to 9999.

    Raises:
        FhirPathError: the unit is not a duration of the calendar, or a definite one longer than a week.
    """
    duration = duration.on_calendar()
    unit = CALENDAR_UNITS.get(duration.unit) or _CALENDAR_OF_UCUM.get(duration.unit)
    if unit is None:
        raise FhirPathError(f"cannot add '{duration.unit}' to a {value.kind}: use a calendar duration such as 1 month")
    amount = sign * (duration.value if duration.calendar else Decimal(int(duration.value)))
    if value.kind == "Time":
        return _turn_clock(value, amount, unit)
    try:
        return _move(value, amount, unit)
    except (ValueError, OverflowError):
        return None


def _turn_clock(value: Temporal, amount: Decimal, unit: str) -> Temporal:
    if unit in ("year", "month", "week", "day"):
        raise FhirPathError(f"cannot add {CALENDAR_UNITS[unit]}s to a Time")
    low, _ = interval(value)
    moved = _milliseconds(amount, unit)
    # A duration is first brought to the precision of the time: 25 minutes are no hour.
    moved -= _remainder(moved, (3_600_000, 60_000, 1)[len(value.parts) - 1])
    return from_milliseconds(value, (low + moved) % DAY_MS)


def _milliseconds(amount: Decimal, unit: str) -> int:
    """A duration in milliseconds; above seconds the decimals are cut off."""
    if unit not in ("second", "millisecond"):
        return int(amount) * _EXACT_MS[unit]
    return floor(amount * _EXACT_MS[unit])


def _move(value: Temporal, amount: Decimal, unit: str) -> Temporal:
    if unit in ("year", "month"):
        months = int(amount) * (12 if unit == "year" else 1)
        return _add_months(value, months if len(value.parts) > 1 else months - _remainder(months, 12))
    moved = _milliseconds(amount, unit)
    if len(value.parts) < 3:
        # A duration is first brought to the precision of the date: 365 days are a year, 30 a month.
        days = abs(moved) // DAY_MS
        months = days // 365 * 12 if len(value.parts) == 1 else days // 30
        return _add_months(value, months if moved > 0 else -months)
    step = _step(value)
    low, _ = interval(value)
    return from_milliseconds(value, low + moved - _remainder(moved, step))


def _remainder(number: int, divisor: int) -> int:
    """What truncated division leaves, with the sign of the number."""
    return number - (abs(number) // divisor * divisor) * (1 if number > 0 else -1)


def _step(value: Temporal) -> int:
    """The width of a value's precision, in milliseconds."""
    return (DAY_MS, 3_600_000, 60_000, 1)[len(value.parts) - 3]


def _add_months(value: Temporal, months: int) -> Temporal:
    """Move by months; the 31st becomes the last day where the month is shorter.

    Raises:
        ValueError: the year is out of range.
    """
    year, month = value.parts[0], value.parts[1] if len(value.parts) > 1 else 1
    year, month = divmod(year * 12 + month - 1 + months, 12)
    month += 1
    if not 1 <= year <= 9999:
        raise ValueError(year)
    day = min(value.parts[2], monthrange(year, month)[1]) if len(value.parts) > 2 else 1
    parts = (year, month, day, *value.parts[3:])[: len(value.parts)]
    return Temporal(value.kind, parts, value.fraction, value.zone)


def precision(value: Temporal) -> int:
    """How many digits of a date or time are known.

    Spec: https://hl7.org/fhirpath/#precision--integer
    """
    digits = 2 * len(value.parts) if value.kind == "Time" else 2 * len(value.parts) + 2
    return digits + 3 if value.fraction is not None else digits


def boundary(value: Temporal, digits: int, *, high: bool) -> Temporal | None:
    """The first or last moment that a value may stand for, to so many digits; None if there is no such precision."""
    if value.kind == "Time":
        return _time_boundary(value, digits, high=high)
    length = _DATE_DIGITS.get(digits)
    if length is None:
        return None
    parts = _filled(value, high=high)
    if length <= 3:
        return Temporal(value.kind, parts[:length])
    fraction = (value.fraction or ("999" if high else "000")).ljust(3, "0")[:3] if length == 7 else None
    return Temporal("DateTime", parts[: min(length, 6)], fraction, value.zone or ("-12:00" if high else "+14:00"))


def _filled(value: Temporal, *, high: bool) -> tuple[int, ...]:
    parts = list(value.parts)
    if len(parts) < 2:
        parts.append(12 if high else 1)
    if len(parts) < 3:
        parts.append(monthrange(parts[0], parts[1])[1] if high else 1)
    if len(parts) == 4:
        # An hour cannot stand alone in FHIR, and the official suite takes it for the full hour.
        parts.append(0)
    return (*parts, *(_HIGHEST_CLOCK if high else (0, 0, 0))[len(parts) - 3 :])


def _time_boundary(value: Temporal, digits: int, *, high: bool) -> Temporal | None:
    length = _TIME_DIGITS.get(digits)
    if length is None:
        return None
    parts = (*value.parts, *(_HIGHEST_CLOCK if high else (0, 0, 0))[len(value.parts) :])
    fraction = (value.fraction or ("999" if high else "000")).ljust(3, "0")[:3] if length == 4 else None
    return Temporal("Time", parts[: min(length, 3)], fraction)

"""Dates, times and their precision: parsing, printing, comparing.

A value is an interval as wide as its precision: `@2014` is any instant of that year. Two values are compared only as
far as both are known, so a comparison has a third answer, "unknown".

Spec: https://hl7.org/fhirpath/N1/#date, #datetime, #time and #equals
"""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Literal as OneOf

Kind = OneOf["Date", "DateTime", "Time"]

DAY_MS = 86_400_000
_MINUTE_MS = 60_000
# A time without a zone may be meant in any zone of the world; these are the outermost.
_EARLIEST_ZONE, _LATEST_ZONE = 14 * 60, -12 * 60
_UNITS_MS = (0, 0, DAY_MS, 3_600_000, _MINUTE_MS, 1000)

_ZONE = r"(?P<zone>Z|[+-]\d{2}:\d{2})?"
_CLOCK = r"(?P<hour>\d{2})(?::(?P<minute>\d{2})(?::(?P<second>\d{2})(?:\.(?P<fraction>\d+))?)?)?"
_DAY = r"(?P<year>\d{4})(?:-(?P<month>\d{2})(?:-(?P<day>\d{2}))?)?"
_DATE = re.compile(_DAY, re.ASCII)
_DATETIME = re.compile(rf"{_DAY}(?:T(?:{_CLOCK}{_ZONE})?)?", re.ASCII)
_TIME = re.compile(rf"T?{_CLOCK}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Temporal:
    """A Date, DateTime or Time of some precision.

    Attributes:
        kind: the System type.
        parts: year, month, day, hour, minute, second as far as known; of a Time hour, minute, second.
        fraction: the digits after the second as written; None without them.
        zone: `Z` or `+10:00` as written; None when not said.
    """

    kind: Kind
    parts: tuple[int, ...]
    fraction: str | None = None
    zone: str | None = None

    def __str__(self) -> str:
        if self.kind == "Time":
            return _clock(self.parts, self.fraction)
        day = "-".join(f"{part:0{4 if i == 0 else 2}}" for i, part in enumerate(self.parts[:3]))
        if len(self.parts) == 3 or self.kind == "Date":
            return day
        if len(self.parts) < 3:
            return day
        return f"{day}T{_clock(self.parts[3:], self.fraction)}{self.zone or ''}"

    @property
    def offset(self) -> int | None:
        """Minutes east of UTC; None when not said."""
        return None if self.zone is None else zone_minutes(self.zone)

    @property
    def milliseconds(self) -> int:
        """The fraction of the second in thousandths, cut off."""
        return int((self.fraction or "0").ljust(3, "0")[:3])


def _clock(parts: tuple[int, ...], fraction: str | None) -> str:
    text = ":".join(f"{part:02}" for part in parts)
    return f"{text}.{fraction}" if fraction is not None else text


def zone_minutes(zone: str) -> int:
    """Minutes east of UTC of `Z` or `+10:00`."""
    if zone == "Z":
        return 0
    minutes = int(zone[1:3]) * 60 + int(zone[4:6])
    return -minutes if zone[0] == "-" else minutes


@lru_cache(maxsize=8192)
def parse_date(text: str) -> Temporal | None:
    """Read `2015`, `2015-02` or `2015-02-04`; None unless it is a day that exists."""
    return _build("Date", _DATE.fullmatch(text))


@lru_cache(maxsize=8192)
def parse_datetime(text: str) -> Temporal | None:
    """Read a date, or a date and time with or without a zone; None unless it exists."""
    return _build("DateTime", _DATETIME.fullmatch(text))


@lru_cache(maxsize=1024)
def parse_time(text: str) -> Temporal | None:
    """Read `14`, `14:34`, `14:34:28`, `14:34:28.123`, with or without a leading T; None unless it exists."""
    return _build("Time", _TIME.fullmatch(text))


def _build(kind: Kind, match: re.Match[str] | None) -> Temporal | None:
    if match is None:
        return None
    found = match.groupdict()
    names = ("year", "month", "day", "hour", "minute", "second")
    parts = tuple(int(found[name]) for name in names if found.get(name))
    if kind == "DateTime" and found["hour"] and not found["day"]:
        return None
    if not _exists(kind, parts, found.get("zone")):
        return None
    return Temporal(kind, parts, found.get("fraction"), found.get("zone"))


def _exists(kind: Kind, parts: tuple[int, ...], zone: str | None) -> bool:
    day, clock = ((), parts) if kind == "Time" else (parts[:3], parts[3:])
    if zone is not None and abs(zone_minutes(zone)) > 14 * 60:
        return False
    if any(part > bound for part, bound in zip(clock, (23, 59, 60), strict=False)):
        return False
    if not day:
        return True
    year, month, number = (*day, 1, 1)[:3]
    return year > 0 and 0 < month <= 12 and 0 < number <= monthrange(year, month)[1]


def interval(value: Temporal) -> tuple[int, int]:
    """First and last millisecond, counted from the year 0 (or midnight) in the value's own zone."""
    if value.kind == "Time":
        return _span(0, value.parts, 3, value)
    year, month, day = (*value.parts, 1, 1)[:3]
    low = date(year, month, day).toordinal() * DAY_MS
    if len(value.parts) == 1:
        return low, date(year, 12, 31).toordinal() * DAY_MS + DAY_MS - 1
    if len(value.parts) == 2:
        return low, low + monthrange(year, month)[1] * DAY_MS - 1
    return _span(low, value.parts[3:], 3, value)


def _span(low: int, clock: tuple[int, ...], first: int, value: Temporal) -> tuple[int, int]:
    low += sum(part * unit for part, unit in zip(clock, _UNITS_MS[first:], strict=False))
    if len(clock) == 3:
        # Seconds and milliseconds are one precision: 28 seconds are 28.0 seconds.
        return low + value.milliseconds, low + value.milliseconds
    return low, low + (_UNITS_MS[first + len(clock) - 1] if clock else DAY_MS) - 1


def compare(left: Temporal, right: Temporal) -> int | None:
    """-1, 0 or 1, or None when the precision or a missing zone leaves it open."""
    (a_low, a_high), (b_low, b_high) = _instants(left, right), _instants(right, left)
    if a_high < b_low:
        return -1
    if a_low > b_high:
        return 1
    same = len(left.parts) == len(right.parts) and (left.zone is None) == (right.zone is None)
    if not same:
        return None
    return (a_low > b_low) - (a_low < b_low)


def _instants(value: Temporal, other: Temporal) -> tuple[int, int]:
    """The interval in UTC; a value without a zone covers all zones when the other one has a zone."""
    low, high = interval(value)
    offset = value.offset
    if offset is not None:
        return low - offset * _MINUTE_MS, high - offset * _MINUTE_MS
    if other.zone is None:
        return low, high
    return low - _EARLIEST_ZONE * _MINUTE_MS, high - _LATEST_ZONE * _MINUTE_MS


def comparable(left: Temporal, right: Temporal) -> bool:
    """Whether both are times of day, or both lie on the calendar."""
    return (left.kind == "Time") == (right.kind == "Time")


def identity(value: Temporal) -> tuple[object, ...]:
    """A key that is the same for values that are equal beyond doubt."""
    low, _ = interval(value)
    offset = value.offset
    return (value.kind == "Time", len(value.parts), offset is None, low - (offset or 0) * _MINUTE_MS)


def from_milliseconds(value: Temporal, low: int) -> Temporal:
    """The value moved to another first millisecond, with precision, zone and digits kept."""
    days, rest = divmod(low, DAY_MS)
    clock = (rest // 3_600_000, rest // _MINUTE_MS % 60, rest // 1000 % 60)
    fraction = _fraction(value.fraction, rest % 1000)
    if value.kind == "Time":
        return Temporal("Time", clock[: len(value.parts)], fraction, None)
    day = date.min + timedelta(days=days - 1)
    parts = (day.year, day.month, day.day, *clock)
    return Temporal(value.kind, parts[: len(value.parts)], fraction, value.zone)


def _fraction(written: str | None, milliseconds: int) -> str | None:
    if written is None and milliseconds == 0:
        return None
    digits = f"{milliseconds:03}"
    return digits + (written or "")[3:] if len(written or "") > 3 else digits

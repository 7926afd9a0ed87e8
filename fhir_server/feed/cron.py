"""Cron: the five fields of a crontab line, and the next time that they name.

Source: https://pubs.opengroup.org/onlinepubs/9699919799/utilities/crontab.html (INPUT FILES)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

_FIELDS: Final = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
_MONTHS: Final = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS: Final = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_WORDS: Final[Mapping[str, Mapping[str, int]]] = {
    "month": {name: number for number, name in enumerate(_MONTHS, 1)},
    "weekday": {name: number for number, name in enumerate(_DAYS)},
}
_NICKNAMES: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}
_MOST_DAYS: Final = 366 * 8 + 3
"""29 February comes every four years, but for centuries: eight at most."""


class CronError(ValueError):
    """A line that is none; the message names the field."""


@dataclass(frozen=True, slots=True)
class Cron:
    """When: the sets of allowed values of each field. Day and weekday, where both are limited, are alternatives."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool

    @classmethod
    def parse(cls, text: str) -> "Cron":
        """Read a line, or `@hourly @daily @weekly @monthly @yearly`. Raises CronError."""
        fields = _NICKNAMES.get(text.strip().lower(), text).split()
        if len(fields) != len(_FIELDS):
            raise CronError(f"cron {text!r}: five fields are needed: minute hour day month weekday")
        minutes, hours, days, months, weekdays = (
            _values(field, *facts) for field, facts in zip(fields, _FIELDS, strict=True)
        )
        either = not fields[2].startswith("*") and not fields[4].startswith("*")
        found = cls(minutes, hours, days, months, frozenset(day % 7 for day in weekdays), either)
        if found._day_after(datetime(2024, 1, 1, tzinfo=UTC)) is None:
            raise CronError(f"cron {text!r}: there is no such day")
        return found

    def after(self, moment: int, zone: tzinfo = UTC) -> int:
        """Return the first time after a moment, both in milliseconds since 1970 UTC.

        An hour that the clock skips is made up for at its end; one that comes twice counts once.
        """
        local = datetime.fromtimestamp(moment / 1000, zone).replace(tzinfo=None)
        start = local.replace(second=0, microsecond=0) + timedelta(minutes=1)
        while True:
            found = self._from(start)
            instant = round(found.replace(tzinfo=zone).timestamp() * 1000)
            if instant > moment:
                return instant
            start = found + timedelta(minutes=1)

    def _from(self, start: datetime) -> datetime:
        """Return the first time at or after one, on a clock without zone."""
        day = start
        while (found := self._day_after(day)) is not None:
            first = start if found.date() == start.date() else found.replace(hour=0, minute=0)
            for hour in sorted(value for value in self.hours if value >= first.hour):
                low = first.minute if hour == first.hour else 0
                minute = min((value for value in self.minutes if value >= low), default=None)
                if minute is not None:
                    return found.replace(hour=hour, minute=minute)
            day = found.replace(hour=0, minute=0) + timedelta(days=1)
        raise AssertionError("parse() has seen that there is a day")

    def _day_after(self, start: datetime) -> datetime | None:
        for ahead in range(_MOST_DAYS):
            day = start + timedelta(days=ahead)
            if day.month in self.months and self._is_day(day):
                return day
        return None

    def _is_day(self, day: datetime) -> bool:
        by_day, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return (by_day or by_weekday) if self.either else (by_day and by_weekday)


def _values(field: str, name: str, low: int, high: int) -> frozenset[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, slash, step = part.partition("/")
        if slash and not (step.isdecimal() and int(step)):
            raise CronError(f"cron: {name} {part!r}: the step is 1 or more")
        first, dash, last = span.partition("-")
        if span == "*":
            bounds = low, high
        else:
            begin = _number(first, name, low, high)
            bounds = begin, _number(last, name, low, high) if dash else high if slash else begin
        if bounds[0] > bounds[1]:
            raise CronError(f"cron: {name} {part!r}: {bounds[0]} comes after {bounds[1]}")
        found.update(range(bounds[0], bounds[1] + 1, int(step) if slash else 1))
    return frozenset(found)


def _number(text: str, name: str, low: int, high: int) -> int:
    value = _WORDS.get(name, {}).get(text.lower())
    if value is None and text.isascii() and text.isdecimal():
        value = int(text)
    if value is None or not low <= value <= high:
        raise CronError(f"cron: {name} {text!r} is not {low} to {high}")
    return value

"""Dates and times: the forms of R4, and days that exist.

Spec: https://hl7.org/fhir/R4/datatypes.html#dateTime
"""

import re
from calendar import monthrange
from datetime import date

_YEAR = r"(?!0000)[0-9]{4}"
_MONTH = r"(?:0[1-9]|1[0-2])"
_DAY = r"(?:0[1-9]|[12][0-9]|3[01])"
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
_ZONE = r"(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"

_match_date = re.compile(f"{_YEAR}(?:-{_MONTH}(?:-{_DAY})?)?").fullmatch
_match_date_time = re.compile(f"{_YEAR}(?:-{_MONTH}(?:-{_DAY}(?:T{_CLOCK}{_ZONE})?)?)?").fullmatch
_match_instant = re.compile(f"{_YEAR}-{_MONTH}-{_DAY}T{_CLOCK}{_ZONE}").fullmatch
_match_time = re.compile(_CLOCK).fullmatch
_match_no_zone = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+").fullmatch
_match_day = re.compile(f"{_YEAR}-{_MONTH}-[0-9]{{2}}(?:T.*)?", re.DOTALL).fullmatch


def is_date(value: object) -> bool:
    """`YYYY`, `YYYY-MM` or `YYYY-MM-DD`."""
    return isinstance(value, str) and _match_date(value) is not None and _day_exists(value)


def is_date_time(value: object) -> bool:
    """A date, or a day with a time to the second and a zone."""
    return isinstance(value, str) and _match_date_time(value) is not None and _day_exists(value)


def is_instant(value: object) -> bool:
    """A day with a time to the second or finer and a zone."""
    return isinstance(value, str) and _match_instant(value) is not None and _day_exists(value)


def is_time(value: object) -> bool:
    """`hh:mm:ss` with an optional fraction and no zone; 24:00 is not a time."""
    return isinstance(value, str) and _match_time(value) is not None


def hint(value: str) -> str:
    """What is wrong with a date or time, where that can be said in particular; else an empty string."""
    if _match_no_zone(value):
        return "a time needs a zone (Z or +hh:mm)"
    if _match_day(value):
        year, month, day = int(value[:4]), int(value[5:7]), int(value[8:10])
        if not 1 <= day <= monthrange(year, month)[1]:
            return f"{value[:7]} has no day {day}"
    if "T24" in value or value.startswith("24:"):
        return "hours run from 00 to 23"
    return ""


def _day_exists(value: str) -> bool:
    if len(value) < 10 or value[8:10] < "29":
        return True
    try:
        date.fromisoformat(value[:10])
    except ValueError:
        return False
    return True

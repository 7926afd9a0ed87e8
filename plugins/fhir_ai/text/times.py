"""Times that a sentence names: dates, years, and spans before now; as they stand, and as a FHIR date."""

import re
from dataclasses import dataclass
from typing import Final

_MONTHS: Final = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_MONTH: Final = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}"
_TIME: Final = re.compile(
    rf"\b(?:(?P<iso>\d{{4}}-\d{{2}}(?:-\d{{2}})?)|(?P<us>\d{{1,2}}/\d{{1,2}}/\d{{4}})"
    rf"|(?P<named>{_MONTH}\.? (?:\d{{1,2}}, ?)?\d{{4}})|(?:in|since|from) (?P<year>(?:19|20)\d{{2}})"
    r"|(?P<ago>\d{1,3} (?:hour|day|week|month|year)s? ago)"
    r"|(?:for|over|past|last) (?:the )?(?:past |last )?(?P<span>\d{1,3} (?:hour|day|week|month|year)s?)"
    r"|(?P<word>yesterday|today|last (?:night|week|month|year)))\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Time:
    """A time: its offsets, and the date where it says one."""

    start: int
    end: int
    date: str = ""


def times(text: str, start: int, end: int) -> list[Time]:
    """Return the times of a part of a text."""
    return [Time(met.start(), met.end(), _date(met)) for met in _TIME.finditer(text, start, end)]


def _date(met: re.Match[str]) -> str:
    """Return what is sure of a date: where day and month could be either, the year alone."""
    if met["iso"]:
        return met["iso"] if _valid(met["iso"]) else ""
    if met["year"]:
        return met["year"]
    if met["us"]:
        month, day, year = met["us"].split("/")
        sure = int(month) <= 12 < int(day) <= 31
        return f"{year}-{int(month):02d}-{int(day):02d}" if sure else year
    if met["named"]:
        parts = re.findall(r"[A-Za-z]+|\d+", met["named"])
        month = f"{_MONTHS.index(parts[0][:3].lower()) + 1:02d}"
        day = f"-{int(parts[1]):02d}" if len(parts) == 3 and 1 <= int(parts[1]) <= 28 else ""
        return f"{parts[-1]}-{month}{day}"
    return ""


def _valid(date: str) -> bool:
    parts = [int(part) for part in date.split("-")]
    return 1 <= parts[1] <= 12 and (len(parts) == 2 or 1 <= parts[2] <= 28 or (parts[2] <= 31 and parts[1] != 2))

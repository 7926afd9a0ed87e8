"""Words: free text without what names somebody, and dates that move."""

import re
from collections.abc import Iterable
from datetime import date, timedelta

_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"[\w.+-]+@[\w-]+\.[\w.-]+",  # addresses of mail
        r"https?://\S+",
        r"\b(?:dr|drs|prof|mr|mrs|ms|miss|sister|nurse|herr|frau)\b\.?\s+\w[\w'’.-]*(?:\s+[^\W\d_a-z]\w*)?",
        r"\b\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}\b",  # dates
        r"\b\d{1,2}\s+(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?\s+\d{2,4}\b",
        r"\+?\d[\d ()-]{6,}\d",  # telephones and long numbers
        r"\b(?=\w*\d)\w*\d{4,}\w*\b",  # identifiers
    )
)
GONE = "[removed]"
_SHORTEST = 3


class Words:
    """The words that identify one patient and those around them, found in the attributes of an object."""

    def __init__(self, values: Iterable[str]) -> None:
        found = {part for value in values for part in _parts(value)}
        longest_first = sorted(found, key=len, reverse=True)
        pattern = "|".join(re.escape(part) for part in longest_first)
        self._known = re.compile(pattern, re.IGNORECASE) if found else None

    def known(self, text: str) -> bool:
        """Tell whether a text holds one of them."""
        return self._known is not None and self._known.search(text) is not None

    def without(self, text: str) -> str:
        """Return a text without them, patterns left alone."""
        return self._known.sub(GONE, text) if self._known is not None else text

    def cleaned(self, text: str) -> str:
        """Return a text without them and without whatever looks like a name, a date, a number of somebody."""
        text = self.without(text)
        for pattern in _PATTERNS:
            text = pattern.sub(GONE, text)
        return text


def _parts(value: str) -> Iterable[str]:
    """Yield a value and the components of a name; what is too short would be found everywhere."""
    whole = value.strip()
    if len(whole) >= _SHORTEST:
        yield whole
    for part in re.split(r"[\^=\\,;\s]+", whole):
        if len(part) >= _SHORTEST and not part.isspace():
            yield part


def moved(value: str, days: int) -> str:
    """Return a DA or DT moved by days, its time and zone as they were; empty where it is no date."""
    text = value.strip()
    found = re.fullmatch(r"(\d{4})[.]?(\d{2})?[.]?(\d{2})?(.*)", text, re.DOTALL)
    if not found:
        return ""
    year, month, day, rest = found.groups()
    try:
        other = date(int(year), int(month or 1), int(day or 1)) + timedelta(days)
    except (ValueError, OverflowError):
        return ""
    full = other.strftime("%Y%m%d")
    known = full if day else full[:6] if month else full[:4]
    return known + (rest if re.fullmatch(r"[\d.]*([+-]\d{4})?", rest) else "")

"""Hiding: what goes out has no name, no number, no date and no age over 89; text that still holds one does not go.

The 18 identifiers of Safe Harbor: 45 CFR 164.514(b)(2).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

OLDEST: Final = 89
_MASK: Final = "[removed]"
_FEWEST: Final = 3
_TELLING: Final = 5
"""Letters from which a word of the patient's may not even be part of another: `Ann` is in `cannot`."""
_PATTERNS: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
        r"(?:https?://|www\.)\S+",
        r"\b\d{4}-\d{1,2}(?:-\d{1,2})?(?:T[\d:.Z+-]+)?\b",
        r"\b\d{1,2}[./-]\d{1,2}[./-]\d{2,4}\b",
        r"\b\d{1,2}(?:st|nd|rd|th)?\s+(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?(?:,?\s+\d{2,4})?\b",
        r"\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?\s+\d{1,2}(?:st|nd|rd|th)?(?:,?\s+\d{2,4})?\b",
        r"\b(?:\+?\d[\s().-]?){7,}\d\b",
        r"\b(?:9\d|1\d\d)[\s-]*(?:years?|yrs?|y)[\s-]*(?:old|/?o)?\b",
        r"\b(?:Dr|Mr|Mrs|Ms|Miss|Prof|Sister|Nurse)\.?\s+[A-Z][\w'-]+",
        r"\b\d{1,3}(?:\.\d{1,3}){3}\b",
        r"\b[A-Z]{0,3}\d{5,}\b",
    )
)


class StillNamed(Exception):
    """Something that names the patient could not be taken out; it is not said what."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """What may go out. removed: how many places of the text were taken out."""

    values: Mapping[str, Any]
    text: str
    removed: int


def hidden(patient: Mapping[str, Any], values: Mapping[str, Any], text: str) -> Hidden:
    """Take out of values and a text what could tell who the patient is.

    Raises:
        StillNamed: something of the patient's own is left.
    """
    own = sorted(set(words_of(patient)), key=len, reverse=True)
    made, removed = text, 0
    for pattern in _PATTERNS:
        made, count = pattern.subn(_MASK, made)
        removed += count
    for word in own:
        made, count = re.subn(rf"(?<!\w){re.escape(word)}(?!\w)", _MASK, made, flags=re.IGNORECASE)
        removed += count
    kept = {name: _kept(name, value) for name, value in values.items() if not isinstance(value, Mapping | list)}
    said = f"{made} {kept}".casefold()
    if any(word.casefold() in said for word in own if len(word) >= _TELLING):
        raise StillNamed
    return Hidden(kept, made, removed)


def words_of(patient: Mapping[str, Any]) -> Iterator[str]:
    """Yield what names a patient: parts of names, identifiers, ways to reach them, where they live, their id."""
    for place in ("name", "contact", "telecom", "address", "identifier"):
        yield from _texts(patient.get(place, []))
    if len(str(patient.get("id", ""))) > _FEWEST:
        yield str(patient["id"])
    if patient.get("birthDate"):
        yield str(patient["birthDate"])


def _texts(found: Any) -> Iterator[str]:
    if isinstance(found, Mapping):
        for key, value in found.items():
            if key not in ("use", "system", "type", "period", "relationship", "gender", "rank", "country", "assigner"):
                yield from _texts(value)
    elif isinstance(found, list):
        for each in found:
            yield from _texts(each)
    elif isinstance(found, str):
        yield from (word for word in [found, *re.split(r"[\s,;]+", found)] if len(word) >= _FEWEST)


def _kept(name: str, value: Any) -> Any:
    if name == "age" and isinstance(value, int | float):
        return int(value) if value <= OLDEST else f"over {OLDEST}"
    return value

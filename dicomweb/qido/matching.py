"""Matching of attributes: https://dicom.nema.org/medical/dicom/current/output/chtml/part04/sect_C.2.2.2.html"""

import re
from collections.abc import Callable, Mapping
from datetime import date
from functools import lru_cache
from typing import Any, Final

from pydicom.datadict import dictionary_VR

from dicomweb.index.folding import folded, words_of
from dicomweb.ingest.facts import is_uid
from dicomweb.model.values import DicomJson
from fhir_server.plugin_api import BadRequest

Holds = Callable[[DicomJson], bool]
_DATE: Final = re.compile(r"\d{4}\.?(0[1-9]|1[0-2])\.?(0[1-9]|[12]\d|3[01])")
_TIME: Final = re.compile(r"([01]\d|2[0-3])(:?[0-5]\d(:?([0-5]\d|60)(\.\d{1,6})?)?)?")
_DATE_TIME: Final = re.compile(r"\d{4}(\d{2}(\d{2}(\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?)?)?)?([+-]\d{4})?")
_SHAPES: Final[Mapping[str, re.Pattern[str]]] = {"DA": _DATE, "TM": _TIME, "DT": _DATE_TIME}
_NUMBERS: Final = frozenset(("IS", "DS", "US", "SS", "UL", "SL", "FL", "FD", "UV", "SV"))
_UNSEARCHABLE: Final = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "UN"))


def vr_of(tag: str) -> str:
    """Return the VR of a standard attribute, the first where there are several. Raises BadRequest."""
    try:
        return str(dictionary_VR(int(tag, 16))).split(" or ")[0]
    except KeyError:
        raise BadRequest(f"there is no attribute {tag} in the standard", expression=f"http.{tag}") from None


def matcher(path: str, value: str, *, fuzzy: bool = False) -> Holds | None:
    """Return what tells whether attributes match; None for a value that matches everything.

    Raises:
        BadRequest: the value is none of its kind.
    """
    if "." in path:
        outer, inner = path.split(".", 1)
        within = matcher(inner, value, fuzzy=fuzzy)
        return None if within is None else lambda row: any(within(each) for each in _values(row, outer) if each)
    vr = vr_of(path)
    if vr in _UNSEARCHABLE:
        raise BadRequest(f"{path} cannot be searched by", expression=f"http.{path}")
    if not value or value.strip("*") == "" or (value == '""' and not value.strip('"')):
        return (lambda row: not _values(row, path)) if value == '""' else None
    test = _test(vr, path, value, fuzzy)
    return lambda row: any(each is not None and test(each) for each in _values(row, path))


def uids_in(value: str) -> list[str]:
    """Return the UIDs of a list. Raises BadRequest: one is none."""
    found = [each.strip() for each in re.split(r"[,\\]", value) if each.strip()]
    for each in found:
        if not is_uid(each):
            raise BadRequest("a value is no UID", expression="http.query")
    return found


def range_of(vr: str, value: str) -> tuple[str, str]:
    """Return lowest and highest of a date, time or range, in basic form; empty for an open end. Raises BadRequest."""
    low, dash, high = value.partition("-") if vr != "DT" else _date_times(value)
    for each in (low, high):
        if each and not _SHAPES[vr].fullmatch(each):
            raise BadRequest(f"{value!r} is no {_KINDS[vr]}", expression="http.query")
    if vr == "DA" and not dash and low and not _on_a_calendar(low):
        raise BadRequest(f"{value!r} is no {_KINDS[vr]}", expression="http.query")
    if dash and not low and not high:
        raise BadRequest("a range needs at least one end", expression="http.query")
    low, high = low.replace(".", "") if vr == "DA" else low.replace(":", ""), high
    high = high.replace(".", "") if vr == "DA" else high.replace(":", "")
    return (low, high) if dash else (low, low)


def _on_a_calendar(day: str) -> bool:
    """Whether a day is one. Ends of ranges need not be: clients write 31 for the end of every month."""
    try:
        date.fromisoformat(day.replace(".", ""))
    except ValueError:
        return False
    return True


_KINDS: Final = {
    "DA": "date: YYYYMMDD, or a range",
    "TM": "time: HHMMSS, or a range",
    "DT": "date and time, or a range",
}


def _date_times(value: str) -> tuple[str, str, str]:
    """Split a range of DT, whose values may end in a zone with a dash."""
    for place, sign in enumerate(value):
        if sign == "-" and all(not part or _DATE_TIME.fullmatch(part) for part in (value[:place], value[place + 1 :])):
            return value[:place], "-", value[place + 1 :]
    return value, "", ""


def _test(vr: str, path: str, value: str, fuzzy: bool) -> Callable[[Any], bool]:
    if vr == "UI":
        named = frozenset(uids_in(value))
        return lambda each: each in named
    if vr in _SHAPES:
        low, high = range_of(vr, value)
        return lambda each: _within(vr, str(each), low, high)
    if vr in _NUMBERS:
        return _number(value, path)
    if vr == "PN":
        return _name(value, fuzzy)
    if vr == "CS" and ("," in value or "\\" in value):
        several = [_wild(each, vr) for each in re.split(r"[,\\]", value)]
        return lambda each: any(pattern(str(each)) for pattern in several)
    pattern = _wild(value, vr)
    return lambda each: pattern(str(each))


def _within(vr: str, text: str, low: str, high: str) -> bool:
    value = text.replace(".", "") if vr == "DA" else text.replace(":", "")
    return (not low or value >= low or value.startswith(low)) and (
        not high or value <= high or value.startswith(high)
    )  # fmt: skip


def _number(value: str, path: str) -> Callable[[Any], bool]:
    try:
        wanted = {float(each) for each in value.split("\\")}
    except ValueError:
        raise BadRequest(f"the value of {path} is no number", expression=f"http.{path}") from None
    return lambda each: isinstance(each, int | float) and float(each) in wanted


def _wild(value: str, vr: str) -> Callable[[str], bool]:
    if "*" not in value and "?" not in value:
        return lambda each: each == value
    pattern = _pattern(value)
    return lambda each: pattern.fullmatch(each) is not None


@lru_cache(1_024)
def _pattern(value: str) -> re.Pattern[str]:
    """Return a wildcard as a pattern that never goes back behind a star, so that no value takes long to match."""
    first, *others = (re.escape(part).replace(r"\?", ".") for part in re.split(r"\*+", value))
    between = "".join(f"(?>.*?{part})" for part in others[:-1])
    return re.compile(first + between + (f".*{others[-1]}" if others else ""), re.DOTALL)


def _name(value: str, fuzzy: bool) -> Callable[[Any], bool]:
    """Return the match of a name: without case and accents; each group may match. Fuzzy: each word begins one."""
    if fuzzy:
        wanted = folded(value).replace("^", " ").replace("*", " ").split()
        return lambda each: all(any(word.startswith(want) for word in words_of(each)) for want in wanted)
    asked = [folded(group).rstrip("^ ") for group in value.split("=")]
    tests = [_wild(each, "PN") for each in asked if each]

    def holds(name: Any) -> bool:
        groups = [folded(str(group)).rstrip("^ ") for group in (name.values() if isinstance(name, dict) else [name])]
        return all(any(test(group) for group in groups) for test in tests)

    return holds


def _values(row: DicomJson, tag: str) -> list[Any]:
    return row.get(tag, {}).get("Value") or []

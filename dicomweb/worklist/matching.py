"""Attribute matching: which data sets an identifier matches, and what of them it asks for.

Spec: https://dicom.nema.org/medical/dicom/current/output/chtml/part04/sect_C.2.2.html
"""

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from dicomweb.model.values import DicomJson

_RANGED: Final = frozenset(("DA", "TM", "DT"))
_EXACT: Final = frozenset(("UI", "AT", "IS", "DS", "US", "UL", "SS", "SL", "FL", "FD", "SV", "UV"))
_NO_KEYS: Final = frozenset(("00080005",))
_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")


def matches(row: Mapping[str, Any], keys: Mapping[str, Any]) -> bool:
    """Tell whether a data set matches all keys; a key without a value matches everything."""
    return all(tag in _NO_KEYS or _matches(row.get(tag) or {}, key) for tag, key in keys.items())


def _matches(element: Mapping[str, Any], key: Mapping[str, Any]) -> bool:
    wanted = [each for each in key.get("Value") or () if each not in (None, "", {})]
    if not wanted:
        return True
    there = list(element.get("Value") or ())
    if key.get("vr") == "SQ":
        item = wanted[0]
        return any(matches(each or {}, item) for each in there) or (not there and matches({}, item))
    vr = str(key.get("vr", ""))
    return any(_one(vr, _text(value), _text(want)) for want in wanted for value in there)


def _one(vr: str, value: str, want: str) -> bool:
    if vr in _RANGED:
        return _in_range(vr, value, want)
    if vr in _EXACT:
        return value == want
    if vr == "PN":
        return any(
            pattern(part, folded=True).fullmatch(_folded(name)) is not None
            for part in want.split("=")
            if part
            for name in value.split("=")
        )
    return pattern(want).fullmatch(value) is not None


@lru_cache(maxsize=1_024)
def pattern(text: str, *, folded: bool = False) -> re.Pattern[str]:
    """Return what matches a text with `*` and `?`; `folded`: whatever the case and accents."""
    text = re.sub(r"\*+", "*", _folded(text) if folded else text)
    made = {"*": ".*", "?": "."}
    return re.compile("".join(made.get(sign) or re.escape(sign) for sign in text), re.DOTALL)


def _folded(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text)
    return "".join(sign for sign in plain if not unicodedata.combining(sign)).casefold().rstrip("^ ")


def _in_range(vr: str, value: str, want: str) -> bool:
    """Tell whether a date or time lies in a range; ends that say less than the value take all that begins so."""
    if "-" not in want or (vr == "DT" and re.fullmatch(r"\d{4,}(\.\d+)?-\d{4}", want)):
        return value.startswith(want) if vr != "DA" else value == want
    low, _, high = want.partition("-")
    return (not low or value >= low or value.startswith(low)) and (not high or value <= high or value.startswith(high))


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return "=".join(str(value.get(group, "")) for group in _GROUPS).rstrip("=")
    return str(value)


def returned(keys: Mapping[str, Any], row: Mapping[str, Any]) -> DicomJson:
    """Return what an identifier asks for of a data set: empty elements where there is nothing."""
    return {tag: _returned(key, row.get(tag)) for tag, key in keys.items() if tag not in _NO_KEYS}


def _returned(key: Mapping[str, Any], element: Mapping[str, Any] | None) -> DicomJson:
    if element is None or not element.get("Value"):
        return dict(element) if element and "InlineBinary" in element else {"vr": str(key.get("vr", "UN"))}
    wanted = [each for each in key.get("Value") or () if each]
    if key.get("vr") != "SQ" or not wanted:
        return dict(element)
    return {"vr": "SQ", "Value": [returned(wanted[0], item or {}) for item in element["Value"]]}

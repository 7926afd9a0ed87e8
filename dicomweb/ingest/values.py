"""Values of elements as DICOM JSON, by their VR: PS3.18 table F.2.3-1."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from struct import iter_unpack
from typing import Any, Final

from dicomweb.ingest.text import decoded

Converter = Callable[[bytes, str, Sequence[str], set[str]], list[Any]]
BINARY: Final = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "UN"))
_NUMBERS: Final = {"US": "H", "SS": "h", "UL": "L", "SL": "l", "FL": "f", "FD": "d", "UV": "Q", "SV": "q"}
_SIZES: Final = {"H": 2, "h": 2, "L": 4, "l": 4, "f": 4, "d": 8, "Q": 8, "q": 8}
_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")


def _plain(raw: bytes, order: str, encodings: Sequence[str], coerced: set[str]) -> list[Any]:
    """Return strings of the default repertoire."""
    text = raw.decode("latin-1")
    if not raw.isascii():
        coerced.add("repertoire")
    if "\\" not in text:
        value = text.strip(" \0")
        return [value] if value else []
    return _whole([each.strip(" \0") or None for each in text.split("\\")])


def _uids(raw: bytes, order: str, encodings: Sequence[str], coerced: set[str]) -> list[Any]:
    text = raw.decode("latin-1")
    if text.endswith(" "):
        coerced.add("padding")
    return _whole([each.strip(" \0") or None for each in text.split("\\")])


def _text(raw: bytes, order: str, encodings: Sequence[str], coerced: set[str]) -> list[Any]:
    """Return strings in the character sets in force."""
    text, right = decoded(raw, encodings)
    if not right:
        coerced.add("charset")
    return _whole([each.strip(" \0") or None for each in text.split("\\")])


def _one_text(raw: bytes, order: str, encodings: Sequence[str], coerced: set[str]) -> list[Any]:
    """Return one string, in which backslashes are text."""
    text, right = decoded(raw, encodings)
    if not right:
        coerced.add("charset")
    value = text.rstrip(" \0")
    return [value] if value else []


def _names(raw: bytes, order: str, encodings: Sequence[str], coerced: set[str]) -> list[Any]:
    text, right = decoded(raw, encodings, name=True)
    if not right:
        coerced.add("charset")
    return _whole([_name(each.strip(" \0")) for each in text.split("\\")])


def _name(text: str) -> dict[str, str] | None:
    groups = (each.rstrip() for each in text.split("="))
    found = {name: group for name, group in zip(_GROUPS, groups, strict=False) if group}
    return found or None


def _decimals(raw: bytes, order: str, encodings: Sequence[str], coerced: set[str]) -> list[Any]:
    return _numbers_of(raw, float, coerced)


def _integers(raw: bytes, order: str, encodings: Sequence[str], coerced: set[str]) -> list[Any]:
    return _numbers_of(raw, int, coerced)


def _numbers_of(raw: bytes, kind: Callable[[str], float], coerced: set[str]) -> list[Any]:
    """Return numbers; what is none stays text, as the table allows."""
    found: list[Any] = []
    for each in raw.decode("latin-1").split("\\"):
        text = each.strip(" \0")
        try:
            number = kind(text) if text else None
        except ValueError:
            coerced.add("number")
            number = None
            found.append(text)
            continue
        if number is not None and not math.isfinite(number):
            coerced.add("number")
            found.append(text)
            continue
        found.append(number)
    return _whole(found)


def _binary_numbers(code: str, raw: bytes, order: str, encodings: Sequence[str], coerced: set[str]) -> list[Any]:
    size = _SIZES[code]
    if len(raw) % size:
        coerced.add("length")
        raw = raw[: len(raw) - len(raw) % size]
    values = [value for (value,) in iter_unpack(f"{order}{code}", raw)]
    if code in "fd" and not all(map(math.isfinite, values)):
        return [value if math.isfinite(value) else _unreal(value) for value in values]
    return values


def _unreal(value: float) -> str:
    return "NaN" if math.isnan(value) else "inf" if value > 0 else "-inf"


def _tags(raw: bytes, order: str, encodings: Sequence[str], coerced: set[str]) -> list[Any]:
    return [f"{group:04X}{element:04X}" for group, element in iter_unpack(f"{order}HH", raw[: len(raw) // 4 * 4])]


def _whole(values: list[Any]) -> list[Any]:
    """Return the values; none where all are empty."""
    return values if any(value is not None for value in values) else []


_CONVERTERS: Final[dict[str, Converter]] = {
    "AT": _tags,
    "DS": _decimals,
    "IS": _integers,
    "LO": _text,
    "LT": _one_text,
    "PN": _names,
    "SH": _text,
    "ST": _one_text,
    "UC": _text,
    "UI": _uids,
    "UR": _one_text,
    "UT": _one_text,
    **{vr: partial(_binary_numbers, code) for vr, code in _NUMBERS.items()},
}


def converter(vr: str) -> Converter:
    """Return what reads values of a VR that is not binary."""
    return _CONVERTERS.get(vr, _plain)

"""Data sets of queries and commands: between their bytes and DICOM JSON. Objects never go through here.

Spec: https://dicom.nema.org/medical/dicom/current/output/chtml/part05/chapter_7.html and part18/chapter_F.html
"""

import base64
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydicom.charset import decode_bytes, python_encoding
from pydicom.datadict import dictionary_VR

from dicomweb.dimse.wire.faults import ProtocolFault
from dicomweb.model.values import DicomJson

IMPLICIT: Final = "1.2.840.10008.1.2"
CHARSET: Final = "00080005"

_LONG: Final = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"))
"""VRs whose length has 32 bits in explicit encodings."""
_CODED: Final = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))
"""VRs whose characters are of the Specific Character Set."""
_WHOLE: Final = frozenset(("LT", "ST", "UR", "UT"))
"""VRs in which a backslash is a character."""
_NUMBERS: Final[Mapping[str, str]] = {
    "FD": "<d", "FL": "<f", "SL": "<l", "SS": "<h", "SV": "<q", "UL": "<L", "US": "<H", "UV": "<Q"
}  # fmt: skip
_BINARY: Final = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "UN"))
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED: Final = 0xFFFFFFFF
_DEEPEST: Final = 16
_COMPONENTS: Final = ("Alphabetic", "Ideographic", "Phonetic")


def decode(data: bytes, transfer: str) -> DicomJson:
    """Return a data set in little endian as DICOM JSON. Numbers in texts (IS, DS) stay texts, for what is asked for
    may be a pattern.

    Raises:
        ProtocolFault: it cannot be read.
    """
    try:
        found, _ = _Reader(data, transfer == IMPLICIT).items(0, len(data), ("iso8859",), 0)
    except (struct.error, IndexError, LookupError, ValueError) as error:
        raise ProtocolFault("the data set cannot be read") from error
    return found


@dataclass(slots=True)
class _Reader:
    data: bytes
    implicit: bool

    def items(self, place: int, end: int, encodings: Sequence[str], depth: int) -> tuple[DicomJson, int]:
        """Return the elements from a place on, and where they end."""
        if depth > _DEEPEST:
            raise ValueError("nested too deeply")
        found: DicomJson = {}
        while place < end:
            group, element = struct.unpack_from("<HH", self.data, place)
            tag = group << 16 | element
            if tag == _ITEM_END:
                return found, place + 8
            vr, length, place = self._head(tag, place + 4)
            if vr == "SQ" or length == _UNDEFINED:
                value, place = self._sequence(place, length, encodings, depth)
            else:
                if place + length > end:
                    raise ValueError("an element is longer than what holds it")
                value = _value(vr, self.data[place : place + length], encodings)
                place += length
            name = f"{tag:08X}"
            found[name] = {"vr": vr, "Value": value} if value and vr not in _BINARY else {"vr": vr}
            if value and vr in _BINARY:
                found[name]["InlineBinary"] = value[0]
            if name == CHARSET:
                encodings = _encodings(value)
        return found, place

    def _head(self, tag: int, place: int) -> tuple[str, int, int]:
        """Return VR, length and place of the value."""
        if self.implicit:
            (length,) = struct.unpack_from("<L", self.data, place)
            return vr_of(tag), length, place + 4
        vr = self.data[place : place + 2].decode("ascii")
        if not vr.isalpha() or not vr.isupper():
            raise ValueError("no value representation")
        if vr in _LONG:
            (length,) = struct.unpack_from("<L", self.data, place + 4)
            return vr, length, place + 8
        (length,) = struct.unpack_from("<H", self.data, place + 2)
        return vr, length, place + 4

    def _sequence(self, place: int, length: int, encodings: Sequence[str], depth: int) -> tuple[list[Any], int]:
        end = len(self.data) if length == _UNDEFINED else place + length
        if end > len(self.data):
            raise ValueError("a sequence is longer than what holds it")
        found = []
        while place < end:
            group, element, size = struct.unpack_from("<HHL", self.data, place)
            tag, place = group << 16 | element, place + 8
            if tag == _SEQUENCE_END:
                break
            if tag != _ITEM:
                raise ValueError("a sequence holds items")
            until = end if size == _UNDEFINED else place + size
            item, place = self.items(place, until, encodings, depth + 1)
            found.append(item)
        return found, place


def vr_of(tag: int) -> str:
    """Return the VR of a tag where the transfer syntax is implicit: UL of a group's length, LO of a private creator, UN
    of what the dictionary lacks.

    Spec: https://dicom.nema.org/medical/dicom/current/output/chtml/part05/chapter_7.html
    """
    if tag & 0xFFFF == 0:
        return "UL"
    try:
        return str(dictionary_VR(tag))[:2]
    except KeyError:
        return "LO" if tag >> 16 & 1 and 0x10 <= tag & 0xFFFF <= 0xFF else "UN"


def _encodings(names: Sequence[Any]) -> tuple[str, ...]:
    known = [python_encoding[str(name)] for name in names if str(name) in python_encoding]
    return tuple(known) or ("iso8859",)


def _value(vr: str, raw: bytes, encodings: Sequence[str]) -> list[Any]:
    if not raw:
        return []
    if vr in _NUMBERS:
        size = struct.calcsize(_NUMBERS[vr])
        return [value for (value,) in struct.iter_unpack(_NUMBERS[vr], raw[: len(raw) // size * size])]
    if vr == "AT":
        pairs = struct.iter_unpack("<HH", raw[: len(raw) // 4 * 4])
        return [f"{group:04X}{element:04X}" for group, element in pairs]
    if vr in _BINARY:
        return [base64.b64encode(raw).decode()]
    text = _text(vr, raw, encodings)
    if vr in _WHOLE:
        return [text.rstrip(" \0")] if text.rstrip(" \0") else []
    parts = [part.strip(" \0") for part in text.split("\\")]
    if not any(parts):
        return []
    return [_name(part) if vr == "PN" else part or None for part in parts]


def _text(vr: str, raw: bytes, encodings: Sequence[str]) -> str:
    if vr not in _CODED:
        return raw.decode("ascii", "replace")
    if len(encodings) == 1:
        return raw.decode(encodings[0] or "ascii", "replace")
    return str(decode_bytes(raw, list(encodings), {0x5C, 0x3D, 0x5E} if vr == "PN" else {0x5C}))


def _name(text: str) -> dict[str, str]:
    return {group: part for group, part in zip(_COMPONENTS, text.split("="), strict=False) if part}


def encode(rows: Mapping[str, Any], transfer: str) -> bytes:
    """Return DICOM JSON as a data set in little endian. Its texts are in ASCII where that is enough, in Latin-1 where
    that is, else in UTF-8, and the Specific Character Set says which."""
    charset, codec = _charset_of(rows)
    told = {tag: value for tag, value in rows.items() if tag != CHARSET}
    if charset:
        told[CHARSET] = {"vr": "CS", "Value": [charset]}
    return _encoded(told, transfer == IMPLICIT, codec)


def _charset_of(value: Mapping[str, Any]) -> tuple[str, str]:
    text = "".join(_texts(value))
    if text.isascii():
        return "", "ascii"
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return "ISO_IR 192", "utf-8"
    return "ISO_IR 100", "latin-1"


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return [text for each in inner for text in _texts(each)]


def _encoded(rows: Mapping[str, Any], implicit: bool, codec: str) -> bytes:
    parts = []
    for name in sorted(rows):
        tag, element = int(name, 16), rows[name]
        vr = str(element.get("vr", "UN"))
        value = _bytes_of(vr, element, implicit, codec)
        head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
        if implicit:
            parts.append(head + struct.pack("<L", len(value)) + value)
        elif vr in _LONG:
            parts.append(head + vr.encode() + struct.pack("<HL", 0, len(value)) + value)
        else:
            value = value[:0xFFFE]
            parts.append(head + vr.encode() + struct.pack("<H", len(value)) + value)
    return b"".join(parts)


def _bytes_of(vr: str, element: Mapping[str, Any], implicit: bool, codec: str) -> bytes:
    values = element.get("Value") or ()
    if vr == "SQ":
        return b"".join(_item(_encoded(item or {}, implicit, codec)) for item in values)
    if vr in _NUMBERS:
        return b"".join(struct.pack(_NUMBERS[vr], value) for value in values)
    if vr == "AT":
        return b"".join(struct.pack("<HH", int(value[:4], 16), int(value[4:], 16)) for value in values)
    if vr in _BINARY:
        raw = base64.b64decode(element.get("InlineBinary", ""))
        return raw + b"\0" * (len(raw) % 2)
    raw = "\\".join(_said(vr, value) for value in values).encode(codec, "replace")
    return raw + (b"\0" if vr == "UI" else b" ") * (len(raw) % 2)


def _item(value: bytes) -> bytes:
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(value)) + value


def _said(vr: str, value: object) -> str:
    if value is None:
        return ""
    if vr == "PN" and isinstance(value, Mapping):
        return "=".join(str(value.get(group, "")) for group in _COMPONENTS).rstrip("=")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def text(rows: Mapping[str, Any], tag: str) -> str:
    """Return the values of an element as DICOM writes them, with backslashes; empty: there is none."""
    element = rows.get(tag) or {}
    return "\\".join(_said(str(element.get("vr", "")), value) for value in element.get("Value") or ())


def items(rows: Mapping[str, Any], tag: str) -> list[DicomJson]:
    """Return the items of a sequence."""
    element = rows.get(tag) or {}
    return [item for item in element.get("Value") or () if isinstance(item, dict)]


def element(vr: str, *values: object) -> DicomJson:
    """Return an element with the values that are something."""
    told: list[object] = [{"Alphabetic": value} if vr == "PN" else value for value in values if value not in ("", None)]
    return {"vr": vr, "Value": told} if told else {"vr": vr}


def sequence_item(item: Mapping[str, Any]) -> DicomJson:
    """Return a sequence of one item."""
    return {"vr": "SQ", "Value": [dict(item)]}

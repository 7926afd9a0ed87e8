"""File Meta Information: read from what comes as a Part 10 file, written before what an association brings.

https://dicom.nema.org/medical/dicom/current/output/chtml/part10/chapter_7.html
"""

import struct
from dataclasses import dataclass
from typing import Final

from dicomweb.ingest.elements import Elements, NeedMore, Scope
from dicomweb.ingest.faults import ObjectFault
from dicomweb.ingest.syntaxes import Encoding

PREAMBLE: Final = 132
CLASS_UID: Final = "1.2.826.0.1.3680043.10.1606.1"
_LONGEST: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class FileMeta:
    """What stands before a data set, which begins at `size`."""

    transfer_syntax: str
    sop_class: str
    sop_instance: str
    size: int


def read_meta(data: bytes | bytearray) -> FileMeta:
    """Read preamble and File Meta Information.

    Raises:
        NeedMore: it goes on. ObjectFault: it is none.
    """
    if len(data) < PREAMBLE:
        raise NeedMore
    if data[128:132] != b"DICM":
        raise ObjectFault("this is no DICOM file: the preamble that ends in DICM is missing (PS3.10 7.1)")
    elements, place, end = Elements(data, Encoding()), PREAMBLE, len(data)
    while place < end:
        if place + 2 > end:
            raise NeedMore
        if data[place : place + 2] != b"\2\0":
            return _meta(elements, place)
        _, _, start, length = elements.head(place, end)
        place = start + length
        if place > _LONGEST:
            raise ObjectFault("the File Meta Information is longer than a megabyte")
    raise NeedMore


def meta_at_end(data: bytes | bytearray) -> FileMeta:
    """Read that of a file that ends: one without any data set is none that can be stored. Raises ObjectFault."""
    if len(data) < PREAMBLE or data[128:132] != b"DICM":
        raise ObjectFault("this is no DICOM file: the preamble that ends in DICM is missing (PS3.10 7.1)")
    raise ObjectFault("the file ends within its File Meta Information")


def _meta(elements: Elements, end: int) -> FileMeta:
    try:
        found, _ = elements.data_set(PREAMBLE, end, Scope())
    except NeedMore:
        raise ObjectFault("an element of the File Meta Information is longer than it") from None

    def value(tag: str) -> str:
        values = found.get(tag, {}).get("Value") or [""]
        return str(values[0] or "")

    syntax = value("00020010")
    if not syntax:
        raise ObjectFault("the File Meta Information names no Transfer Syntax UID (0002,0010)")
    return FileMeta(syntax, value("00020002"), value("00020003"), end)


def written_meta(transfer_syntax: str, sop_class: str, sop_instance: str, source_ae: str = "") -> bytes:
    """Return preamble and File Meta Information for a bare data set."""
    parts = [
        _element(1, b"OB", b"\0\1"),
        _uid(2, sop_class),
        _uid(3, sop_instance),
        _uid(0x10, transfer_syntax),
        _uid(0x12, CLASS_UID),
    ]
    if source_ae:
        parts.append(_element(0x16, b"AE", _even(source_ae.encode("ascii", "replace")[:16], b" ")))
    body = b"".join(parts)
    return bytes(128) + b"DICM" + _element(0, b"UL", struct.pack("<L", len(body))) + body


def _uid(element: int, uid: str) -> bytes:
    return _element(element, b"UI", _even(uid.encode("ascii", "replace"), b"\0"))


def _even(value: bytes, pad: bytes) -> bytes:
    return value + pad * (len(value) % 2)


def _element(element: int, vr: bytes, value: bytes) -> bytes:
    if vr == b"OB":
        return struct.pack("<HH2sHL", 2, element, vr, 0, len(value)) + value
    return struct.pack("<HH2sH", 2, element, vr, len(value)) + value

"""Reads the elements of a data set into DICOM JSON, strictly: lengths that lie and VRs that are none are told.

https://dicom.nema.org/medical/dicom/current/output/chtml/part05/chapter_7.html and PS3.18 annex F.
"""

from base64 import b64encode
from dataclasses import dataclass, field
from functools import lru_cache
from struct import Struct
from typing import Any, Final, cast

from pydicom.datadict import DicomDictionary, RepeatersDictionary, mask_match

from dicomweb.ingest.faults import ObjectFault, named
from dicomweb.ingest.syntaxes import Encoding
from dicomweb.ingest.text import DEFAULT, encodings_of
from dicomweb.ingest.values import BINARY, converter
from dicomweb.model.values import DicomJson

UNDEFINED: Final = 0xFFFFFFFF
ITEM: Final = 0xFFFEE000
ITEM_END: Final = 0xFFFEE00D
SEQUENCE_END: Final = 0xFFFEE0DD
PIXEL_DATA: Final = 0x7FE00010
PIXELS: Final = frozenset((0x7FE00008, 0x7FE00009, PIXEL_DATA))
_CHARSET: Final = 0x00080005
_REPRESENTATION: Final = 0x00280103
_LONG: Final = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_SHORT: Final = frozenset(
    (b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL", b"SS",
     b"ST", b"TM", b"UI", b"UL", b"US")
)  # fmt: skip
_DEEPEST: Final = 64
Head = tuple[int, str, int, int]
"""Of an element: its tag, its VR, where its value begins, its length."""


class NeedMore(Exception):
    """The data ends within an element; whoever has more of it may try again."""


@dataclass(slots=True)
class Scope:
    """What is in force within a data set or an item. `place` is its path in the object, as of bulk data URIs."""

    encodings: tuple[str, ...] = DEFAULT
    signed: bool = False
    place: str = ""
    depth: int = 0


@dataclass(slots=True)
class Elements:
    """Reads one object. inline: longest binary value that stands in JSON. coerced: what was read otherwise than it
    stands, for a warning."""

    data: bytes | bytearray
    encoding: Encoding
    inline: int = 4_096
    coerced: set[str] = field(default_factory=set)
    _unpackers: tuple[Struct, Struct, Struct, Struct] = field(init=False)

    def __post_init__(self) -> None:
        order = self.encoding.order
        self._unpackers = (
            Struct(f"{order}HH"), Struct(f"{order}HHL"), Struct(f"{order}HH2sH"), Struct(f"{order}L")
        )  # fmt: skip

    def head(self, place: int, end: int) -> Head:
        """Return what an element says of itself. Raises NeedMore, ObjectFault."""
        if place + 8 > end:
            raise NeedMore
        if not self.encoding.explicit:
            group, element, length = self._unpackers[1].unpack_from(self.data, place)
            tag = group << 16 | element
            return tag, "" if group == 0xFFFE else implied(tag), place + 8, length
        group, element, vr, length = self._unpackers[2].unpack_from(self.data, place)
        tag = group << 16 | element
        if group == 0xFFFE:
            return tag, "", place + 8, self._unpackers[3].unpack_from(self.data, place + 4)[0]
        if vr in _SHORT:
            return tag, vr.decode(), place + 8, length
        if vr not in _LONG and not (vr.isalpha() and vr.isupper()):
            raise ObjectFault(f"the value representation of {named(tag)} is none of DICOM's")
        if place + 12 > end:
            raise NeedMore
        known = vr.decode() if vr in _LONG else "UN"
        return tag, known, place + 12, self._unpackers[3].unpack_from(self.data, place + 8)[0]

    def data_set(self, place: int, end: int, scope: Scope, *, until_delimiter: bool = False) -> tuple[DicomJson, int]:
        """Return the elements up to `end` or, within an item of undefined length, to its delimiter."""
        found: DicomJson = {}
        while place < end:
            tag, vr, start, length = self.head(place, end)
            if tag >> 16 == 0xFFFE:
                if tag == ITEM_END and until_delimiter:
                    return found, start
                raise ObjectFault(f"a delimiter {named(tag)} stands where an element has to be")
            if vr == "SQ" or length == UNDEFINED:
                value, place = self._nested(tag, vr, start, length, end, scope)
            else:
                place = start + length
                if place > end:
                    raise NeedMore
                value = self._value(tag, vr, start, place, scope)
            found[f"{tag:08X}"] = value
        if until_delimiter:
            raise NeedMore
        return found, place

    def _value(self, tag: int, vr: str, start: int, end: int, scope: Scope) -> dict[str, Any]:
        if start == end:
            return {"vr": vr}
        if vr == "UN" and self.encoding.order == "<" and (meant := implied(tag)) != "SQ":
            vr = meant  # PS3.5 6.2.2: whoever knows the element knows its VR; such values are little endian
        vr = vr if " " not in vr else _resolved(vr, tag, scope)
        if vr in BINARY:
            if end - start > self.inline:
                return {"vr": vr, "BulkDataURI": f"bulkdata/{scope.place}{tag:08X}"}
            return {"vr": vr, "InlineBinary": b64encode(self.data[start:end]).decode()}
        raw = bytes(self.data[start:end])
        values = converter(vr)(raw, self.encoding.order, scope.encodings, self.coerced)
        if tag == _CHARSET and values:
            scope.encodings, known = encodings_of(tuple(each or "" for each in values))
            if not known:
                self.coerced.add("charset")
        elif tag == _REPRESENTATION and values:
            scope.signed = values[0] == 1
        return {"vr": vr, "Value": values} if values else {"vr": vr}

    def _nested(self, tag: int, vr: str, start: int, length: int, end: int, scope: Scope) -> tuple[dict[str, Any], int]:
        """Return a sequence. One of undefined length whose VR is unknown is in implicit little endian."""
        if scope.depth > _DEEPEST:
            raise ObjectFault(f"the sequences in {named(tag)} go deeper than {_DEEPEST} levels")
        if vr not in ("SQ", "UN"):
            raise ObjectFault(f"the length of {named(tag)} is undefined, and it is no sequence")
        reader = self if vr == "SQ" else Elements(self.data, Encoding(False, "<"), self.inline, self.coerced)
        stop = end if length == UNDEFINED else start + length
        if stop > end:
            raise NeedMore
        items, place = reader._items(tag, start, stop, length == UNDEFINED, scope)
        return {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}, place

    def _items(self, tag: int, place: int, end: int, open_: bool, scope: Scope) -> tuple[list[DicomJson], int]:
        items: list[DicomJson] = []
        while place < end:
            if place + 8 > end:
                raise NeedMore
            group, element, length = self._unpackers[1].unpack_from(self.data, place)
            which, start = group << 16 | element, place + 8
            if which == SEQUENCE_END and open_:
                return items, start
            if which != ITEM:
                raise ObjectFault(f"in the sequence {named(tag)} stands {named(which)} where an item has to begin")
            inner = Scope(
                scope.encodings, scope.signed, f"{scope.place}{tag:08X}/{len(items) + 1}/", scope.depth + 1
            )  # fmt: skip
            stop = end if length == UNDEFINED else start + length
            if stop > end:
                raise NeedMore
            item, place = self.data_set(start, stop, inner, until_delimiter=length == UNDEFINED)
            items.append(item)
        if open_:
            raise NeedMore
        return items, place

    def over_items(self, tag: int, place: int, end: int, depth: int) -> int:
        """Return the place behind the items of a sequence of undefined length, looking at nothing in them."""
        if depth > _DEEPEST:
            raise ObjectFault(f"the sequences in {named(tag)} go deeper than {_DEEPEST} levels")
        while True:
            if place + 8 > end:
                raise NeedMore
            group, element, length = self._unpackers[1].unpack_from(self.data, place)
            which, place = group << 16 | element, place + 8
            if which == SEQUENCE_END:
                return place
            if which != ITEM:
                raise ObjectFault(f"in the sequence {named(tag)} stands {named(which)} where an item has to begin")
            place = self.over_item(place, end, depth) if length == UNDEFINED else place + length

    def over_item(self, place: int, end: int, depth: int = 0) -> int:
        """Return the place behind an item of undefined length."""
        while True:
            tag, vr, start, length = self.head(place, end)
            if tag == ITEM_END:
                return start
            if length != UNDEFINED:
                place = start + length
            elif vr in ("SQ", "UN"):
                reader = self if vr == "SQ" else Elements(self.data, Encoding(False, "<"))
                place = reader.over_items(tag, start, end, depth + 1)
            else:
                raise ObjectFault(f"the length of {named(tag)} is undefined, and it is no sequence")


@lru_cache(8_192)
def implied(tag: int) -> str:
    """Return the VR of a tag where elements do not name it; several with ` or ` between."""
    if tag & 0xFFFF == 0:
        return "UL"
    if tag >> 16 & 1:
        return "LO" if 0x10 <= tag & 0xFFFF <= 0xFF else "UN"
    entry = DicomDictionary.get(tag)
    if entry is None:
        mask = mask_match(tag)
        entry = RepeatersDictionary[mask] if mask else None
    return cast("str", entry[0]) if entry and entry[0] else "UN"


def _resolved(vr: str, tag: int, scope: Scope) -> str:
    """Return the VR that is meant where the dictionary gives several."""
    if vr == "US or SS":
        return "SS" if scope.signed else "US"
    if vr.startswith("US or SS or OW") or vr == "US or OW":
        return "OW" if tag in (0x00281201, 0x00281202, 0x00281203, 0x00283006) else "SS" if scope.signed else "US"
    return "OW"

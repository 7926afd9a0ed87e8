"""Locating: where the value of an element stands, by its path: a tag, or tags of sequences with numbers of items."""

from collections.abc import Sequence

from dicomweb.ingest.elements import ITEM, ITEM_END, SEQUENCE_END, UNDEFINED, Elements, NeedMore
from dicomweb.ingest.faults import ObjectFault
from dicomweb.ingest.meta import read_meta
from dicomweb.ingest.syntaxes import Encoding, encoding_of

Place = tuple[int, int]


def located(header: bytes, transfer_syntax: str, path: Sequence[str]) -> Place | None:
    """Return start and length of a value within a header (see Opened.header); None where it is not in it."""
    try:
        tags = [int(each, 16) if number % 2 == 0 else int(each) for number, each in enumerate(path)]
        begin = read_meta(header + bytes(2)).size
        encoding = encoding_of(transfer_syntax)
        if encoding.explicit and not header[begin + 4 : begin + 6].isalpha():
            encoding = Encoding(False, encoding.order)
        return _in(Elements(header, encoding), begin, len(header), tags)
    except (ValueError, NeedMore, ObjectFault):
        return None


def _in(elements: Elements, place: int, end: int, tags: Sequence[int]) -> Place | None:
    while place < end:
        tag, vr, start, length = elements.head(place, end)
        if tag == ITEM_END:
            return None
        if tag == tags[0]:
            if len(tags) == 1:
                return None if length == UNDEFINED or start + length > end else (start, length)
            return _within(elements, vr, start, end if length == UNDEFINED else start + length, tags)
        place = _behind(elements, tag, vr, start, length, end)
    return None


def _within(elements: Elements, vr: str, place: int, end: int, tags: Sequence[int]) -> Place | None:
    """Look in the item that is meant."""
    reader = elements if vr == "SQ" else Elements(elements.data, Encoding(False, "<"))
    number = 0
    while place < end:
        tag, _, start, length = reader.head(place, end)
        if tag == SEQUENCE_END or tag != ITEM:
            return None
        number += 1
        if number == tags[1]:
            return _in(reader, start, end if length == UNDEFINED else start + length, tags[2:]) if tags[2:] else None
        place = reader.over_item(start, end) if length == UNDEFINED else start + length
    return None


def _behind(elements: Elements, tag: int, vr: str, start: int, length: int, end: int) -> int:
    if length != UNDEFINED:
        return start + length
    reader = elements if vr == "SQ" else Elements(elements.data, Encoding(False, "<"))
    return reader.over_items(tag, start, end, 0)

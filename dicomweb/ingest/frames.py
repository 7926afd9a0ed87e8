"""Where each frame of an object lies: PS3.5 A.4, and PS3.3 C.7.6.3 for native ones."""

from array import array
from itertools import pairwise
from struct import unpack
from typing import Final

from dicomweb.ingest.elements import UNDEFINED
from dicomweb.ingest.scan import Scanned
from dicomweb.ingest.tail import Tail
from dicomweb.model.values import DicomJson, Pixels

_ITEM_HEAD: Final = 8
_EXTENDED: Final = "7FE00001"


def pixels_of(scanned: Scanned) -> Pixels | None:
    """Return where the pixel data lies; None for an object without any."""
    if scanned.pixels is None:
        return None
    tag, start, length = scanned.pixels
    wanted = max(1, _number(scanned.header, "00280008", 1))
    if length == UNDEFINED:
        tail = scanned.tail
        assert tail is not None
        return Pixels(start, -1, min(wanted, max(1, len(tail.starts))), 0, f"{tag:08X}")
    size = _frame_size(scanned.header)
    if size and size * wanted > length and _padded(length, wanted) < size:
        size = length // wanted if length % wanted == 0 else size
    there = min(wanted, length // size) if size else wanted
    return Pixels(start, length, max(there, 0), size, f"{tag:08X}")


def spans_of(pixels: Pixels, tail: Tail | None) -> "array[int] | None":
    """Return starts and lengths of the frames of encapsulated pixels, one after the other: each from the head of its
    first item to the end of its last."""
    if pixels.length != -1 or tail is None:
        return None
    starts, lengths = tail.starts, tail.lengths
    firsts = _firsts(pixels.frames, tail)
    spans = array("Q")
    for first, behind in pairwise((*firsts, len(starts))):
        if first >= len(starts):
            break
        begin = starts[first] - _ITEM_HEAD
        spans.extend((begin, starts[behind - 1] + lengths[behind - 1] - begin))
    return spans


def bits(header: DicomJson) -> int:
    """Return Bits Allocated."""
    return _number(header, "00280100", 8)


def _firsts(frames: int, tail: Tail) -> list[int]:
    """Return the number of the fragment with which each frame begins."""
    count = len(tail.starts)
    if frames == count or count == 0:
        return list(range(count))
    if frames == 1:
        return [0]
    if len(tail.table) == 4 * frames:
        by_place = {start - _ITEM_HEAD: number for number, start in enumerate(tail.starts)}
        origin = tail.starts[0] - _ITEM_HEAD
        found = [by_place.get(origin + offset, -1) for offset in unpack(f"<{frames}L", tail.table)]
        if -1 not in found and found == sorted(set(found)):
            return found
    begun = [number for number, begins in enumerate(tail.begins) if begins]
    if len(begun) == frames and begun[0] == 0:
        return begun
    return [number * count // frames for number in range(frames)]


def _frame_size(header: DicomJson) -> int:
    """Return the bytes of a native frame; 0 where frames do not begin at bytes, or it is not said."""
    samples = _number(header, "00280002", 1)
    wide = _number(header, "00280010", 0) * _number(header, "00280011", 0) * samples * bits(header)
    if (header.get("00280004", {}).get("Value") or [""])[0] == "YBR_FULL_422":
        wide = wide * 2 // 3
    return wide // 8 if wide % 8 == 0 else 0


def _padded(length: int, frames: int) -> int:
    return length // frames if frames else 0


def _number(header: DicomJson, tag: str, default: int) -> int:
    values = header.get(tag, {}).get("Value") or [default]
    return values[0] if isinstance(values[0], int) and values[0] >= 0 else default

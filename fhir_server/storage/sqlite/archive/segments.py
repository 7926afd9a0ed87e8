"""Segments: files of the archive with the entries of a few seconds, whole or not there at all.

A segment is `FHIRSEG1`, the size of its head (4 bytes), its head (JSON), its entries (compressed where they are not
sealed), and the SHA-256 of all that. It bears the numbers of its first and last entry in its name and in its head, so
one that was renamed or put in another's place is told from what it says it is.
"""

import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Final

from fhir_server.storage.base import BackupRefused
from fhir_server.storage.sqlite.archive.entries import Entry, unpacked
from fhir_server.storage.sqlite.archive.places.place import Spot

_MAGIC: Final = b"FHIRSEG1"
_LENGTH: Final = 4
_SUM: Final = 32
_LEVEL: Final = 1  # of zlib: level 6 takes four times as long for a sixth less
_HEADS: Final = 4096  # bytes in which most heads end
SUFFIX: Final = ".seg"


@dataclass(frozen=True, slots=True)
class Head:
    """What a segment holds: entries of a lineage, the txids before and after them, the times of the first and last in
    milliseconds, and the large objects that they attach."""

    lineage: str
    first: int
    last: int
    before: int
    txid: int
    begins: int
    ends: int
    packed: bool
    blobs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment as its name tells it, with its bytes and when it was written in seconds since 1970."""

    spot: Spot
    first: int
    last: int
    size: int
    changed: float

    def head(self) -> Head:
        """Return its head, which is not checked against its sum. Raises BackupRefused, OSError."""
        try:
            data = self.spot.get(_HEADS)
            start = len(_MAGIC) + _LENGTH
            end = start + int.from_bytes(data[len(_MAGIC) : start], "big")
            return _head((data if end <= len(data) else self.spot.get(end))[start:end])
        except FileNotFoundError:
            raise BackupRefused(f"{self.spot} is missing") from None
        except (ValueError, TypeError) as error:
            raise _damaged(self.spot, repr(error)) from None

    def read(self) -> tuple[Head, list[Entry]]:
        """Return head and entries. Raises BackupRefused, which names the file: it is damaged, or in another's place."""
        try:
            data = self.spot.get()
        except OSError as error:
            raise BackupRefused(f"{self.spot} cannot be read: {error}") from None
        if not data.startswith(_MAGIC) or sha256(data[:-_SUM]).digest() != data[-_SUM:]:
            raise _damaged(self.spot, "its sum is another")
        start = len(_MAGIC) + _LENGTH
        size = int.from_bytes(data[len(_MAGIC) : start], "big")
        head, body = _head(data[start : start + size]), data[start + size : -_SUM]
        entries = list(unpacked(zlib.decompress(body) if head.packed else body))
        if (head.first, head.last, head.lineage) != (self.first, self.last, _lineage(self.spot)):
            raise BackupRefused(f"{self.spot} holds entries {head.first} to {head.last} of {head.lineage}: it is in "
                                "the place of another")  # fmt: skip
        if [each.number for each in entries] != list(range(head.first, head.last + 1)):
            raise _damaged(self.spot, "entries are missing")
        return head, entries


def write(lineage: Spot, entries: Sequence[Entry], blobs: Sequence[str], *, packed: bool) -> None:
    """Write entries that follow each other into a lineage; durable when it returns. Raises OSError."""
    first, last = entries[0], entries[-1]
    head = Head(lineage.name, first.number, last.number, first.before, last.txid, first.time, last.time, packed,
                tuple(blobs))  # fmt: skip
    text = json.dumps(asdict(head)).encode()
    body = b"".join(entry.packed() for entry in entries)
    data = _MAGIC + len(text).to_bytes(_LENGTH, "big") + text + (zlib.compress(body, _LEVEL) if packed else body)
    spot = lineage / f"segments/{first.number // 100_000:08d}/{first.number:012d}-{last.number:012d}{SUFFIX}"
    spot.put(data + sha256(data).digest())


def listed(lineage: Spot) -> list[Segment]:
    """Return the segments of a lineage in order, by their names alone. Raises OSError."""
    found, folder = list[Segment](), lineage / "segments"
    for each in folder.found():
        name = each.name.rpartition("/")[2]
        first, _, last = name.removesuffix(SUFFIX).partition("-")
        if name.endswith(SUFFIX) and first.isdecimal() and last.isdecimal():
            found.append(Segment(folder / each.name, int(first), int(last), each.size, each.changed))
    return sorted(found, key=lambda segment: (segment.first, segment.last))


def _lineage(spot: Spot) -> str:
    return spot.parent.parent.parent.name


def _head(text: bytes) -> Head:
    try:
        value = json.loads(text)
        return Head(**{**value, "blobs": tuple(value["blobs"])})
    except (ValueError, TypeError, KeyError) as error:
        raise BackupRefused(f"a segment has no head that can be read: {error!r}") from None


def _damaged(spot: Spot, why: str) -> BackupRefused:
    return BackupRefused(f"{spot} is damaged: {why}")

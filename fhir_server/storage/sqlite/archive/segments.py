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
from pathlib import Path
from typing import Final

from fhir_server.storage.base import BackupRefused
from fhir_server.storage.sqlite.archive.entries import Entry, unpacked
from fhir_server.storage.sqlite.durable import make_folder, replace

_MAGIC: Final = b"FHIRSEG1"
_LENGTH: Final = 4
_SUM: Final = 32
_LEVEL: Final = 1  # of zlib: level 6 takes four times as long for a sixth less
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
    """A segment as its name tells it."""

    path: Path
    first: int
    last: int

    def head(self) -> Head:
        """Return its head, which is not checked against its sum. Raises BackupRefused."""
        try:
            with self.path.open("rb") as file:
                start = file.read(len(_MAGIC) + _LENGTH)
                return _head(file.read(int.from_bytes(start[len(_MAGIC) :], "big")))
        except (OSError, ValueError, TypeError) as error:
            raise _damaged(self.path, repr(error)) from None

    def read(self) -> tuple[Head, list[Entry]]:
        """Return head and entries. Raises BackupRefused, which names the file: it is damaged, or in another's place."""
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise BackupRefused(f"{self.path} cannot be read: {error}") from None
        if not data.startswith(_MAGIC) or sha256(data[:-_SUM]).digest() != data[-_SUM:]:
            raise _damaged(self.path, "its sum is another")
        start = len(_MAGIC) + _LENGTH
        size = int.from_bytes(data[len(_MAGIC) : start], "big")
        head, body = _head(data[start : start + size]), data[start + size : -_SUM]
        entries = list(unpacked(zlib.decompress(body) if head.packed else body))
        if (head.first, head.last, head.lineage) != (self.first, self.last, _lineage(self.path)):
            raise BackupRefused(f"{self.path} holds entries {head.first} to {head.last} of {head.lineage}: it is in "
                                "the place of another")  # fmt: skip
        if [each.number for each in entries] != list(range(head.first, head.last + 1)):
            raise _damaged(self.path, "entries are missing")
        return head, entries


def write(lineage: Path, entries: Sequence[Entry], blobs: Sequence[str], *, packed: bool) -> Segment:
    """Write entries that follow each other into the folder of a lineage; durable when it returns. Raises OSError."""
    first, last = entries[0], entries[-1]
    head = Head(lineage.name, first.number, last.number, first.before, last.txid, first.time, last.time, packed,
                tuple(blobs))  # fmt: skip
    text = json.dumps(asdict(head)).encode()
    body = b"".join(entry.packed() for entry in entries)
    data = _MAGIC + len(text).to_bytes(_LENGTH, "big") + text + (zlib.compress(body, _LEVEL) if packed else body)
    folder = lineage / "segments" / f"{first.number // 100_000:08d}"
    make_folder(folder)
    path = folder / f"{first.number:012d}-{last.number:012d}{SUFFIX}"
    replace(path, data + sha256(data).digest())
    return Segment(path, first.number, last.number)


def listed(lineage: Path) -> list[Segment]:
    """Return the segments of a lineage in order, by their names alone."""
    found = []
    for path in (lineage / "segments").glob(f"*/*{SUFFIX}"):
        first, _, last = path.stem.partition("-")
        if first.isdecimal() and last.isdecimal():
            found.append(Segment(path, int(first), int(last)))
    return sorted(found, key=lambda segment: (segment.first, segment.last))


def _lineage(path: Path) -> str:
    return path.parent.parent.parent.name


def _head(text: bytes) -> Head:
    try:
        value = json.loads(text)
        return Head(**{**value, "blobs": tuple(value["blobs"])})
    except (ValueError, TypeError, KeyError) as error:
        raise BackupRefused(f"a segment has no head that can be read: {error!r}") from None


def _damaged(path: Path, why: str) -> BackupRefused:
    return BackupRefused(f"{path} is damaged: {why}")

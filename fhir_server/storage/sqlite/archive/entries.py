"""One entry of the archive: what one transaction of the writer changed, as bytes that can be found again in a file.

An entry is a head (`FHE1`, its number, the txid before and after, its time in milliseconds, flags, the size of the data
and a CRC-32 of all that) and the data: a patchset of SQLite's session extension, which names rows by their primary key
and holds no value that was overwritten or deleted. Of an encrypted record the data are sealed (`seals`).

Source: https://www.sqlite.org/sessionintro.html
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from fhir_server.storage.sqlite.bare_copy import INDEX

MAGIC: Final = b"FHE1"
BLOBS: Final = 1
KEYS: Final = 2
"""Flags: the entry changes the table of large objects, or that of patient keys."""

LEFT_OUT: Final = INDEX
"""Tables of the index, which an archive does not hold: it is made anew from the bodies, as by a backup (ADR 12)."""

_HEAD: Final = struct.Struct(">4sQQQQBII")
_NAMES: Final = {BLOBS: b"\x00blob\x00", KEYS: b"\x00patient_key\x00"}


@dataclass(frozen=True, slots=True)
class Entry:
    """What one transaction changed.

    number: counts without gaps within a lineage. before, txid: the newest commit before and after it; equal where only
        audit rows, counters or the like were written. time: `last_updated` of its commits, else the clock, in
        milliseconds. flags: BLOBS, KEYS.
    """

    number: int
    before: int
    txid: int
    time: int
    flags: int
    data: bytes

    @property
    def commits(self) -> bool:
        """Whether it holds commits of the log."""
        return self.txid != self.before

    def packed(self) -> bytes:
        """Return it as it stands in a file."""
        parts = (MAGIC, self.number, self.before, self.txid, self.time, self.flags, len(self.data))
        return _HEAD.pack(*parts, _check(parts, self.data)) + self.data


def flags_of(patchset: bytes) -> int:
    """Return what tables a patchset may change that need more than their rows."""
    return sum(flag for flag, name in _NAMES.items() if name in patchset)


def unpacked(data: bytes) -> Iterator[Entry]:
    """Yield the whole entries in some bytes; what was cut off by the end of a process is passed over."""
    at = 0
    while (at := data.find(MAGIC, at)) >= 0:
        entry = _entry(data, at)
        if entry is None:
            at += 1
        else:
            yield entry
            at += _HEAD.size + len(entry.data)


def _entry(data: bytes, at: int) -> Entry | None:
    if len(data) - at < _HEAD.size:
        return None
    *parts, check = _HEAD.unpack_from(data, at)
    start = at + _HEAD.size
    body = data[start : start + parts[-1]]
    if len(body) != parts[-1] or _check(tuple(parts), body) != check:
        return None
    _, number, before, txid, time, flags, _ = parts
    return Entry(number, before, txid, time, flags, body)


def _check(parts: tuple[object, ...], data: bytes) -> int:
    return zlib.crc32(data, zlib.crc32(repr(parts).encode()))

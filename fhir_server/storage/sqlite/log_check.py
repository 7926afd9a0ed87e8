"""Whether the log file lost commits that were durable: SQLite reads it up to the first frame that does not add up, and
takes all that follows for the rest of a write that never ended.

That is right after a power cut, and wrong after a flipped bit. A later commit tells the two apart: none is written
before the one before it is on the disk.

Source: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import apsw

from fhir_server.storage.base import StorageFault
from fhir_server.storage.sqlite.connection import fetch

_HEADER: Final = 32
_FRAME: Final = 24
_SALTS: Final = slice(16, 24)  # in the header of the file
_MOST: Final = 4_000  # frames that are looked at beyond the place


def need_whole_log(connection: apsw.Connection, record: Path) -> None:
    """Raise StorageFault where commits follow a damaged place of the log file; call it in the turn to write."""
    log = record.with_name(f"{record.name}-wal")
    fetch(connection, "SELECT 1 FROM sqlite_schema LIMIT 1")  # SQLite reads the log file
    known = max(connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)[0], 0)
    page = int(fetch(connection, "PRAGMA page_size")[0][0])
    try:
        lost = _later_commit(log, known, _FRAME + page)
    except FileNotFoundError:
        return
    if lost:
        raise StorageFault(
            f"{log} is damaged in frame {known + 1}, and commits follow it: restore a backup, or move the file away to "
            "go on with what the record held when the file was last copied into it"
        )


def _later_commit(log: Path, known: int, size: int) -> bool:
    """Tell whether there is a damaged frame beyond the known ones, and after its commit another that adds up."""
    with log.open("rb") as file:
        header = os.pread(file.fileno(), _HEADER, 0)
        if len(header) < _HEADER:
            return False
        before = os.pread(file.fileno(), _FRAME, _HEADER + (known - 1) * size) if known else header[8:]
        sound, others, commits = _sound(header), 0, 0
        damaged = not sound
        for frame in _frames(file.fileno(), known, size):
            ours = frame[8:16] == header[_SALTS]
            others += not ours
            if sound and others > 1:
                return False  # what was in the file before it was begun anew
            whole = _adds_up(before, frame)
            if _commits(frame) and whole and commits:
                return True
            if _commits(frame) and whole and ours and not damaged:
                return False  # SQLite has another reason to pass over it: the log was just begun anew
            damaged = damaged or not whole or not ours
            commits += damaged and _commits(frame)
            before = frame
    return False


def _sound(header: bytes) -> bool:
    """Tell whether the header of the file adds up; where it does not, SQLite reads none of the file."""
    return any(_sum(header[:24], bytes(8), order) == header[24:] for order in "<>")


def _frames(descriptor: int, known: int, size: int) -> Iterator[bytes]:
    for number in range(known, known + _MOST):
        frame = os.pread(descriptor, size, _HEADER + number * size)
        if len(frame) < size:
            return
        yield frame


def _commits(frame: bytes) -> bool:
    return frame[4:8] != bytes(4)  # the size of the record after a commit, 0 within one


def _adds_up(before: bytes, frame: bytes) -> bool:
    """Tell whether the checksum of a frame goes on from that of the frame before it."""
    data = frame[:8] + frame[_FRAME:]
    return any(_sum(data, before[16:24], order) == frame[16:24] for order in "<>")


def _sum(data: bytes, start: bytes, order: str) -> bytes:
    first, second = struct.unpack(">II", start)
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for one, two in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + two + first) & 0xFFFFFFFF
    return struct.pack(">II", first, second)

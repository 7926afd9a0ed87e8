"""What stands in the files of a record, in use or not, and writing them anew."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import apsw

from fhir_server.settings import Settings
from fhir_server.storage.sqlite.connection import connect, faults, fetch

_CHUNK: Final = 8 << 20
_NAMES: Final = ("record.db", "record.db-wal", "text.db", "text.db-wal")


def rewrite(path: Path, settings: Settings) -> None:
    """Write a database anew, without its free pages and the free room within pages; nobody else writes meanwhile.

    Spec: https://sqlite.org/lang_vacuum.html
    """
    connection = connect(path, settings, writer=True)
    try:
        fetch(connection, "PRAGMA temp_store = file")  # else the whole copy would stand in memory
        fetch(connection, "VACUUM")
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    finally:
        connection.close()


def residue(folder: Path, probes: Sequence[bytes]) -> tuple[int, ...]:
    """Count each text in the raw files of a record."""
    counts = [0] * len(probes)
    with faults():
        for name in _NAMES:
            path = folder / name
            if path.exists():
                counts = [a + b for a, b in zip(counts, _counted(path, probes), strict=True)]
    return tuple(counts)


def _counted(path: Path, probes: Sequence[bytes]) -> list[int]:
    overlap = max(map(len, probes), default=1) - 1
    counts, tail = [0] * len(probes), b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            data = tail + chunk
            counts = [n + data.count(p) - tail.count(p) for n, p in zip(counts, probes, strict=True)]
            tail = data[-overlap:] if overlap else b""
    return counts

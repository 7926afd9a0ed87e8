"""A record's file read beside, or without, the server that owns it: its records and its audit log."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import apsw

from fhir_server.settings import Settings
from fhir_server.storage.audit import AuditLog
from fhir_server.storage.sqlite.audit import AuditReader
from fhir_server.storage.sqlite.connection import connect, faults
from fhir_server.storage.sqlite.records import SqliteRecords

T = TypeVar("T")


class Reader:
    """Reads the record in a folder, and writes nothing. Raises StorageFault where there is none."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        with faults():
            self._connection = connect(folder / "record.db", settings, writer=False)
        self.records = SqliteRecords(self._read)
        self.audit: AuditLog = AuditReader(self._read)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    async def _read(self, run: Callable[[apsw.Connection], T]) -> T:
        with faults():
            return run(self._connection)

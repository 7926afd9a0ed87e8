"""The read connections of one store: one for short reads on the event loop, a few for threads."""

from collections.abc import Callable
from pathlib import Path
from queue import LifoQueue
from typing import TypeVar

import apsw

from fhir_server.settings import Settings
from fhir_server.storage.sqlite.bodies import Bodies
from fhir_server.storage.sqlite.connection import connect, faults
from fhir_server.storage.sqlite.generation import Generation

T = TypeVar("T")

_Opened = tuple[bytes, apsw.Connection]


class Connections:
    """They are opened anew when a rotation of keys has put another file in the place of the record."""

    def __init__(self, folder: Path, settings: Settings, bodies: Bodies) -> None:
        self._record, self._settings, self._bodies = folder / "record.db", settings, bodies
        self._generation = Generation(folder, settings)
        self._first = self._open()
        self._readers: LifoQueue[_Opened] = LifoQueue()
        for _ in range(settings.readers):
            self._readers.put(self._open())

    @property
    def inline(self) -> apsw.Connection:
        """The connection of the event loop."""
        if self._first[0] != self._generation():
            self._first = self._renewed(self._first)
        return self._first[1]

    def on_thread(self, run: Callable[[apsw.Connection], T]) -> T:
        """Run a read in one snapshot, on the connection of a thread."""
        opened = self._readers.get()
        try:
            with faults(self._record.parent.name):
                if opened[0] != self._generation():
                    opened = self._renewed(opened)
                return in_snapshot(opened[1], run)
        finally:
            self._readers.put(opened)

    def close(self) -> None:
        """Close all; nobody reads any more."""
        while not self._readers.empty():
            self._readers.get()[1].close()
        self._first[1].close()
        self._generation.close()

    def _open(self) -> _Opened:
        generation = self._generation()  # first: a change meanwhile is noticed at the next use
        return generation, connect(self._record, self._settings, writer=False, bodies=self._bodies)

    def _renewed(self, opened: _Opened) -> _Opened:
        fresh = self._open()
        opened[1].close()
        return fresh


def in_snapshot(connection: apsw.Connection, run: Callable[[apsw.Connection], T]) -> T:
    """Run something that sees one state of the record."""
    connection.execute("BEGIN")
    try:
        return run(connection)
    finally:
        connection.execute("ROLLBACK")

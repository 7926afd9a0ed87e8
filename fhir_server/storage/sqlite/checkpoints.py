"""Moving the log file into the record beside the writer, so that no commit waits for all of it."""

import time
from pathlib import Path
from threading import Event, Thread
from typing import Final

import apsw

from fhir_server.settings import Settings
from fhir_server.storage.sqlite.connection import connect, size_of
from fhir_server.storage.sqlite.reserve import Reserve
from fhir_server.telemetry.numbers import CHECKPOINT_PAGES, CHECKPOINT_SECONDS

_SOON: Final = 0.05  # seconds before another try
_NEARLY: Final = 0.7  # share of the log beyond which the writer copies the rest


class Checkpoints:
    """A thread that copies pages of the log file into the record while commits go on.

    It never comes quite to the end of a log that grows. So once it has copied nearly all, the writer copies the rest
    in its turn (`copy_rest`), and the next commit begins the log file anew, which bounds its size.
    """

    def __init__(self, record: Path, settings: Settings, reserve: Reserve) -> None:
        self._record, self._reserve, self._pages = record, reserve, settings.checkpoint_pages
        self._connection = connect(record, settings, writer=True)
        self._wanted, self._closing, self._nearly = Event(), False, False
        self._thread = Thread(target=self._run, name="sqlite-checkpoint", daemon=True)
        self._thread.start()

    def committed(self, connection: apsw.Connection, name: str, pages: int) -> int:
        """Take note of the size of the log file; SQLite calls this after each commit of the writer."""
        if pages >= self._pages and not self._nearly:
            self._wanted.set()
        return apsw.SQLITE_OK

    def copy_rest(self, writer: apsw.Connection) -> None:
        """Copy what the thread left over, if it came far enough; for the writer, in its turn."""
        if not self._nearly:
            return
        try:
            writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.BusyError:
            return  # another process copies at the moment: the next turn tries again
        except apsw.Error:
            pass  # the disk is full: the thread sees when there is room
        self._nearly = False

    def close(self) -> None:
        """End the thread."""
        self._closing = True
        self._wanted.set()
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        while not self._closing:
            self._wanted.wait()
            self._wanted.clear()
            if not self._closing:  # asked after `clear`: `close` says so before it sets `wanted`
                self._copy()

    def _copy(self) -> None:
        try:
            if self._reserve.room_to_grow(self._record, size_of(self._connection)):
                with CHECKPOINT_SECONDS.timed():
                    pages, copied = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
                CHECKPOINT_PAGES.add(by=max(0, copied))
                self._nearly = copied > pages * _NEARLY
        except (apsw.Error, OSError):  # another process copies, or the disk is full, which the writer meets and tells
            time.sleep(_SOON)

"""Moving the log file into the record beside the writer, so that no commit waits for all of it."""

import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import Final

import apsw

from fhir_server.settings import Settings
from fhir_server.storage.sqlite.connection import connect, size_of
from fhir_server.storage.sqlite.reserve import Reserve

_SOON: Final = 0.05  # seconds before another try
_NEARLY: Final = 0.7  # share of the log beyond which the writer copies the rest


class Checkpoints:
    """A thread that copies pages of the log file into the record while commits go on.

    It never comes quite to the end of a log that grows. So once it has copied nearly all, `finish` lets the writer
    copy the rest in its turn; the next commit then begins the log file anew, which bounds its size.
    """

    def __init__(self, record: Path, settings: Settings, reserve: Reserve, finish: Callable[[], None]) -> None:
        self._record, self._pages = record, settings.checkpoint_pages
        self._reserve, self._finish = reserve, finish
        self._connection = connect(record, settings, writer=True)
        self._wanted, self._closing = Event(), False
        self._thread = Thread(target=self._run, name="sqlite-checkpoint", daemon=True)
        self._thread.start()

    def committed(self, connection: apsw.Connection, name: str, pages: int) -> int:
        """Take note of the size of the log file; SQLite calls this after each commit of the writer."""
        if pages >= self._pages:
            self._wanted.set()
        return apsw.SQLITE_OK

    def close(self) -> None:
        """End the thread."""
        self._closing = True
        self._wanted.set()
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        while self._wanted.wait() and not self._closing:
            self._copy()
            self._wanted.clear()  # commits during the copy asked for what it did
            if self._closing:
                return

    def _copy(self) -> None:
        try:
            if not self._reserve.room_to_grow(self._record, size_of(self._connection)):
                return
            pages, copied = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.Error:  # another process is at it, or the disk is full, which the writer meets too and tells
            time.sleep(_SOON)
        else:
            if copied > pages * _NEARLY:
                self._finish()

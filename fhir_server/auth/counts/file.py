"""The counts of one machine: a small file that all of its processes open."""

from pathlib import Path
from typing import Final

import apsw

from fhir_server.auth.counts.counts import Window

FILE: Final = "limits.db"
_CLEAN_EVERY: Final = 1_000


class FileCounts:
    """Counts in a file that nothing depends on; it is made when something is counted."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: apsw.Connection | None = None
        self._taken = 0

    async def take(self, name: str, window: Window, most: int, wanted: int) -> int:
        """Take up to `wanted` of what is left of a window; it takes microseconds, so nobody has to wait."""
        db = self._db or self._open()
        self._taken += 1
        with db:
            if self._taken % _CLEAN_EVERY == 0:
                db.execute("DELETE FROM counts WHERE ends < ?", (window.number * window.period,))
            asked = (name, window.number)
            row = db.execute("SELECT count FROM counts WHERE name = ? AND number = ?", asked).fetchone()
            count = int(row[0]) if row else 0
            given = max(0, min(wanted, most - count))
            if given:
                values = (name, window.number, count + given, window.ends)
                db.execute("INSERT OR REPLACE INTO counts VALUES (?, ?, ?, ?)", values)
        return given

    async def close(self) -> None:
        """Close the file."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def _open(self) -> apsw.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        db = self._db = apsw.Connection(str(self._path))
        db.set_busy_timeout(2_000)
        db.transaction_mode = "IMMEDIATE"
        db.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF")
        db.execute(
            "CREATE TABLE IF NOT EXISTS counts (name TEXT PRIMARY KEY, number INT, count INT, ends INT) WITHOUT ROWID"
        )
        return db

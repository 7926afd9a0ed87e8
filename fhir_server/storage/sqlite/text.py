"""The full-text index: an FTS5 file beside the record, fed from its log when a search asks for text.

Writes never pay for it. It is no record: it can be deleted, and is made anew when it does not belong to this record's
log. Texts are folded before they go in, so FTS5 only cuts words. The index may hold versions that are superseded; the
search asks each for its snapshot anyway.
"""

import time
from array import array
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, Final

import apsw

from fhir_server.model.keys import ResourceKey
from fhir_server.search.folding import fold
from fhir_server.search.fulltext import contains_text, content_text, narrative_text
from fhir_server.settings import Settings
from fhir_server.storage.sqlite.connection import body_of, connect
from fhir_server.storage.sqlite.generation import Generation
from fhir_server.storage.sqlite.text_query import fts5_query

SLICE: Final = 200  # versions in one transaction of the index

Texts = Callable[[str, bytes], list[tuple[str, str]]]
Place = tuple[int, int]  # last pid and the instant of its commit

_TABLES: Final = """
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(narrative, content, content='', contentless_delete=1,
  tokenize="unicode61 remove_diacritics 0 categories 'L* N* M*'");
CREATE TABLE IF NOT EXISTS place(pid INTEGER NOT NULL, last_updated INTEGER NOT NULL, store TEXT NOT NULL) STRICT;
"""
# Versions that no page link can ask for any more are not worth indexing.
_NEXT: Final = """
SELECT v.pid, v.last_updated, t.name,
  CASE WHEN v.to_txid > (SELECT value FROM meta WHERE key='swept') THEN b.data END, r.id, v.version
FROM version v CROSS JOIN type t ON t.type=v.type CROSS JOIN resource r ON r.rid=v.rid
LEFT JOIN body b ON b.pid=v.pid WHERE v.pid>? ORDER BY v.pid LIMIT ?
"""


def texts_of(type_: str, body: bytes) -> list[tuple[str, str]]:
    """Return the texts of a resource: ("_text", narrative) and ("_content", everything)."""
    return [("_text", narrative_text(body)), ("_content", content_text(body))]


class TextIndex:
    """The index of one record. One connection, used by one thread at a time; several processes share the file."""

    def __init__(self, path: Path, settings: Settings, texts: Texts = texts_of) -> None:
        self._path, self._settings, self._texts = path, settings, texts
        self._connection: apsw.Connection | None = None
        self._generation = Generation(path.parent, settings)
        self._opened = b""
        self._lock = Lock()

    def match(self, record: apsw.Connection, *, content: bool, query: str) -> tuple[bool, Sequence[int], list[str]]:
        """Return (negated, pids, notes): the versions whose text satisfies a query, or those that do not.

        The index first catches up with what `record` sees, as far as it comes within `max_text_lag`; the notes say how
        much is missing. A query without a word, which the parser refuses, finds nothing.
        """
        expression, negated = fts5_query(query, "content" if content else "narrative")
        with self._lock:
            behind = self.catch_up(record, time.monotonic() + self._settings.max_text_lag)
            rows = self._open().execute("SELECT rowid FROM words WHERE words MATCH ?", (expression,))
            pids = array("q", (row[0] for row in rows))
        notes = [f"The text index lags behind the record by {behind} versions."] if behind else []
        return negated, pids, notes

    def match_exactly(self, record: apsw.Connection, *, content: bool, query: str) -> tuple[bool, Sequence[int]]:
        """Like `match`, inside a write transaction: nothing uncommitted is indexed, what is not indexed is read."""
        expression, negated = fts5_query(query, "content" if content else "narrative")
        with self._lock:
            index = self._open()
            place = self._place(record)
            rows = index.execute("SELECT rowid FROM words WHERE words MATCH ? AND rowid<=?", (expression, place[0]))
            pids = array("q", (row[0] for row in rows))
        name = "_content" if content else "_text"
        for pid, _, type_, data in map(partial(_opened, record), record.execute(_NEXT, (place[0], -1))):
            if data and contains_text(dict(self._texts(type_, data))[name], query) is not negated:
                pids.append(pid)
        return negated, pids

    def catch_up(self, record: apsw.Connection, deadline: float) -> int:
        """Index the versions that `record` sees, in slices, until `deadline` (monotonic seconds); return how many are
        left."""
        place = self._place(record)
        last = _one(record, "SELECT coalesce(max(pid), 0) FROM version")
        while place[0] < last:
            place = self._slice(record)
            if time.monotonic() > deadline:
                break
        return _one(record, "SELECT count(*) FROM version WHERE pid>?", place[0]) if place[0] < last else 0

    def forget(self, pids: Sequence[int]) -> None:
        """Erase versions from the index beyond recovery."""
        with self._lock:
            index = self._open()
            index.execute("PRAGMA secure_delete=on").fetchall()
            with index:
                index.executemany("DELETE FROM words WHERE rowid=?", [(pid,) for pid in pids])
                index.execute("INSERT INTO words(words) VALUES('optimize')")
            index.execute("PRAGMA wal_checkpoint(truncate)").fetchall()

    def compact(self) -> None:
        """Write the file anew."""
        with self._lock:
            if self._connection is not None or self._path.exists():
                index = self._open()
                index.execute("VACUUM").fetchall()
                index.execute("PRAGMA wal_checkpoint(truncate)").fetchall()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            self._generation.close()

    def _open(self) -> apsw.Connection:
        if self._connection is not None and self._opened != self._generation():
            self._connection.close()  # a rotation of keys took the file away
            self._connection = None
        if self._connection is None:
            self._opened = self._generation()
            self._connection = connect(self._path, self._settings, writer=True)
            self._connection.execute("PRAGMA synchronous=normal").fetchall()
            self._connection.execute(_TABLES)
        return self._connection

    def _place(self, record: apsw.Connection) -> Place:
        """Return how far the index came; one that is not of this log is emptied."""
        index = self._open()
        store = _store(record)
        row = index.execute("SELECT pid, last_updated, store FROM place").fetchone()
        if row is not None and (row[2] != store or not _same_log(record, row[:2])):
            with index:
                index.execute("INSERT INTO words(words) VALUES('delete-all'); DELETE FROM place")
            row = None
        return (row[0], row[1]) if row else (0, 0)

    def _slice(self, record: apsw.Connection) -> Place:
        index = self._open()
        with index:
            index.execute("UPDATE place SET pid=pid")  # takes the turn to write, so that two processes never repeat
            place = self._place(record)
            rows = [_opened(record, row) for row in record.execute(_NEXT, (place[0], SLICE)).fetchall()]
            if not rows:
                return place
            index.executemany("INSERT INTO words(rowid, narrative, content) VALUES(?,?,?)", self._folded(rows))
            index.execute("DELETE FROM place")
            index.execute("INSERT INTO place VALUES(?,?,?)", (rows[-1][0], rows[-1][1], _store(record)))
        return rows[-1][0], rows[-1][1]

    def _folded(self, rows: Sequence[Any]) -> list[tuple[int, str, str]]:
        found = [(pid, dict(self._texts(type_, data))) for pid, _, type_, data in rows if data]
        return [(pid, fold(texts["_text"]), fold(texts["_content"])) for pid, texts in found]


def _opened(record: apsw.Connection, row: Sequence[Any]) -> tuple[int, int, str, bytes]:
    pid, last_updated, type_, data, id_, version = row
    return pid, last_updated, type_, body_of(record, ResourceKey(type_, id_), version, data or b"")


def _one(record: apsw.Connection, statement: str, *values: int) -> int:
    return int(next(iter(record.execute(statement, values)))[0])


def _store(record: apsw.Connection) -> str:
    row = record.execute("SELECT value FROM meta WHERE key='store'").fetchone()
    return str(row[0]) if row else ""


def _same_log(record: apsw.Connection, place: Place) -> bool:
    """Tell whether the record's log still has that place: a restored backup may have other versions there."""
    row = record.execute("SELECT max(last_updated) FROM tx WHERE first_pid<=?", (place[0],)).fetchone()
    return row is not None and row[0] == place[1]

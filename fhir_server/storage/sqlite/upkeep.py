"""Work that keeps the record small and its index true, in short transactions: sweep, purge, reindex."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import apsw

from fhir_server.model.keys import ResourceKey
from fhir_server.search.entries import IndexEntries
from fhir_server.storage.sqlite import bulk
from fhir_server.storage.sqlite.blob_files import BlobFiles
from fhir_server.storage.sqlite.connection import body_of, fetch
from fhir_server.storage.sqlite.differences import ChangedRows
from fhir_server.storage.sqlite.erase import drop_index_rows
from fhir_server.storage.sqlite.interning import Interning
from fhir_server.storage.sqlite.pending import Pending
from fhir_server.storage.sqlite.schema import CURRENT

SLICE: Final = 500  # versions in one transaction
_NEXT: Final = (
    "SELECT v.pid, v.rid, t.name, b.data, r.id, v.version FROM version v CROSS JOIN type t ON t.type=v.type "
    "CROSS JOIN body b ON b.pid=v.pid CROSS JOIN resource r ON r.rid=v.rid WHERE v.pid > ?1 "
    f"AND v.to_txid={CURRENT} AND (?2 OR t.name IN (SELECT value FROM json_each(?3))) ORDER BY v.pid LIMIT ?4"
)

Extract = Callable[[str, bytes], IndexEntries]
Made = tuple[int, int, str, IndexEntries]
"""(pid, rid, type, index entries) of a current version."""


def sweepable(connection: apsw.Connection, time: int) -> int:
    """Return the txid of the newest commit before a time (milliseconds)."""
    row = fetch(connection, "SELECT max(txid) FROM tx WHERE last_updated < ?", (time,))[0]
    return int(row[0] or 0)


def begin_sweep(connection: apsw.Connection, txid: int) -> None:
    """Refuse page links older than this commit from now on."""
    connection.execute("UPDATE meta SET value=max(value, ?) WHERE key='swept'", (txid,))


def sweep_slice(connection: apsw.Connection) -> int:
    """Delete index rows that no page link can ask for; return of how many versions."""
    sql = "SELECT pid FROM stale WHERE to_txid <= (SELECT value FROM meta WHERE key='swept') ORDER BY pid LIMIT ?"
    pids = [row[0] for row in fetch(connection, sql, (SLICE,))]
    drop_index_rows(connection, pids)
    connection.executemany("DELETE FROM stale WHERE pid=?", [(pid,) for pid in pids])
    return len(pids)


def sweep_blobs(connection: apsw.Connection, files: BlobFiles) -> int:
    """Remove the bytes of staged blobs that no commit attached in time; return how many."""
    leftovers = files.leftovers()
    known = {row[0] for id_ in leftovers for row in fetch(connection, "SELECT id FROM blob WHERE id=?", (id_,))}
    gone = [id_ for id_ in leftovers if id_ not in known]
    files.settle(known, gone)
    return len(gone)


def reindex_start(connection: apsw.Connection, types: Sequence[str]) -> tuple[int, int]:
    """Return (last pid done, versions done) of a run over the same types that was stopped, or zeros."""
    for (text,) in fetch(connection, "SELECT value FROM meta WHERE key='reindex'"):
        marker: dict[str, Any] = json.loads(text)
        if marker["types"] == sorted(types):
            return marker["pid"], marker["done"]
    return 0, 0


def reindex_total(connection: apsw.Connection, types: Sequence[str]) -> int:
    """Return how many current resources there are of these types."""
    rows = connection.execute("SELECT name, total FROM type")
    return sum(total for name, total in rows if not types or name in types)


def reindex_read(
    connection: apsw.Connection, types: Sequence[str], after: int, extract: Extract, most: int
) -> list[Made]:
    """Return what the index has to hold of the next current versions; nothing of those whose key was destroyed."""
    rows = fetch(connection, _NEXT, (after, not types, json.dumps(list(types)), most))
    made = list[Made]()
    for pid, rid, type_, data, id_, version in rows:
        body = body_of(connection, ResourceKey(type_, id_), version, data)
        made.append((pid, rid, type_, extract(type_, body) if body else IndexEntries()))
    return made


def reindex_write(connection: apsw.Connection, interning: Interning, made: Sequence[Made], marker: str) -> None:
    """Make the index rows of those versions that are still current what they have to be, and note how far the run
    came."""
    current = still_current(connection, [row[0] for row in made])
    changed = partial(ChangedRows, connection=connection, pids=current)
    pending = Pending(connection, interning, index=changed)
    pending.begin(0)
    known = frozenset(current)
    for pid, rid, type_, entries in made:
        if pid in known:
            pending.index(type_, rid, pid, entries)
    pending.finish()
    put_marker(connection, marker)


def still_current(connection: apsw.Connection, pids: Sequence[int]) -> list[int]:
    """Return those of these versions that are current."""
    joins = f"CROSS JOIN version v ON v.pid=k.column1 AND v.to_txid={CURRENT}"
    return [row[0] for row in bulk.select(connection, "v.pid", joins, pids)]


def put_marker(connection: apsw.Connection, marker: str) -> None:
    """Note how far a run came, in the transaction that brought it there."""
    connection.execute("INSERT OR REPLACE INTO meta VALUES('reindex', ?)", (marker,))


def reindex_end(connection: apsw.Connection) -> None:
    """Forget the marker of a finished run, and count it: what an older backup has for an index is not this."""
    connection.execute("DELETE FROM meta WHERE key='reindex'")
    connection.execute("INSERT INTO meta VALUES('indexed', 1) ON CONFLICT(key) DO UPDATE SET value=value+1")


def reindex_marker(types: Sequence[str], pid: int, done: int) -> str:
    """Return what a later run needs to go on from here."""
    return json.dumps({"types": sorted(types), "pid": pid, "done": done})

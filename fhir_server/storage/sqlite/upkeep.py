"""Work that keeps the record small and its index true, in short transactions: sweep, purge, reindex."""

import json
from collections.abc import Callable, Sequence
from typing import Any, Final

import apsw

from fhir_server.model.keys import ResourceKey
from fhir_server.search.entries import IndexEntries
from fhir_server.storage.sqlite.blob_files import BlobFiles
from fhir_server.storage.sqlite.connection import body_of, fetch
from fhir_server.storage.sqlite.erase import drop_index_rows
from fhir_server.storage.sqlite.interning import Interning
from fhir_server.storage.sqlite.pending import Pending
from fhir_server.storage.sqlite.schema import CURRENT

SLICE: Final = 500  # versions in one transaction

Extract = Callable[[str, bytes], IndexEntries]
Read = list[tuple[int, int, str, bytes]]


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


def reindex_read(connection: apsw.Connection, types: Sequence[str], after: int) -> Read:
    """Return (pid, rid, type, body) of the next current versions."""
    sql = (
        "SELECT v.pid, v.rid, t.name, b.data, r.id, v.version FROM version v CROSS JOIN type t ON t.type=v.type "
        f"CROSS JOIN body b ON b.pid=v.pid CROSS JOIN resource r ON r.rid=v.rid WHERE v.pid > ? "
        f"AND v.to_txid={CURRENT} AND (?2 OR t.name IN (SELECT value FROM json_each(?3))) ORDER BY v.pid LIMIT ?4"
    )
    rows = fetch(connection, sql, (after, not types, json.dumps(list(types)), SLICE))
    return [
        (pid, rid, type_, body_of(connection, ResourceKey(type_, id_), version, data))
        for pid, rid, type_, data, id_, version in rows
    ]


def reindex_write(
    connection: apsw.Connection, interning: Interning, rows: Read, made: Sequence[IndexEntries], marker: str
) -> None:
    """Replace the index rows of those versions that are still current, and note how far the run came."""
    pids = [row[0] for row in rows]
    current = {
        row[0]
        for pid in pids
        for row in fetch(connection, "SELECT pid FROM version WHERE pid=? AND to_txid=?", (pid, CURRENT))
    }
    drop_index_rows(connection, sorted(current))
    pending = Pending(connection, interning)
    pending.begin(0)
    for (pid, rid, type_, _), entries in zip(rows, made, strict=True):
        if pid in current:
            pending.index(type_, rid, pid, entries)
    pending.finish()
    connection.execute("INSERT OR REPLACE INTO meta VALUES('reindex', ?)", (marker,))


def reindex_end(connection: apsw.Connection) -> None:
    """Forget the marker of a finished run, and count it: what an older backup has for an index is not this."""
    connection.execute("DELETE FROM meta WHERE key='reindex'")
    connection.execute("INSERT INTO meta VALUES('indexed', 1) ON CONFLICT(key) DO UPDATE SET value=value+1")


def reindex_marker(types: Sequence[str], pid: int, done: int) -> str:
    """Return what a later run needs to go on from here."""
    return json.dumps({"types": sorted(types), "pid": pid, "done": done})

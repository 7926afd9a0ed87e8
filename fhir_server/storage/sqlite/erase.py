"""Taking versions and their index rows out of the record."""

from collections.abc import Sequence
from typing import Any, Final

import apsw

from fhir_server.model.keys import ResourceKey
from fhir_server.storage.sqlite import bulk
from fhir_server.storage.sqlite.connection import fetch
from fhir_server.storage.sqlite.rows import INDEX_TABLES

# Token values that name a person or what a person owns; others are codes that mean nothing by themselves.
_PERSONAL: Final = ("identifier", "%:identifier", "identifier:of-type", "phone", "email", "telecom", "device-name")

_ORPHANS: Final = f"""
SELECT DISTINCT x.value FROM token x JOIN param p ON p.param=x.param
WHERE x.pid=? AND ({" OR ".join("p.code LIKE ?" for _ in _PERSONAL)})
"""


def drop_index_rows(connection: apsw.Connection, pids: Sequence[int]) -> None:
    """Delete the index rows of these versions and of the resources contained in them."""
    cids = [row[0] for row in bulk.select(connection, "c.cid", "CROSS JOIN contained c ON c.pid=k.column1", pids)]
    for table in INDEX_TABLES:
        _delete(connection, table, "pid", [*pids, *cids])
    _delete(connection, "contained", "cid", cids)


def drop_versions(connection: apsw.Connection, pids: Sequence[int]) -> None:
    """Delete versions with all that belongs to them, and leave the counters true."""
    drop_index_rows(connection, pids)
    for number, type_, current in _counts(connection, pids):
        connection.execute("UPDATE type SET versions=versions-?, total=total-? WHERE type=?", (number, current, type_))
    for table in ("stale", "body", "version"):
        _delete(connection, table, "pid", pids)


def forget_resource(connection: apsw.Connection, rid: int, values: Sequence[int]) -> None:
    """Erase what names a resource without versions: its id, unless others refer to it, and values of its own."""
    connection.execute("UPDATE resource SET pid=NULL WHERE rid=?", (rid,))
    referred = "SELECT 1 FROM ref_param p CROSS JOIN ref x ON x.param=p.param AND x.target=? LIMIT 1"
    if not fetch(connection, referred, (rid,)):
        connection.execute("DELETE FROM resource WHERE rid=?", (rid,))
    _forget_values(connection, values)


def _forget_values(connection: apsw.Connection, values: Sequence[int]) -> None:
    """Erase interned values that no row has any more; every memo of interned ids is void then."""
    for value in values:
        used = "SELECT 1 FROM param p CROSS JOIN token x ON x.param=p.param AND x.value=? LIMIT 1"
        if not fetch(connection, used, (value,)):
            connection.execute("DELETE FROM token_value WHERE value=?", (value,))
    connection.execute("UPDATE meta SET value=value+1 WHERE key='epoch'")


def drop_orphans(connection: apsw.Connection, most: int) -> int:
    """Delete the index rows of versions that are gone, `most` at a time, and values that named nobody else; return of
    how many versions. For a record that got its rows from elsewhere than its index: a restore."""
    known = "EXCEPT SELECT pid FROM version EXCEPT SELECT cid FROM contained"
    found = [fetch(connection, f"SELECT pid FROM {table} {known}") for table in INDEX_TABLES]
    found.append(fetch(connection, "SELECT pid FROM contained EXCEPT SELECT pid FROM version"))
    pids = sorted({row[0] for rows in found for row in rows})
    values = [value for pid in pids for value in _personal(connection, pid)]
    for at in range(0, len(pids), most):
        drop_index_rows(connection, pids[at : at + most])
        _delete(connection, "stale", "pid", pids[at : at + most])
    _forget_values(connection, list(dict.fromkeys(values)))
    return len(pids)


def purge(connection: apsw.Connection, key: ResourceKey, *, history_only: bool, most: int) -> list[int]:
    """Erase at most `most` versions, the oldest first; return their pids. Deleted content is overwritten."""
    rows = fetch(
        connection,
        "SELECT r.rid, r.pid FROM type t JOIN resource r ON r.type=t.type AND r.id=? WHERE t.name=?",
        (key.id, key.type),
    )
    if not rows or rows[0][1] is None:
        return []
    rid, current = rows[0]
    sql = "SELECT pid FROM version WHERE rid=? AND (pid<>? OR ?) ORDER BY version LIMIT ?"
    pids = [row[0] for row in fetch(connection, sql, (rid, current, not history_only, most))]
    fetch(connection, "PRAGMA secure_delete = on")
    try:
        values = [value for pid in pids for value in _personal(connection, pid)]
        drop_versions(connection, pids)
        if current in pids:
            forget_resource(connection, rid, list(dict.fromkeys(values)))
        elif pids:
            _forget_values(connection, list(dict.fromkeys(values)))
    finally:
        fetch(connection, "PRAGMA secure_delete = off")
    return pids


def purge_histories(connection: apsw.Connection, keys: Sequence[ResourceKey], most: int) -> list[int]:
    """Erase at most `most` superseded versions of these resources, with values that named nobody else."""
    pids = [pid for key in keys for pid in _superseded(connection, key)][:most]
    if not pids:
        return pids
    fetch(connection, "PRAGMA secure_delete = on")
    try:
        values = [value for pid in pids for value in _personal(connection, pid)]
        drop_versions(connection, pids)
        _forget_values(connection, list(dict.fromkeys(values)))
    finally:
        fetch(connection, "PRAGMA secure_delete = off")
    return pids


def _superseded(connection: apsw.Connection, key: ResourceKey) -> list[int]:
    sql = (
        "SELECT v.pid FROM type t JOIN resource r ON r.type=t.type AND r.id=? "
        "JOIN version v ON v.rid=r.rid AND v.pid<>r.pid WHERE t.name=? ORDER BY v.version"
    )
    return [row[0] for row in fetch(connection, sql, (key.id, key.type))]


def _personal(connection: apsw.Connection, pid: int) -> list[int]:
    return [row[0] for row in fetch(connection, _ORPHANS, (pid, *_PERSONAL))]


def _counts(connection: apsw.Connection, pids: Sequence[int]) -> list[Any]:
    """Return (versions, type, how many of them are current resources)."""
    marks = ",".join("?" * len(pids))
    sql = (
        "SELECT count(*), v.type, sum(r.pid=v.pid AND NOT v.deleted) FROM version v JOIN resource r ON r.rid=v.rid "
        f"WHERE v.pid IN ({marks}) GROUP BY v.type"
    )
    return fetch(connection, sql, tuple(pids))


def _delete(connection: apsw.Connection, table: str, column: str, ids: Sequence[int]) -> None:
    if ids:
        connection.execute(f"DELETE FROM {table} WHERE {column} IN ({','.join('?' * len(ids))})", tuple(ids))

"""Reading of single versions: short statements on one connection."""

from collections.abc import Sequence
from typing import Final

import apsw

from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.storage.sqlite import bulk
from fhir_server.storage.sqlite.connection import fetch
from fhir_server.storage.sqlite.versions import COLUMNS, version_of

_BODY: Final = "LEFT JOIN body b ON b.pid=v.pid"
# Three look-ups, not one join: SQLite answers them in a third of the time.
_CURRENT: Final = "SELECT pid FROM resource WHERE type=(SELECT type FROM type WHERE name=?) AND id=?"
_ROW: Final = "SELECT pid,version,from_txid,last_updated,method FROM version WHERE pid=?"
_DATA: Final = "SELECT splice,data FROM body WHERE pid=?"
_VERSION: Final = (
    f"SELECT {COLUMNS} FROM type t CROSS JOIN resource r ON r.type=t.type AND r.id=? "
    f"CROSS JOIN version v ON v.rid=r.rid AND v.version=? {_BODY} WHERE t.name=?"
)
_MANY: Final = (
    "CROSS JOIN type t ON t.name=k.column1 CROSS JOIN resource r ON r.type=t.type AND r.id=k.column2 "
    f"CROSS JOIN version v ON v.pid=r.pid {_BODY}"
)


def read(connection: apsw.Connection, key: ResourceKey) -> Version | None:
    """Return the current version of one resource."""
    # While this cursor is open the connection stays in one snapshot, without the locking of a transaction of its own.
    current = connection.execute(_CURRENT, key)
    try:
        for pid in current:
            for row in fetch(connection, _ROW, pid):
                data = fetch(connection, _DATA, pid)
                return version_of(connection, key, (*row, *(data[0] if data else (0, b""))))
    finally:
        current.close()
    return None


def read_version(connection: apsw.Connection, key: ResourceKey, version: int) -> Version | None:
    """Return one version of one resource."""
    if version >= 1 << 63:
        return None
    for row in fetch(connection, _VERSION, (key.id, version, key.type)):
        return version_of(connection, key, row)
    return None


def read_many(connection: apsw.Connection, keys: Sequence[ResourceKey]) -> dict[ResourceKey, Version]:
    """Return the current versions of those that exist."""
    flat = [part for key in keys for part in key]
    rows = bulk.select(connection, f"t.name,r.id,{COLUMNS}", _MANY, flat, 2)
    return {key: version_of(connection, key, row) for type_, id_, *row in rows if (key := ResourceKey(type_, id_))}


def last_txid(connection: apsw.Connection) -> int:
    """Return the txid of the newest commit, 0 for none."""
    row = fetch(connection, "SELECT max(txid) FROM tx")[0]
    return int(row[0] or 0)


def superseded_before(connection: apsw.Connection, txid: int, time: int) -> bool:
    """Tell whether the commit after `txid` came before a time (milliseconds)."""
    rows = fetch(connection, "SELECT last_updated FROM tx WHERE txid > ? ORDER BY txid LIMIT 1", (txid,))
    return bool(rows) and rows[0][0] < time

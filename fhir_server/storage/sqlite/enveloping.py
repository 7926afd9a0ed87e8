"""Bringing bodies into envelopes that were written without: of an older release, or while envelopes were off.

`sealed` in `meta` says up to which pid that is done; without it there is nothing to do.
"""

from collections.abc import Sequence
from typing import Final

import apsw

from fhir_server.encryption.envelopes import SEALED
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Body, Version
from fhir_server.search.entries import IndexEntries
from fhir_server.storage.sqlite.connection import fetch
from fhir_server.storage.sqlite.sealer import Sealer

SLICE: Final = 500  # versions in one transaction
_NEXT: Final = (
    "SELECT b.pid, t.name, r.id, v.version, b.splice, b.data FROM body b CROSS JOIN version v ON v.pid=b.pid "
    "CROSS JOIN resource r ON r.rid=v.rid CROSS JOIN type t ON t.type=v.type WHERE b.pid>? ORDER BY b.pid LIMIT ?"
)

Some = tuple[list[Version], int | None]


def read(connection: apsw.Connection) -> Some:
    """Return the versions among the next ones that have no envelope, and the last pid looked at; None: all is done."""
    marker = fetch(connection, "SELECT value FROM meta WHERE key='sealed'")
    if not marker:
        return [], None
    rows = fetch(connection, _NEXT, (marker[0][0], SLICE))
    plain = [
        Version(pid, ResourceKey(type_, id_), version, 0, 0, "", Body(data, splice))
        for pid, type_, id_, version, splice, data in rows
        if data[0] != SEALED
    ]
    return plain, rows[-1][0] if rows else -1


def write(
    connection: apsw.Connection, sealer: Sealer, versions: Sequence[Version], made: Sequence[IndexEntries], last: int
) -> None:
    """Seal those that are still there, and note how far it came."""
    flat = sealer.rows(connection, list(zip(versions, made, strict=True)))
    rows = [(flat[at + 2], flat[at]) for at in range(0, len(flat), 3)]
    connection.executemany("UPDATE body SET data=? WHERE pid=?", rows)
    if last < 0:
        connection.execute("DELETE FROM meta WHERE key='sealed'")
    else:
        connection.execute("UPDATE meta SET value=? WHERE key='sealed'", (last,))

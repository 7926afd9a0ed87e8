"""`_history` and the change feed: reads of the log in its order."""

from collections.abc import Callable
from typing import Any, Final

import apsw

from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.search.entries import IndexEntries
from fhir_server.storage.base import HistoryPage, HistoryQuery
from fhir_server.storage.sqlite.reads import last_txid
from fhir_server.storage.sqlite.versions import COLUMNS, version_of

_FROM: Final = (
    "FROM version v JOIN resource r ON r.rid=v.rid JOIN type t ON t.type=v.type LEFT JOIN body b ON b.pid=v.pid"
)


def changes(connection: apsw.Connection, after: int, limit: int) -> list[Version]:
    """Return the versions of whole commits after a txid: at least one commit, else at most `limit` versions."""
    starts = connection.execute("SELECT txid, first_pid FROM tx WHERE txid>? ORDER BY txid LIMIT ?", (after, limit + 1))
    found: list[Version] = []
    for _, first in starts.fetchall()[:1]:
        sql = f"SELECT t.name, r.id, {COLUMNS} {_FROM} WHERE v.pid>=? ORDER BY v.pid"  # noqa: S608
        for type_, id_, *row in connection.execute(sql, (first,)):
            if len(found) >= limit and row[2] != found[-1].txid:
                return found
            found.append(version_of(ResourceKey(type_, id_), row))
    return found


def page(
    connection: apsw.Connection, query: HistoryQuery, extract: Callable[[str, bytes], IndexEntries] | None
) -> HistoryPage:
    """Return one page of the history."""
    until = last_txid(connection) if query.until is None else query.until
    where, values = _where(connection, query, until)
    sql = f"SELECT t.name, r.id, {COLUMNS} {_FROM} WHERE {where} ORDER BY v.pid DESC LIMIT ?"  # noqa: S608
    rows = connection.execute(sql, (*values, query.count + 1)).fetchall()
    versions = tuple(version_of(ResourceKey(type_, id_), row) for type_, id_, *row in rows[: query.count])
    more = len(rows) > query.count and versions
    after = (versions[-1].txid, versions[-1].pid) if more else None
    return HistoryPage(versions, after, until)


def _where(connection: apsw.Connection, query: HistoryQuery, until: int) -> tuple[str, list[Any]]:
    conditions, values = ["v.from_txid <= ?"], [until]
    return " AND ".join(conditions), values

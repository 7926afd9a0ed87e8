"""`_history` and the change feed: reads of the log in its order.

Spec: https://hl7.org/fhir/R4/http.html#history
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import apsw

from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.search.entries import IndexEntries
from fhir_server.search.match import matches
from fhir_server.storage.base import HistoryPage, HistoryQuery
from fhir_server.storage.sqlite.connection import fetch
from fhir_server.storage.sqlite.lookup import BodyLookup
from fhir_server.storage.sqlite.reads import last_txid, read, read_version
from fhir_server.storage.sqlite.versions import COLUMNS, version_of

Extract = Callable[[str, bytes], IndexEntries]

SCAN: Final = 5_000  # versions that one page of a restricted history looks at; the page is short then and says `next`

_ROWS: Final = f"SELECT t.name, r.id, {COLUMNS} FROM version v "
_JOINS: Final = (
    "CROSS JOIN resource r ON r.rid=v.rid CROSS JOIN type t ON t.type=v.type LEFT JOIN body b ON b.pid=v.pid"
)


@dataclass(frozen=True, slots=True)
class _Range:
    """Versions [low, high) by pid, of one resource or type, that ended after a txid."""

    low: int
    high: int
    rid: int | None
    type: int | None
    ended_after: int

    def sql(self) -> tuple[str, list[Any]]:
        where, values = ["v.pid >= ?", "v.pid < ?"], [self.low, self.high]
        for column, value in (("v.rid", self.rid), ("v.type", self.type)):
            if value is not None:
                where.append(f"{column} = ?")
                values.append(value)
        if self.ended_after:
            where.append("v.to_txid > ?")
            values.append(self.ended_after)
        return " AND ".join(where), values

    def order(self) -> str:
        """Return the descending order of pid, in the column of the index that the rows are found by."""
        return "v.pid DESC" if self.rid is None else "v.version DESC"


def changes(connection: apsw.Connection, after: int, limit: int) -> list[Version]:
    """Return whole commits after a txid, as many as `limit` versions hold, but at least one."""
    sql = f"{_ROWS} {_JOINS} WHERE v.pid >= ? AND v.pid < ? ORDER BY v.pid"
    starts = "SELECT txid, first_pid FROM tx WHERE txid > ? ORDER BY txid LIMIT ?"
    while commits := fetch(connection, starts, (after, limit + 1)):
        high = _end(connection, commits, limit)
        rows = connection.execute(sql, (commits[0][1], high))
        found = [version_of(connection, ResourceKey(type_, id_), row) for type_, id_, *row in rows]
        if found:
            return found
        # All of these were purged, or wrote records alone: go on, lest the reader take it for the end.
        after = max(txid for txid, first in commits if first < high or first == commits[0][1])
    return []


def revived(connection: apsw.Connection, versions: Sequence[Version]) -> frozenset[int]:
    """Return the pids of those that came after a deletion of their resource."""
    sql = (
        "SELECT v.pid FROM json_each(?) k CROSS JOIN version v ON v.pid=k.value "
        "CROSS JOIN version p ON p.rid=v.rid AND p.version=v.version-1 WHERE p.deleted"
    )
    pids = [version.pid for version in versions if version.version > 1 and not version.deleted]
    return frozenset(pid for (pid,) in fetch(connection, sql, (str(pids),))) if pids else frozenset()


def count_changes(connection: apsw.Connection, after: int) -> int:
    """Return how many versions came after a commit."""
    first = _first_pid(connection, "txid > ?", after)
    return _one(connection, "SELECT count(*) FROM version WHERE pid >= ?", (first,)) or 0


def head(connection: apsw.Connection) -> int:
    """Return the txid of the newest version, 0 for none."""
    return _one(connection, "SELECT from_txid FROM version ORDER BY pid DESC LIMIT 1", ()) or 0


def _end(connection: apsw.Connection, commits: list[tuple[int, int]], limit: int) -> int:
    """Return the pid before which the whole commits to read end; ids of contained resources only make it fewer."""
    low = commits[0][1]
    ends = sorted({first for _, first in commits if first > low})
    if len(commits) <= limit:
        ends.append(_next_pid(connection))
    return max((end for end in ends if end - low <= limit), default=ends[0] if ends else low)


def page(connection: apsw.Connection, query: HistoryQuery, extract: Extract | None) -> HistoryPage:
    """Return one page of the history."""
    until = last_txid(connection) if query.until is None else query.until
    span = _span(connection, query, until)
    if span is None:
        return HistoryPage(txid=until, total=0)
    if query.visible.unrestricted:
        return _open_page(connection, query, span, until)
    if extract is None:
        raise ValueError("a restricted history needs the extractor of index entries")
    return _restricted_page(connection, query, span, (until, extract))


def _open_page(connection: apsw.Connection, query: HistoryQuery, span: _Range, until: int) -> HistoryPage:
    rows = list(_versions(connection, _before(span, query), query.count + 1))
    total = _total(connection, query, span)
    return HistoryPage(tuple(rows[: query.count]), _next(rows[: query.count], len(rows) > query.count), until, total)


def _restricted_page(
    connection: apsw.Connection, query: HistoryQuery, span: _Range, context: tuple[int, Extract]
) -> HistoryPage:
    until, extract = context
    judge = _Judge(connection, query, extract)
    seen: list[Version] = []
    last: list[Version] = []
    for scanned, version in enumerate(_versions(connection, _before(span, query), SCAN + 1)):
        if scanned == SCAN or len(seen) > query.count:
            break
        last = [version]
        if judge.sees(version):
            seen.append(version)
    else:
        if len(seen) <= query.count:
            return HistoryPage(tuple(seen), None, until, None if query.before else len(seen))
    if len(seen) > query.count:
        return HistoryPage(tuple(seen[: query.count]), _next(seen[: query.count], True), until)
    return HistoryPage(tuple(seen), _next(last, True), until)


class _Judge:
    """Tells which versions the caller may see: those whose own content they may, as well as that of the current one."""

    def __init__(self, connection: apsw.Connection, query: HistoryQuery, extract: Extract) -> None:
        self._connection, self._query, self._extract = connection, query, extract
        self._lookup = BodyLookup(connection, extract)
        self._current: dict[ResourceKey, bool] = {}

    def sees(self, version: Version) -> bool:
        """Tell of one version; a deletion is as visible as the version that it ended."""
        return self._holds(version) and self._sees_current(version)

    def _sees_current(self, version: Version) -> bool:
        key = version.key
        if key not in self._current:
            current = read(self._connection, key)
            self._current[key] = current is None or current.version == version.version or self._holds(current)
        return self._current[key]

    def _holds(self, version: Version) -> bool:
        shown: Version | None = version
        while shown is not None and shown.deleted:
            shown = read_version(self._connection, shown.key, shown.version - 1)
        if shown is None:
            return False
        entries = self._extract(shown.key.type, shown.body.data)
        return matches(self._query.visible.of(version.key.type), version, entries, self._lookup)


def _span(connection: apsw.Connection, query: HistoryQuery, until: int) -> _Range | None:
    """Return the versions asked for, None where there can be none."""
    rid, type_ = None, None
    if query.key is not None:
        sql = "SELECT r.rid FROM type t JOIN resource r ON r.type=t.type AND r.id=? WHERE t.name=?"
        rid = _one(connection, sql, (query.key.id, query.key.type))
    elif query.type is not None:
        type_ = _one(connection, "SELECT type FROM type WHERE name=?", (query.type,))
    if rid is None and type_ is None and (query.key or query.type):
        return None
    low, high, ended_after = 0, _first_pid(connection, "txid > ?", until), 0
    if query.since is not None:
        low = _first_pid(connection, "last_updated >= ?", query.since)
    if query.at is not None:
        high = min(high, _first_pid(connection, "last_updated >= ?", query.at[1]))
        ended_after = _one(connection, "SELECT max(txid) FROM tx WHERE last_updated <= ?", (query.at[0],)) or 0
    return _Range(low, high, rid, type_, ended_after)


def _before(span: _Range, query: HistoryQuery) -> _Range:
    high = min(span.high, query.before[1]) if query.before else span.high
    return _Range(span.low, high, span.rid, span.type, span.ended_after)


def _versions(connection: apsw.Connection, span: _Range, limit: int) -> Iterator[Version]:
    where, values = span.sql()
    sql = f"{_ROWS} {_JOINS} WHERE {where} ORDER BY {span.order()} LIMIT ?"
    for type_, id_, *row in fetch(connection, sql, (*values, limit)):
        yield version_of(connection, ResourceKey(type_, id_), row)


def _total(connection: apsw.Connection, query: HistoryQuery, span: _Range) -> int:
    """Count what is asked for; everything of a type or of all is known from counters, less what came after `until`."""
    if query.key is None and query.since is None and query.at is None:
        newer = _Range(span.high, _next_pid(connection), None, span.type, 0)
        sql = "SELECT sum(versions) FROM type WHERE ?1 IS NULL OR type = ?1"
        return (_one(connection, sql, (span.type,)) or 0) - _count(connection, newer)
    return _count(connection, span)


def _count(connection: apsw.Connection, span: _Range) -> int:
    where, values = span.sql()
    return _one(connection, f"SELECT count(*) FROM version v WHERE {where}", values) or 0


def _next(versions: list[Version], more: bool) -> tuple[int, int] | None:
    return (versions[-1].txid, versions[-1].pid) if more and versions else None


def _first_pid(connection: apsw.Connection, where: str, value: int) -> int:
    """Return the first pid of the first commit for which `where` holds, or one beyond all."""
    order = where.partition(" ")[0]
    sql = f"SELECT first_pid FROM tx WHERE {where} ORDER BY {order}, txid LIMIT 1"
    found = _one(connection, sql, (value,))
    return _next_pid(connection) if found is None else found


def _next_pid(connection: apsw.Connection) -> int:
    return 1 + (_one(connection, "SELECT value FROM meta WHERE key='pid'", ()) or 0)


def _one(connection: apsw.Connection, sql: str, values: Any) -> int | None:
    rows = fetch(connection, sql, values)
    return rows[0][0] if rows else None

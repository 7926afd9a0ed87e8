"""The audit log of a record: its rows found by key, by time and one by one."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final

import apsw

from fhir_server.storage.audit import AuditEntry, AuditPage, AuditQuery, AuditRow
from fhir_server.storage.base import StorageFault, StoreError
from fhir_server.storage.sqlite.audit_rows import cut_keys, cut_rows, key_of
from fhir_server.storage.sqlite.connection import fetch
from fhir_server.storage.sqlite.group import Outcome, Work
from fhir_server.storage.sqlite.writer import Writer

_ROW: Final = "SELECT a.seq, a.time, g.text, a.body FROM audit a JOIN audit_agent g ON g.agent=a.agent"
_FEW: Final = 200  # agents that are looked up one by one; where more are meant, rows are read and tested


class AuditReader:
    """Reads the log; `read` executes a function on a read connection."""

    def __init__(self, read: Callable[..., Awaitable[Any]]) -> None:
        self._read = read

    async def append(self, rows: Sequence[AuditRow]) -> int:
        """Refuse: this is a reader."""
        raise StorageFault("the audit log is open for reading only")

    async def note(self, rows: Sequence[AuditRow]) -> None:
        """Record rows as `append` does: they are numbered at once."""
        await self.append(rows)

    async def read(self, seq: int) -> AuditEntry | None:
        """Return one row."""
        found = await self.span(seq, seq)
        return found[0] if found else None

    async def find(self, query: AuditQuery) -> AuditPage:
        """Return a page of rows."""
        page: AuditPage = await self._read(lambda connection: _page(connection, query))
        return page

    async def span(self, first: int, last: int) -> list[AuditEntry]:
        """Return the rows of a range."""
        sql = f"{_ROW} WHERE a.seq BETWEEN ? AND ? ORDER BY a.seq"
        rows: list[Any] = await self._read(lambda connection: fetch(connection, sql, (first, last)))
        return [AuditEntry(*row) for row in rows]

    async def size(self) -> int:
        """Return the seq of the newest row."""
        found: int = await self._read(_last)
        return found

    async def first(self) -> int:
        """Return the seq of the oldest row."""
        found: int = await self._read(_first)
        return found

    async def cut(self, before: int) -> int:
        """Refuse: this is a reader."""
        raise StorageFault("the audit log is open for reading only")


class SqliteAudit(AuditReader):
    """The log of a store, which can be added to."""

    def __init__(self, writer: Writer, read: Callable[..., Awaitable[Any]]) -> None:
        super().__init__(read)
        self._writer = writer

    async def append(self, rows: Sequence[AuditRow]) -> int:
        """Record rows; return the seq of the first."""
        outcome: Outcome = await self._writer.submit(Work((), audit=lambda written: rows))
        if isinstance(outcome.result, StoreError):
            raise outcome.result
        return outcome.audited

    async def cut(self, before: int) -> int:
        """Remove the oldest rows, in steps between which others write."""
        before = min(before, await self.size())
        gone = 0
        while number := await self._writer.submit(lambda connection: cut_rows(connection, before)):
            gone += number
        key: int | None = -(1 << 62)
        while key is not None:
            key = await self._writer.submit(partial(cut_keys, after=key))
        return gone


def _last(connection: apsw.Connection) -> int:
    return int(fetch(connection, "SELECT max(seq) FROM audit")[0][0] or 0)


def _first(connection: apsw.Connection) -> int:
    return int(fetch(connection, "SELECT min(seq) FROM audit")[0][0] or 1)


def _page(connection: apsw.Connection, query: AuditQuery) -> AuditPage:
    found: list[AuditEntry] = []
    rows = _rows(connection, query)
    for looked, entry in enumerate(rows, 1):
        if query.test is None or query.test(entry):
            found.append(entry)
        if len(found) >= query.count or looked >= query.most:
            return AuditPage(tuple(found), entry.seq if next(rows, None) is not None else None)
    return AuditPage(tuple(found))


def _rows(connection: apsw.Connection, query: AuditQuery) -> Iterator[AuditEntry]:
    """Yield what the index says, in order; the agent is tested where there are too many to look up."""
    low, high = _range(connection, query)
    keys = [sorted(key_of(text) for text in texts) for texts in query.keys]
    agents = _agents(connection, query)
    if agents is not None and len(agents) <= _FEW:
        keys.append([-agent for agent in agents])
        agents = None
    sql, values = _sql(keys, "ASC" if query.ascending else "DESC")
    for row in connection.execute(sql, (low, high, *values)):
        if agents is None or row[4] in agents:
            yield AuditEntry(*row[:4])


def _sql(keys: Sequence[Sequence[int]], order: str) -> tuple[str, list[int]]:
    """Return the statement and its values after the range: the first set of keys leads, the others are looked up."""
    columns = "SELECT a.seq, a.time, g.text, a.body, a.agent"
    agent = "CROSS JOIN audit_agent g ON g.agent=a.agent"
    if not keys:
        return f"{columns} FROM audit a {agent} WHERE a.seq>? AND a.seq<? ORDER BY a.seq {order}", []
    lead, *rest = sorted(keys, key=len)
    also = "".join(
        f" AND EXISTS(SELECT 1 FROM audit_key x WHERE x.seq=a.seq AND x.key {_among(each)})" for each in rest
    )
    if len(lead) == 1:
        source, condition, values = "audit_key k", "k.key=?3", list(lead)
    else:
        inner = f"SELECT DISTINCT seq FROM audit_key WHERE key {_among(lead)} AND seq>?1 AND seq<?2"
        source, condition, values = f"({inner}) k", "1", []
    sql = (
        f"{columns} FROM {source} CROSS JOIN audit a ON a.seq=k.seq {agent} "
        f"WHERE {condition} AND k.seq>?1 AND k.seq<?2{also} ORDER BY k.seq {order}"
    )
    return sql, values


def _among(keys: Sequence[int]) -> str:
    return f"IN ({','.join(map(str, keys))})"  # numbers of ours


def _agents(connection: apsw.Connection, query: AuditQuery) -> set[int] | None:
    if query.agent is None:
        return None
    return {agent for agent, text in connection.execute("SELECT agent, text FROM audit_agent") if query.agent(text)}


def _range(connection: apsw.Connection, query: AuditQuery) -> tuple[int, int]:
    """Return the bounds of seq, both exclusive: time never goes back, so it is found by halving."""
    last = _last(connection)
    low = max(query.above or 0, _before(connection, query.since, last) if query.since is not None else 0)
    high = min(last + 1, query.below if query.below is not None else last + 1)
    if query.until is not None:
        high = min(high, _before(connection, query.until, last) + 1)
    return low, high


def _before(connection: apsw.Connection, time: int, last: int) -> int:
    """Return the seq of the newest row that is older than a time; 0 for none."""
    low, high = _first(connection) - 1, last
    while low < high:
        middle = (low + high + 1) // 2
        rows = fetch(connection, "SELECT time FROM audit WHERE seq=?", (middle,))
        if rows and rows[0][0] < time:
            low = middle
        else:
            high = middle - 1
    return low

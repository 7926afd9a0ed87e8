"""The audit log: a collection by seq. Rows above the `audit` of the head are of a write that did not come about."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from bson import Binary
from pymongo.asynchronous.database import AsyncDatabase

from fhir_server.storage.audit import AuditEntry, AuditPage, AuditQuery, AuditRow
from fhir_server.storage.mongodb.connection import faults
from fhir_server.storage.mongodb.document import Document
from fhir_server.storage.mongodb.numbering import Numbering
from fhir_server.storage.mongodb.resilience import Guard, once, reading
from fhir_server.storage.mongodb.waiting import LARGEST_GROUP, size_of

_STEP: Final = 5_000
"""Rows that are removed at once."""


class MongoAudit:
    """The audit log of one store. `write` appends rows in a turn to write; `head` reads where the log ends.

    numbering: what gives rows that wait their numbers; None where none do. Reading has them numbered first.
    """

    def __init__(
        self,
        database: AsyncDatabase[Document],
        write: Callable[[Sequence[AuditRow]], Awaitable[int]],
        head: Callable[[], Awaitable[Document]],
        guard: Guard | None = None,
        numbering: Numbering | None = None,
    ) -> None:
        self.guard, self._numbering = guard, numbering
        self._rows, self._meta, self._write, self._head = database["audit"], database["meta"], write, head

    async def append(self, rows: Sequence[AuditRow]) -> int:
        """Record rows; return the seq of the first. Durable when it returns."""
        return await self._write(rows)

    async def note(self, rows: Sequence[AuditRow]) -> None:
        """Record rows, which are numbered with those of all processes soon. Durable when it returns."""
        numbering = self._numbering
        if not rows:
            return
        if numbering is None or not numbering.interval:
            await self._write(rows)
        elif size_of((row.agent, row.body, row.keys) for row in rows) > LARGEST_GROUP:
            await self._write(await numbering.waiting.settled(rows))
        else:
            await numbering.note(rows)

    async def read(self, seq: int) -> AuditEntry | None:
        """Return one row."""
        found = await self.span(seq, seq)
        return found[0] if found else None

    async def find(self, query: AuditQuery) -> AuditPage:
        """Return a page of rows."""
        return await self._found(query, await self._end(query.below - 1 if query.below is not None else None))

    @reading
    async def _found(self, query: AuditQuery, end: int) -> AuditPage:
        match = _asked(query, end)
        found: list[AuditEntry] = []
        looked, last = 0, None
        with faults():
            rows = self._rows.find(match, {"k": 0}).sort([("_id", 1 if query.ascending else -1)])
            async with rows:
                async for row in rows:
                    if last is not None:
                        return AuditPage(tuple(found), last)
                    entry, looked = _entry(row), looked + 1
                    if (query.agent is None or query.agent(entry.agent)) and (query.test is None or query.test(entry)):
                        found.append(entry)
                    if len(found) >= query.count or looked >= query.most:
                        last = entry.seq
        return AuditPage(tuple(found))

    async def span(self, first: int, last: int) -> list[AuditEntry]:
        """Return the rows of a range."""
        return await self._span(first, min(last, await self._end(last)))

    @reading
    async def _span(self, first: int, last: int) -> list[AuditEntry]:
        with faults():
            rows = self._rows.find({"_id": {"$gte": first, "$lte": last}}, {"k": 0}).sort([("_id", 1)])
            return [_entry(row) async for row in rows]

    async def size(self) -> int:
        """Return the seq of the newest row."""
        return await self._end()

    async def _end(self, asked: int | None = None) -> int:
        """Return where the log ends, once all that is stored is in it; only older rows may be asked for."""
        if self._numbering is not None and (asked is None or asked > await self._numbered()):
            await self._numbering.catch_up()
        return await self._numbered()

    @reading
    async def _numbered(self) -> int:
        with faults():
            return int((await self._head())["audit"])

    @reading
    async def first(self) -> int:
        """Return the seq of the oldest row; it only grows, and a row that is still there below it is nobody's."""
        with faults():
            found = await self._meta.find_one({"_id": "audit"})
        return int(found["first"]) if found else 1

    @once
    async def cut(self, before: int) -> int:
        """Remove the oldest rows, never the newest, in steps."""
        first, end = await self.first(), min(before, await self._end(before))
        gone = max(end - first, 0)
        with faults():
            if gone:
                # The new beginning stands first: after a crash in between, the rest is removed by the next call.
                await self._meta.update_one({"_id": "audit"}, {"$max": {"first": end}}, upsert=True)
            await self._remove(end)
        return gone

    async def _remove(self, before: int) -> None:
        oldest = await self._rows.find_one({}, {"_id": 1}, sort=[("_id", 1)])
        at = int(oldest["_id"]) if oldest else before
        while at < before:
            at = min(at + _STEP, before)
            await self._rows.delete_many({"_id": {"$lt": at}})


def audit_document(seq: int, time: int, row: AuditRow) -> Document:
    """Return a row as it is stored."""
    return {"_id": seq, "u": time, "a": row.agent, "b": Binary(row.body), "k": list(row.keys)}


def _entry(found: Document) -> AuditEntry:
    return AuditEntry(int(found["_id"]), int(found["u"]), found["a"], bytes(found["b"]))


def _asked(query: AuditQuery, newest: int) -> Document:
    parts: list[Document] = [{"_id": {"$lte": newest}}]
    bounds: list[tuple[str, str, Any]] = [
        ("u", "$gte", query.since), ("u", "$lt", query.until), ("_id", "$lt", query.below), ("_id", "$gt", query.above),
    ]  # fmt: skip
    parts += [{field: {operator: bound}} for field, operator, bound in bounds if bound is not None]
    parts += [{"k": {"$in": sorted(keys)}} for keys in query.keys]
    return {"$and": parts}

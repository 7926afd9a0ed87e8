"""Audit rows that wait for their numbers: groups, each of which is one document that no turn was needed for.

A group is inserted under a name of its own, so it may be sent again until it is known to be there. Names of one writer
rise, and whoever numbers groups notes the newest one of each writer in the same turn: a copy that comes late, or is
sent again after its group was numbered, is known by that and left out.
"""

import asyncio
import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from bson import Binary
from pymongo import UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from fhir_server.storage.audit import AuditRow
from fhir_server.storage.base import StoreError, StoreUnavailable
from fhir_server.storage.mongodb.connection import faults
from fhir_server.storage.mongodb.document import Document
from fhir_server.storage.mongodb.resilience import Guard, once, reading

WAITING: Final = "audit_waiting"
MARKS: Final = "audit_marks"
LARGEST_GROUP: Final = 4_000_000
"""Bytes of a group; a larger one takes a turn of its own."""

_GROUPS, _ROWS, _BYTES = 2_000, 10_000, 8_000_000
"""What a turn takes at most, beside the first group: transactions have 60 seconds, and others wait for the turn."""
_OF_ROW: Final = 60
_CLAIM: Final = "claim"
_MARKS_LIFE: Final = 7 * 86_400
"""Seconds of silence after which a writer is forgotten; nothing that it sent is on its way any more."""


@dataclass(slots=True)
class Taken:
    """Groups that a turn numbers: their rows in order, their names, and the newest group of each writer.

    more: others wait that it does not take.
    """

    rows: list[AuditRow] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    marks: dict[str, int] = field(default_factory=dict)
    more: bool = False


@dataclass(slots=True)
class _Sent:
    """A group that was sent and not confirmed, and how often it was sent."""

    document: Document
    rows: Sequence[AuditRow]
    tries: int = 0


class Waiting:
    """What one process adds to the groups of one store, and what all see of them."""

    def __init__(self, database: AsyncDatabase[Document], guard: Guard | None) -> None:
        self.guard = guard
        self._groups, self._marks = database[WAITING], database[MARKS]
        self._writer = secrets.token_hex(8)
        self._number = self._stamp = 0
        self._open: _Sent | None = None
        self._turn = asyncio.Lock()

    async def put(self, rows: Sequence[AuditRow], now: int) -> int:
        """Add a group and return its number; what is written here stays in its order. `now` is in milliseconds.

        Raises:
            StoreError: it is not stored. StoreUnavailable may leave that open; then the same rows, put again, are
                stored once.
        """
        async with self._turn:
            rows = await self._settled(rows)
            if rows:
                self._number, self._stamp = self._number + 1, max(self._stamp, now)
                self._open = _Sent(self._document(rows), rows)
                await self._confirm(self._open)
            return self._number

    async def settled(self, rows: Sequence[AuditRow]) -> Sequence[AuditRow]:
        """Return those of these rows that are not stored, once that is known. Raises StoreUnavailable: not yet."""
        async with self._turn:
            return await self._settled(rows)

    async def _settled(self, rows: Sequence[AuditRow]) -> Sequence[AuditRow]:
        if self._open is None:
            return rows
        stored = {id(row) for row in self._open.rows}
        await self._confirm(self._open)
        return [row for row in rows if id(row) not in stored]

    def _document(self, rows: Sequence[AuditRow]) -> Document:
        name = f"{self._stamp:015d}.{self._number:012d}.{self._writer}"
        written = [{"u": row.time, "a": row.agent, "b": Binary(row.body), "k": list(row.keys)} for row in rows]
        return {"_id": name, "w": self._writer, "n": self._number, "r": written}

    async def _confirm(self, sent: _Sent) -> None:
        """Send a group until it is known to be there."""
        insert = partial(self._insert, sent)
        try:
            await (self.guard.again(insert) if self.guard is not None else insert())
        except StoreError as error:
            if sent.tries == 0 or (sent.tries == 1 and not isinstance(error, StoreUnavailable)):
                self._open = None  # the server has refused it, or never seen it
            raise
        self._open = None

    async def _insert(self, sent: _Sent) -> None:
        sent.tries += 1
        with faults():
            try:
                await self._groups.insert_one(sent.document)
            except DuplicateKeyError:
                # It came in before its answer was lost; a read finds what a majority has.
                if await self._groups.find_one({"_id": sent.document["_id"]}, {"_id": 1}) is None:
                    mark = await self._marks.find_one({"_id": self._writer})
                    if mark is None or mark["n"] < sent.document["n"]:
                        raise StoreUnavailable("the database could not confirm a write") from None

    @reading
    async def names(self) -> set[str]:
        """Return the groups that wait."""
        with faults():
            return {str(each["_id"]) async for each in self._groups.find({}, {"_id": 1})}

    @reading
    async def marks(self) -> tuple[int, int]:
        """Return how many groups of this process are numbered, and how often somebody has claimed to number."""
        with faults():
            found = self._marks.find({"_id": {"$in": [self._writer, _CLAIM]}})
            marks = {str(each["_id"]): int(each["n"]) async for each in found}
        return marks.get(self._writer, 0), marks.get(_CLAIM, 0)

    @once
    async def claim(self, seen: int) -> bool:
        """Claim to number, unless somebody has done so since; where two do, the second turn finds little or nothing."""
        with faults():
            if seen:
                claimed = await self._marks.update_one({"_id": _CLAIM, "n": seen}, {"$inc": {"n": 1}})
                return claimed.matched_count > 0
            try:
                await self._marks.insert_one({"_id": _CLAIM, "n": 1})
            except DuplicateKeyError:
                return False
            return True

    @once
    async def sweep(self) -> None:
        """Forget writers that ended long ago."""
        with faults():
            await self._marks.delete_many({"at": {"$lt": time.time() - _MARKS_LIFE}})


async def take(database: AsyncDatabase[Document], session: AsyncClientSession) -> Taken:
    """Return the oldest groups that wait, as a transaction sees them."""
    groups, more = await _oldest(database, session)
    found = Taken(names=[str(group["_id"]) for group in groups], more=more)
    writers = sorted({str(group["w"]) for group in groups})
    marks = database[MARKS].find({"_id": {"$in": writers}}, session=session)
    known = {str(each["_id"]): int(each["n"]) async for each in marks} if writers else {}
    for group in groups:
        writer, number = str(group["w"]), int(group["n"])
        if number > known.get(writer, 0):
            known[writer] = found.marks[writer] = number
            found.rows += [AuditRow(row["u"], row["a"], bytes(row["b"]), tuple(row["k"])) for row in group["r"]]
    return found


async def _oldest(database: AsyncDatabase[Document], session: AsyncClientSession) -> tuple[list[Document], bool]:
    """Return as many groups as a turn takes, and whether there are more."""
    groups, rows, size = list[Document](), 0, 0
    most = _GROUPS + 1
    async with database[WAITING].find({}, session=session).sort([("_id", 1)]).limit(most).batch_size(most) as found:
        async for group in found:
            if groups and (len(groups) == _GROUPS or rows >= _ROWS or size >= _BYTES):
                return groups, True
            groups.append(group)
            rows += len(group["r"])
            size += size_of((row["a"], row["b"], row["k"]) for row in group["r"])
    return groups, False


async def remove(database: AsyncDatabase[Document], taken: Taken, session: AsyncClientSession) -> None:
    """Remove groups in the turn that numbers them, and note that it has."""
    await database[WAITING].delete_many({"_id": {"$in": taken.names}}, session=session)
    if taken.marks:
        now = time.time()
        marks = [
            UpdateOne({"_id": writer}, {"$set": {"n": number, "at": now}}, upsert=True)
            for writer, number in sorted(taken.marks.items())
        ]
        await database[MARKS].bulk_write(marks, ordered=False, session=session)


def size_of(rows: Iterable[tuple[str, bytes, Sequence[str]]]) -> int:
    """Return about how many bytes rows have: agents, bodies and keys."""
    return sum(_OF_ROW + len(agent) + len(body) + sum(map(len, keys)) for agent, body, keys in rows)

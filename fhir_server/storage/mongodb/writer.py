"""The writer of one store: commits that wait for the turn share it."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import pymongo
from pymongo import AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from fhir_server.settings import Settings
from fhir_server.storage.base import CommitResult, StorageFault, StoreUnavailable, WriteBusy
from fhir_server.storage.mongodb.blobs import MongoBlobs
from fhir_server.storage.mongodb.connection import faults
from fhir_server.storage.mongodb.document import Document
from fhir_server.storage.mongodb.planning import Planner, Wish
from fhir_server.storage.mongodb.records import MongoRecords
from fhir_server.storage.mongodb.rows import Snapshot
from fhir_server.storage.mongodb.turns import Turn, Turns

_ROWS_OF_GROUP: Final = 5_000
"""Changes of a group; a commit that is larger alone is a group of its own."""
_TRANSIENT: Final = "TransientTransactionError"


@dataclass(slots=True)
class _Waiting:
    wish: Wish
    done: "asyncio.Future[CommitResult]"
    outcome: CommitResult | Exception | None = None


@dataclass(slots=True)
class Writer:
    """Writes the commits of one process to one store. `reading` is the base of what a turn reads."""

    client: AsyncMongoClient[Document]
    turns: Turns
    reading: Snapshot
    records: MongoRecords
    blobs: MongoBlobs
    settings: Settings
    clock: Callable[[], int]
    transactions: bool
    written: Callable[[], None]
    _queue: list[_Waiting] = field(default_factory=list)
    _working: asyncio.Task[None] | None = None

    async def write(self, wish: Wish) -> CommitResult:
        """Write one commit. A caller who is cancelled leaves it unknown whether it was stored."""
        waiting = _Waiting(wish, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        return await waiting.done

    async def close(self) -> None:
        """Finish what is waiting."""
        if self._working is not None:
            await asyncio.gather(self._working, return_exceptions=True)

    async def _work(self) -> None:
        while self._queue:
            group = self._next_group()
            try:
                await self._group(group)
            except BaseException as error:
                for waiting in group:
                    if not waiting.done.done():
                        waiting.done.set_exception(error if isinstance(error, Exception) else WriteBusy("stopped"))
                if not isinstance(error, Exception):
                    raise
                continue
            self._tell(group)

    def _next_group(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        rows = 0
        while self._queue and len(group) < self.settings.group_commit:
            rows += len(self._queue[0].wish.changes)
            if group and rows > _ROWS_OF_GROUP:
                break
            group.append(self._queue.pop(0))
        return group

    def _tell(self, group: list[_Waiting]) -> None:
        changed = False
        for waiting in group:
            outcome = waiting.outcome
            if waiting.done.done():
                continue
            if isinstance(outcome, CommitResult):
                changed = changed or any(each.changed for each in outcome.written)
                waiting.done.set_result(outcome)
            else:
                waiting.done.set_exception(outcome or StorageFault("the write came to nothing"))
        if changed:
            self.written()

    async def _group(self, group: list[_Waiting]) -> None:
        with faults(), pymongo.timeout(self.settings.lock_timeout + self.settings.mongodb_timeout):
            if self.transactions:
                await self._in_transaction(group)
            else:
                await self._turn(group, None)
        released = [
            change.id
            for waiting in group
            if isinstance(waiting.outcome, CommitResult)
            for change in waiting.wish.blobs
            if not change.attach
        ]
        if released:
            await self.blobs.remove(released)

    async def _in_transaction(self, group: list[_Waiting]) -> None:
        """Run a turn as a transaction of its own; where others were faster it runs again from its beginning."""
        async with self.client.start_session() as session:
            loop = asyncio.get_running_loop()
            until, wait = loop.time() + self.settings.lock_timeout, 0.002
            while True:
                try:
                    await session.with_transaction(
                        lambda inner: self._turn(group, inner), read_concern=ReadConcern("snapshot")
                    )
                    return
                except PyMongoError as error:
                    if not error.has_error_label(_TRANSIENT):
                        raise
                    if loop.time() > until:
                        raise WriteBusy("the turn to write did not come") from error
                await asyncio.sleep(random.uniform(wait / 2, wait))  # noqa: S311 - spreads those who wait
                wait = min(wait * 2, 0.1)

    async def _turn(self, group: list[_Waiting], session: AsyncClientSession | None) -> None:
        async with self.turns.hold(session, self.settings.lock_timeout) as turn:
            planner = Planner(turn, self.turns, self.reading, self.records, self.blobs, self.clock())
            for waiting in group:
                waiting.outcome = await _planned(planner, waiting.wish)
            if _is_idle(turn):
                await self._give_back(turn)
            else:
                await self.turns.publish(turn)

    async def _give_back(self, turn: Turn) -> None:
        if turn.session is None:
            await self.turns.leave(turn)


async def _planned(planner: Planner, wish: Wish) -> CommitResult | Exception:
    """Return what a commit came to; errors of the driver end the whole turn, all others are its own."""
    try:
        return await planner.add(wish)
    except (PyMongoError, StoreUnavailable):
        raise
    except Exception as error:
        return error


def _is_idle(turn: Turn) -> bool:
    return turn.head["txid"] == turn.began and not turn.audit

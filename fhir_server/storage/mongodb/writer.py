"""The writer of one store: commits that wait for the turn share it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import pymongo
from bson.errors import InvalidDocument
from pymongo import AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure, PyMongoError

from fhir_server.resilience import note_write, pauses, time_left
from fhir_server.settings import Settings
from fhir_server.storage.base import (
    CommitResult,
    SearchTooCostly,
    StorageFault,
    StoreError,
    StoreUnavailable,
    WriteBusy,
)
from fhir_server.storage.mongodb.blobs import MongoBlobs
from fhir_server.storage.mongodb.connection import faults
from fhir_server.storage.mongodb.document import Document
from fhir_server.storage.mongodb.fencing import TurnLost
from fhir_server.storage.mongodb.planning import Planner, Wish
from fhir_server.storage.mongodb.records import MongoRecords
from fhir_server.storage.mongodb.resilience import Guard
from fhir_server.storage.mongodb.rows import Snapshot
from fhir_server.storage.mongodb.transaction import UNKNOWN, Transactions
from fhir_server.storage.mongodb.turns import Turn, Turns
from fhir_server.telemetry.numbers import GROUP_COMMITS, GROUP_SECONDS

_ROWS_OF_GROUP: Final = 5_000
"""Changes of a group; a commit that is larger alone is a group of its own."""
_FIRST_WAIT, _LONGEST_WAIT = 0.05, 1.0
_UNTIDY: Final = 1.0
"""Seconds until what a broken turn left is looked at again."""
_TAKEN: Final = 11000


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
    guard: Guard
    records: MongoRecords
    blobs: MongoBlobs
    settings: Settings
    clock: Callable[[], int]
    transactions: bool
    written: Callable[[], None]
    _queue: list[_Waiting] = field(default_factory=list)
    _working: asyncio.Task[None] | None = None
    _transactions: Transactions | None = None
    _turn_now: Turn | None = None
    _untidy: bool = False
    _closing: bool = False
    _asked: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Hear when the server is gone."""
        self.guard.breaker.when_turned(self._turned)

    async def write(self, wish: Wish) -> CommitResult:
        """Write one commit. A caller who is cancelled leaves it unknown whether it was stored.

        Raises:
            WriteBusy: as many writes wait as may; nothing is stored.
            StoreUnavailable: it says whether it is stored.
        """
        self.guard.admit()
        if len(self._queue) >= self.settings.store_queue:
            raise WriteBusy("as many writes wait as may")
        waiting = _Waiting(wish, asyncio.get_running_loop().create_future())
        waiting.done.add_done_callback(_seen)
        self._queue.append(waiting)
        self._asked.set()
        self._start()
        result = await self._answer(waiting)
        note_write()
        return result

    def _start(self) -> None:
        if self._working is None or self._working.done():
            # Not in the context of whoever comes first, for its deadline is not that of all others.
            self._working = asyncio.get_running_loop().create_task(self._work(), context=Context())

    async def _answer(self, waiting: _Waiting) -> CommitResult:
        try:
            async with asyncio.timeout(time_left(self.settings.store_deadline)) as cut:
                return await asyncio.shield(waiting.done)
        except TimeoutError as error:
            if not cut.expired():
                raise
            if waiting in self._queue:
                self._queue.remove(waiting)
                raise self.guard.given_up() from error
            raise StoreUnavailable("the write was not confirmed in time") from error

    def _turned(self, is_open: bool) -> None:
        """Let nobody wait for a server that does not answer."""
        if is_open:
            queue, self._queue[:] = list(self._queue), []
            for waiting in queue:
                if not waiting.done.done():
                    waiting.done.set_exception(self.guard.given_up())

    async def close(self) -> None:
        """Finish what is waiting."""
        self.guard.breaker.forget(self._turned)
        self._closing = True
        self._asked.set()
        if self._working is not None:
            await asyncio.gather(self._working, return_exceptions=True)
        if self._transactions is not None:
            await self._transactions.close()

    async def _work(self) -> None:
        while self._queue or (self._untidy and not self._closing):
            if not self._queue:
                await self._tidy()
                continue
            group = self._next_group()
            try:
                with GROUP_SECONDS.timed():
                    await self._group(group)
                GROUP_COMMITS.observe(len(group))
            except BaseException as error:
                for waiting in group:
                    if not waiting.done.done():
                        waiting.done.set_exception(error if isinstance(error, Exception) else WriteBusy("stopped"))
                if not isinstance(error, Exception):
                    raise
                continue
            self._tell(group)

    async def _tidy(self) -> None:
        """Mend what a turn that broke off left, even if nobody writes: others wait for it until its lease is over."""
        self._asked.clear()
        try:
            async with self.guard.call(self.settings.mongodb_lease):
                with faults():
                    await self.turns.tidy()
            self._untidy = False
        except StoreError:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), _UNTIDY)

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
        """Write a group. Where the connection fails it is found out what became of it; if nothing, it is tried again.

        Raises:
            StoreUnavailable: it says whether the group is stored.
        """
        loop = asyncio.get_running_loop()
        until, waits = loop.time() + self.settings.lock_timeout, pauses(_FIRST_WAIT, _LONGEST_WAIT)
        while True:
            self._turn_now = None
            try:
                await self._tried(group)
                break
            except StoreError as error:
                if await self._is_stored(error):
                    break
                if not _is_repeatable(error):
                    raise
                if loop.time() > until or self.guard.breaker.state != "closed":
                    raise self.guard.given_up() from error
            # A quarter of it, for it may have been too much for one lease; the rest is the next group.
            kept = max(1, len(group) // 4)
            self._queue[:0] = group[kept:]
            del group[kept:]
            await asyncio.sleep(next(waits))
        with suppress(StoreError):  # what cannot be removed now is swept later
            await self._remove_released(group)

    async def _tried(self, group: list[_Waiting]) -> None:
        limit = self.settings.lock_timeout + self.settings.mongodb_timeout
        try:
            async with self.guard.call(limit):
                with faults(), pymongo.timeout(limit):
                    if self.transactions:
                        await self._in_transaction(group)
                    else:
                        await self._turn(group, None)
        except SearchTooCostly as error:  # so a limit is told that is over before the command is sent
            raise StoreUnavailable("the write took longer than its turn") from error

    async def _is_stored(self, error: StoreError) -> bool:
        """Tell whether a group that broke off is stored. Raises StoreUnavailable: that cannot be found out in time."""
        turn = self._turn_now
        self._untidy = self._untidy or not self.transactions
        if turn is None or not turn.moving or isinstance(error, WriteBusy):
            return False
        if turn.published:
            return True
        try:
            async with asyncio.timeout(self.settings.mongodb_timeout):
                return await self._settled(turn)
        except TimeoutError:
            raise StoreUnavailable("whether a write is stored is not known", after=self.guard.breaker.after) from error

    async def _settled(self, turn: Turn) -> bool:
        for wait in pauses(_FIRST_WAIT, _LONGEST_WAIT, even=True):
            with suppress(StoreError), faults():
                return await self.turns.settle(turn)
            await asyncio.sleep(wait)
        raise AssertionError("pauses have no end")

    async def _remove_released(self, group: list[_Waiting]) -> None:
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
        """Run a turn as a transaction. What the server refuses for good fails the commit that is to blame, alone."""
        if self._transactions is None:
            lease = self.settings.mongodb_lease
            self._transactions = Transactions(self.client, self.reading.database, lease)
        try:
            await self._transactions.run(partial(self._turn, group), self.settings.lock_timeout)
        except (OperationFailure, InvalidDocument, OverflowError) as error:
            if len(group) == 1 or (isinstance(error, PyMongoError) and error.has_error_label(UNKNOWN)):
                raise
            for waiting in group:
                await self._by_itself(waiting)

    async def _by_itself(self, waiting: _Waiting) -> None:
        try:
            with faults():
                await self._in_transaction([waiting])
        except StoreError as error:
            waiting.outcome = error

    async def _turn(self, group: list[_Waiting], session: AsyncClientSession | None) -> bool:
        """Plan and write a group; tell whether there was anything to write."""
        async with self.turns.hold(session, self.settings.lock_timeout) as turn:
            self._turn_now = turn
            planner = Planner(turn, self.turns, self.reading, self.records, self.blobs, self.clock())
            for waiting in group:
                waiting.outcome = await _planned(planner, waiting.wish)
            idle = _is_idle(turn)
            if not idle:
                await self.turns.publish(turn)
            elif session is None:
                await self.turns.leave(turn)
            return not idle


async def _planned(planner: Planner, wish: Wish) -> CommitResult | Exception:
    """Return what a commit came to; errors of the driver end the whole turn, all others are its own."""
    try:
        return await planner.add(wish)
    except (PyMongoError, StoreUnavailable):
        raise
    except Exception as error:
        return error


def _seen(done: "asyncio.Future[CommitResult]") -> None:
    """Whoever asked may have given up waiting."""
    if not done.cancelled():
        done.exception()


def _is_repeatable(error: StoreError) -> bool:
    """Tell whether a write that stored nothing may come through if it is tried again: the connection failed, or places
    that it wanted are taken by what a turn that broke off left."""
    if isinstance(error, StoreUnavailable | TurnLost):
        return True
    cause = error.__cause__
    if isinstance(cause, BulkWriteError):
        return any(each.get("code") == _TAKEN for each in (cause.details or {}).get("writeErrors", ()))
    return isinstance(cause, DuplicateKeyError)


def _is_idle(turn: Turn) -> bool:
    return turn.head["txid"] == turn.began and not turn.audit

"""Writing a group of commits: in one turn, tried again where nothing of it is stored, and found out about where that
is not known."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

import pymongo
from bson.errors import InvalidDocument
from pymongo import AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure, PyMongoError

from fhir_server.resilience import pauses
from fhir_server.settings import Settings
from fhir_server.storage.base import (
    CommitResult,
    SearchTooCostly,
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

_FIRST_WAIT, _LONGEST_WAIT = 0.05, 1.0
_TAKEN: Final = 11000


@dataclass(slots=True)
class Waiting:
    """A commit that somebody waits for, and what it came to."""

    wish: Wish
    done: "asyncio.Future[CommitResult]"
    outcome: CommitResult | Exception | None = None


@dataclass(slots=True)
class Groups:
    """Writes groups to one store, one at a time. `reading` is the base of what a turn reads.

    untidy: a turn broke off, and nobody has looked yet at what it left.
    """

    client: AsyncMongoClient[Document]
    turns: Turns
    reading: Snapshot
    guard: Guard
    records: MongoRecords
    blobs: MongoBlobs
    settings: Settings
    clock: Callable[[], int]
    transactions: bool
    untidy: bool = False
    _transactions: Transactions | None = None
    _turn_now: Turn | None = None

    async def close(self) -> None:
        """End what is open."""
        if self._transactions is not None:
            await self._transactions.close()

    async def tidy(self) -> None:
        """Mend what a turn that broke off left. Raises StoreError: it could not be done now."""
        async with self.guard.call(self.settings.mongodb_lease):
            with faults():
                await self.turns.tidy()
        self.untidy = False

    async def write(self, group: list[Waiting], put_back: Callable[[list[Waiting]], None]) -> None:
        """Write a group. Where the connection fails it is found out what became of it; if nothing, it is tried again.

        Args:
            put_back: takes what is left of a group that is tried again with fewer.

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
            put_back(group[kept:])
            del group[kept:]
            await asyncio.sleep(next(waits))
        with suppress(StoreError):  # what cannot be removed now is swept later
            await self._remove_released(group)

    async def _tried(self, group: list[Waiting]) -> None:
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
        self.untidy = self.untidy or not self.transactions
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

    async def _remove_released(self, group: list[Waiting]) -> None:
        released = [
            change.id
            for waiting in group
            if isinstance(waiting.outcome, CommitResult)
            for change in waiting.wish.blobs
            if not change.attach
        ]
        if released:
            await self.blobs.remove(released)

    async def _in_transaction(self, group: list[Waiting]) -> None:
        """Run a turn as a transaction. What the server refuses for good fails the commit that is to blame, alone."""
        if self._transactions is None:
            lease = self.settings.mongodb_lease
            self._transactions = Transactions(self.client, self.reading.database, lease)
        try:
            await self._transactions.run(partial(self._turn, group), self.settings.lock_timeout)
        except (OperationFailure, InvalidDocument, OverflowError, UnicodeError) as error:
            if len(group) == 1 or (isinstance(error, PyMongoError) and error.has_error_label(UNKNOWN)):
                raise
            for waiting in group:
                await self._by_itself(waiting)

    async def _by_itself(self, waiting: Waiting) -> None:
        try:
            with faults():
                await self._in_transaction([waiting])
        except StoreError as error:
            waiting.outcome = error

    async def _turn(self, group: list[Waiting], session: AsyncClientSession | None) -> bool:
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
    return turn.head["txid"] == turn.began and not turn.audit and not (turn.taken and turn.taken.names)

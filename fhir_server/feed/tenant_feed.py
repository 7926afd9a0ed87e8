"""TenantFeed: all consumers of one tenant at work, and how far they came written down."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

from fhir_server.feed.consumer import Consumer
from fhir_server.feed.delivery import Delivery
from fhir_server.feed.ground import Ground, partition
from fhir_server.feed.lane import Lane
from fhir_server.feed.log import LogReader
from fhir_server.feed.orders import obey
from fhir_server.feed.records import (
    CURSORS,
    Cursor,
    LaneState,
    Position,
    declare,
    letters,
    put_cursor,
    read_cursor,
)
from fhir_server.settings import Settings
from fhir_server.storage.base import RecordChange, RecordChanged, Store, StoreError

_log = logging.getLogger("fhir_server.feed")
SAVE_EVERY: Final = 0.25
"""Seconds between two writes of how far the consumers came, while they work: so much may be delivered twice."""
SAVE_AGAIN = 5.0
"""Seconds after which a write that failed is tried again: consumers that have nothing to do bring no other."""


class Held(Protocol):
    """A tenant that is kept open: its store, and when it was made (milliseconds since 1970 UTC)."""

    @property
    def store(self) -> Store:
        """Its store."""

    @property
    def created(self) -> int:
        """When it was made, in milliseconds since 1970."""


ContextOf = Callable[[str, str], Awaitable[Any]]
"""`context_of(tenant, name)` makes what the handler of a consumer or of scheduled work is given."""


@dataclass(slots=True)
class Running:
    """A consumer with its lanes. known: its cursor as it is written, and the revision of that record."""

    consumer: Consumer
    lanes: tuple[Lane, ...]
    started: int
    known: Cursor | None = None
    revision: int = 0

    @property
    def cursor(self) -> Cursor:
        """Where it is now."""
        return Cursor(tuple(lane.state for lane in self.lanes), self.started)


@dataclass(frozen=True, slots=True)
class Left:
    """What a tenant was left with: up to which txid all is done (-1: not known), and when there is more to do
    (milliseconds, 0: never)."""

    txid: int
    due: int


class TenantFeed:
    """The consumers of one tenant, from `open` until `close`.

    Args:
        began: when each consumer was first seen by the installation; tenants made later are read from their beginning.
    """

    def __init__(
        self,
        tenant: str,
        settings: Settings,
        now: Callable[[], int],
        context_of: ContextOf,
    ) -> None:
        self.tenant = tenant
        self.consumers: list[Running] = []
        self._settings, self._now, self._context_of = settings, now, context_of
        self._store: Store | None = None
        self._log: LogReader | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._saved_at, self._saving = 0.0, asyncio.Lock()
        self._later: asyncio.TimerHandle | None = None
        self._late: asyncio.Task[None] | None = None
        self.fenced = asyncio.Event()
        """Set when somebody else writes the cursors: this process leads no more."""

    @property
    def store(self) -> Store:
        """The store of the tenant, while this is open."""
        assert self._store is not None
        return self._store

    async def open(self, held: Held, consumers: Sequence[Consumer], began: Callable[[str], int]) -> None:
        """Start all consumers where they were."""
        store = self._store = held.store
        await declare(store)
        log = self._log = LogReader(store)
        ground = Ground(self.tenant, store, log, self._settings, self._now, self.saved)
        for consumer in consumers:
            fresh = held.created > began(consumer.name)
            self.consumers.append(await self._ready(ground, consumer, fresh=fresh))
        await obey(self, self._now())
        for lane in self.lanes:
            self._tasks.append(asyncio.create_task(lane.run()))
        await self._write()

    @property
    def lanes(self) -> list[Lane]:
        """All lanes of all consumers."""
        return [lane for running in self.consumers for lane in running.lanes]

    def wake(self) -> None:
        """Look again: something was written."""
        for lane in self.lanes:
            lane.wake()

    async def orders(self) -> None:
        """Do what operators want."""
        await obey(self, self._now())
        await self._write()
        self.wake()

    def rests_until(self) -> float | None:
        """Return when there is something to do (milliseconds, infinite: never), None while there is."""
        times = [lane.rests_until for lane in self.lanes]
        known = [each for each in times if each is not None]
        return min(known, default=float("inf")) if len(known) == len(times) else None

    async def close(self) -> Left:
        """Stop, and write down how far all came."""
        due = self.rests_until() or self._now()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            if not self.fenced.is_set():
                await self._write()
        except StoreError as error:
            _log.warning("how far the consumers of %s came is not written: %s", self.tenant, error)
            due = self._now()
        finally:
            if self._later is not None:
                self._later.cancel()
        going = [lane.position.txid for lane in self.lanes if not lane.paused and lane.outage is None]
        return Left(min(going, default=0), 0 if due == float("inf") else round(due))

    async def saved(self) -> None:
        """Write how far all came, at most every quarter of a second. Raises StoreError."""
        wait = self._saved_at + SAVE_EVERY - time.monotonic()
        if wait <= 0:
            await self._write()
        elif self._later is None:
            self._later = asyncio.get_running_loop().call_later(wait, self._write_later)

    def _write_later(self) -> None:
        self._later = None
        self._late = asyncio.create_task(self._try_write())

    async def _try_write(self) -> None:
        try:
            await self._write()
        except StoreError as error:  # it is tried again
            _log.warning("how far the consumers of %s came is not written: %s", self.tenant, error)

    async def _write(self) -> None:
        async with self._saving:
            cursors = [(each, each.cursor) for each in self.consumers if each.cursor != each.known]
            boxes = [(lane.waiting, lane.waiting.outbox) for lane in self.lanes if lane.waiting.outbox]
            if not cursors and not boxes:
                return
            changes = [put_cursor(each.consumer.name, cursor, each.revision) for each, cursor in cursors]
            for waiting, box in boxes:
                waiting.outbox = {}
                changes += box.values()
            try:
                await self._commit(changes)
            except BaseException as error:
                for waiting, box in boxes:
                    waiting.outbox = {**box, **waiting.outbox}
                if isinstance(error, StoreError) and self._later is None and not self.fenced.is_set():
                    self._later = asyncio.get_running_loop().call_later(SAVE_AGAIN, self._write_later)
                raise
            for each, cursor in cursors:
                each.known, each.revision = cursor, each.revision + 1
            self._saved_at = time.monotonic()

    async def _commit(self, changes: Sequence[RecordChange]) -> None:
        try:
            await self.store.commit((), changes)
        except RecordChanged:
            _log.error("the consumers of %s are led by another process", self.tenant)
            self.fenced.set()
            raise

    async def _ready(self, ground: Ground, consumer: Consumer, *, fresh: bool) -> Running:
        record = await ground.store.records.get(CURSORS.name, consumer.name)
        known = read_cursor(record) if record else None
        states = _states(known, consumer) if known else [await self._beginning(consumer, fresh)] * consumer.partitions
        context = partial(self._context_of, self.tenant, consumer.name)
        delivery = Delivery(consumer, self.tenant, context, consumer.timeout or self._settings.feed_timeout)
        lanes = tuple(Lane(ground, delivery, number, state) for number, state in enumerate(states))
        async for letter in letters(ground.store, consumer.name, "waiting"):
            lanes[partition(letter.key, len(lanes))].waiting.load(letter)
        started = known.started if known else self._now()
        return Running(consumer, lanes, started, known, record.revision if record else 0)

    async def _beginning(self, consumer: Consumer, fresh: bool) -> LaneState:
        if consumer.start == "beginning" or fresh:
            return LaneState()
        return LaneState(Position(await self.store.last_txid()))


def _states(known: Cursor, consumer: Consumer) -> Sequence[LaneState]:
    """Return where the lanes go on; where their number has changed, all where the last of them was."""
    if len(known.lanes) == consumer.partitions:
        return known.lanes
    return [LaneState(min(lane.position for lane in known.lanes))] * consumer.partitions

"""Feed: the consumers of all tenants of a data folder, in the process that leads."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Final, Protocol

from fhir_server.errors import FhirError
from fhir_server.feed.consumer import Consumer
from fhir_server.feed.tenant_feed import Held, Left, TenantFeed
from fhir_server.resilience import Complaint
from fhir_server.settings import Settings
from fhir_server.storage.base import Collection, RecordChange, Store, StoreError, StoreProvider, StoreUnavailable
from fhir_server.tenancy.registration import is_name

_log = logging.getLogger("fhir_server.feed")
SEEN: Final = Collection("feed.tenants")
"""In the default tenant: how each other tenant was left, and when each consumer (`~name`) was first seen."""

REGISTERED: Final = "~"
"""The record of SEEN that names the consumers that there are."""

HOME: Final = "default"
ORDERED: Final = "!"
"""Ends the ring that says that orders were given."""

_UNKNOWN: Final = -1
_AFTER_FAULT: Final = 5.0
_LOOK: Final = 0.005


class Host(Protocol):
    """What the feed needs of the server around it."""

    def held(self, tenant: str) -> AbstractAsyncContextManager[Held]:
        """Keep a tenant open. Raises KeyError: there is none; FhirError: it is not served now."""

    async def context_of(self, tenant: str, name: str) -> Any:
        """Return what the handler of a consumer, or of scheduled work, is given."""


class Feed:
    """Opens the tenants that have changes to deliver, and closes those that have none."""

    def __init__(
        self, stores: StoreProvider, host: Host, settings: Settings, now: Callable[[], int],
        consumers: Sequence[Consumer],
    ) -> None:  # fmt: skip
        names = [consumer.name for consumer in consumers]
        if len(set(names)) != len(names):
            raise ValueError(f"two consumers are called {next(name for name in names if names.count(name) > 1)}")
        self.consumers = tuple(consumers)
        self.open: dict[str, TenantFeed] = {}
        self._stores, self._host, self._settings, self._now = stores, host, settings, now
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._orders: set[asyncio.Task[None]] = set()
        self._again: set[str] = set()
        self._stops: dict[str, asyncio.Event] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._left: dict[str, Left] = {}
        self._written: dict[str, float] = {}
        self._began: dict[str, int] = {}
        self._room = asyncio.Semaphore(settings.feed_tenants)
        self._complaint = Complaint()

    async def run(self) -> None:
        """Deliver changes until cancelled; in the process that leads."""
        if not self.consumers:
            return
        try:
            async with self._stores.listen(self.heard), self._host.held(HOME) as held:
                await self._recall(held.store)
                self._look_at(HOME)
                while True:
                    await self._look_around()
                    await asyncio.sleep(self._settings.feed_fallback)
        finally:
            await self._stop()

    def heard(self, ring: str) -> None:
        """Look at a tenant; other rings are for others."""
        tenant = ring.removesuffix(ORDERED)
        if not is_name(tenant):
            return
        feed = self.open.get(tenant)
        if feed is None:
            self._look_at(tenant)
        elif ring.endswith(ORDERED):
            task = asyncio.create_task(self._order(feed))
            self._orders.add(task)
            task.add_done_callback(self._orders.discard)
        else:
            feed.wake()

    async def settled(self, tenant: str = HOME) -> None:
        """Return once all consumers have been given what there is in a tenant, those that are paused apart."""
        head = await self._stores.head(tenant) if self.consumers else 0
        while not self._is_past(tenant, head):  # noqa: ASYNC110  # for tests: nothing else waits for this
            await asyncio.sleep(_LOOK)

    def _is_past(self, tenant: str, txid: int) -> bool:
        feed = self.open.get(tenant)
        if feed is None:
            return not txid or (tenant in self._left and self._left[tenant].txid >= txid)
        going = [lane for lane in feed.lanes if not lane.paused]
        return all(lane.position.txid >= txid and not lane.waiting.count for lane in going)

    def let_go(self, tenant: str) -> None:
        """Close a tenant that is served no more."""
        if tenant in self._stops:
            self._stops[tenant].set()

    async def _order(self, feed: TenantFeed) -> None:
        try:
            await feed.orders()
        except StoreError as error:
            _log.warning("the orders for the consumers of %s wait: %s", feed.tenant, error)

    async def _recall(self, home: Store) -> None:
        """Read how all tenants were left, and note consumers that are new."""
        await home.declare(SEEN)
        after = None
        while page := await home.records.find(SEEN.name, after=after, limit=500):
            for record in page:
                value: Any = record.value
                if record.key == REGISTERED:
                    continue
                if record.key.startswith("~"):
                    self._began[record.key[1:]] = value["began"]
                elif set(value["consumers"]) >= {consumer.name for consumer in self.consumers}:
                    self._left[record.key] = Left(value["txid"], value["due"])
            after = page[-1].key
        new = {consumer.name: self._now() for consumer in self.consumers if consumer.name not in self._began}
        self._began.update(new)
        there = set(self._stores.tenants())
        gone = [RecordChange(SEEN.name, tenant, None) for tenant in self._left if tenant not in there]
        began = [RecordChange(SEEN.name, f"~{name}", {"began": at}) for name, at in new.items()]
        names = sorted(consumer.name for consumer in self.consumers)
        await home.commit((), [*gone, *began, RecordChange(SEEN.name, REGISTERED, {"consumers": names})])

    async def _look_around(self) -> None:
        """Find tenants that were written while nobody heard."""
        with suppress(StoreUnavailable):  # then there is nothing to deliver from either
            await self._look_at_each()

    async def _look_at_each(self) -> None:
        for tenant in self._stores.tenants():
            written = await asyncio.to_thread(self._stores.written, tenant)  # a store elsewhere may take long
            if self._written.get(tenant) == written and tenant in self._left:
                continue
            self._written[tenant] = written
            if tenant in self.open:
                self.open[tenant].wake()
            elif await self._has_more(tenant):
                self._look_at(tenant)

    async def _has_more(self, tenant: str) -> bool:
        left = self._left.get(tenant)
        if left is None:
            return True
        if left.due and tenant not in self._timers:
            self._remind(tenant, left.due)
        with suppress(KeyError, StoreError):
            return await self._stores.head(tenant) != left.txid  # lower in a tenant that was restored
        return False

    def _look_at(self, tenant: str) -> None:
        if tenant in self._tasks:
            self._again.add(tenant)
            return
        if tenant in self._timers:
            self._timers.pop(tenant).cancel()
        task = self._tasks[tenant] = asyncio.create_task(self._work(tenant))
        task.add_done_callback(lambda _: self._ended(tenant))

    def _ended(self, tenant: str) -> None:
        self._tasks.pop(tenant, None)
        if tenant in self._again:
            self._again.discard(tenant)
            self._look_at(tenant)

    async def _work(self, tenant: str) -> None:
        consumers = [each for each in self.consumers if not each.tenants or tenant in each.tenants]
        try:
            if tenant == HOME:  # it has a place of its own, for it stays open
                await self._serve(tenant, consumers)
            else:
                async with self._room:
                    await self._serve(tenant, consumers)
        except (KeyError, FhirError):
            self._left.pop(tenant, None)  # it is looked at again when it is served again
        except StoreUnavailable as error:
            if self._complaint.is_new():
                _log.warning("the feed of tenant %s waits: %s", tenant, error)
            self._remind(tenant, self._now() + round(_AFTER_FAULT * 1_000))
        except Exception:  # one bad tenant must not end the feed of the others
            _log.exception("the feed of tenant %s", tenant)
            self._remind(tenant, self._now() + round(_AFTER_FAULT * 1_000))

    async def _serve(self, tenant: str, consumers: Sequence[Consumer]) -> None:
        async with self._host.held(tenant) as held:
            feed = TenantFeed(tenant, self._settings, self._now, self._host.context_of)
            stop = self._stops[tenant] = asyncio.Event()
            try:
                await feed.open(held, consumers, lambda name: self._began.get(name, 0))
                self.open[tenant] = feed
                self._complaint.well()
                self._again.discard(tenant)
                feed.wake()
                await self._until_idle(feed, stop)
            finally:
                self.open.pop(tenant, None)
                self._stops.pop(tenant, None)
                left = await feed.close()
        await self._note(tenant, left)
        if feed.fenced.is_set():
            self._remind(tenant, self._now() + round(_AFTER_FAULT * 1_000))

    async def _until_idle(self, feed: TenantFeed, stop: asyncio.Event) -> None:
        """Return when there was nothing to deliver for a while; the default tenant stays open."""
        linger = self._settings.feed_linger
        ends = [asyncio.create_task(stop.wait()), asyncio.create_task(feed.fenced.wait())]
        try:
            while True:
                done, _ = await asyncio.wait(
                    ends, timeout=None if feed.tenant == HOME else linger, return_when=asyncio.FIRST_COMPLETED
                )
                until = feed.rests_until()
                if done or (until is not None and until > self._now() + linger * 1_000):
                    return
        finally:
            for task in ends:
                task.cancel()

    async def _note(self, tenant: str, left: Left) -> None:
        """Remember how a tenant was left, so that it is not opened again for nothing."""
        with suppress(KeyError, StoreError):
            head = await self._stores.head(tenant)
            left = Left(head if head <= left.txid else _UNKNOWN, left.due)
        self._left[tenant] = left
        if left.due:
            self._remind(tenant, left.due)
        if tenant == HOME:
            return
        names = [consumer.name for consumer in self.consumers]
        value = {"txid": left.txid, "due": left.due, "consumers": names}
        async with self._host.held(HOME) as held:
            await held.store.commit((), (RecordChange(SEEN.name, tenant, value),))

    def _remind(self, tenant: str, due: int) -> None:
        loop = asyncio.get_running_loop()
        wait = max(0.0, (due - self._now()) / 1_000)
        if tenant in self._timers:
            self._timers[tenant].cancel()
        self._timers[tenant] = loop.call_later(wait, self._reminded, tenant)

    def _reminded(self, tenant: str) -> None:
        self._timers.pop(tenant, None)
        self._look_at(tenant)

    async def _stop(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._again.clear()
        tasks = [*self._tasks.values(), *self._orders]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

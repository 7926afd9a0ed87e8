"""A feed around a real provider, with a host that only opens stores."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from fhir_server.feed import Consumer, FeedChange
from fhir_server.feed.feed import Feed
from fhir_server.settings import Settings
from fhir_server.storage.base import Store, StoreProvider
from tests.unit.storage.writing import write

QUICK = Settings(
    durable=False,
    reserve_bytes=0,
    readers=1,
    feed_retry_first=0.02,
    feed_retry_longest=0.1,
    feed_retry_for=3600,
    feed_timeout=0.3,
    feed_linger=1,
    feed_fallback=3600,
)


@dataclass
class Held:
    """A tenant that is open."""

    store: Store
    created: int = 0


class Yard:
    """The host of a feed; `opened` names the tenants in the order in which they were opened."""

    def __init__(self, stores: StoreProvider) -> None:
        self.stores = stores
        self.opened: list[str] = []
        self.created: dict[str, int] = {}

    @asynccontextmanager
    async def held(self, tenant: str) -> AsyncIterator[Held]:
        store = await self.stores.open(tenant)
        self.opened.append(tenant)
        yield Held(store, self.created.get(tenant, 0))

    async def context_of(self, tenant: str, name: str) -> Any:
        return tenant


@dataclass
class Seen:
    """A handler that notes what it was given; `fails` tells of which changes it refuses a batch."""

    batches: list[list[str]] = field(default_factory=list)
    tenants: list[str] = field(default_factory=list)
    fails: Callable[[FeedChange], bool] = lambda change: False
    calls: int = 0

    async def __call__(self, context: str, changes: Sequence[FeedChange]) -> None:
        self.calls += 1
        if any(self.fails(change) for change in changes):
            raise ValueError("no")
        self.batches.append([change.id for change in changes])
        self.tenants.append(context)

    @property
    def all(self) -> list[str]:
        return [each for batch in self.batches for each in batch]

    async def until(self, count: int, within: float = 10) -> list[str]:
        """Wait for so many changes."""
        async with asyncio.timeout(within):
            while len(self.all) < count:
                await asyncio.sleep(0.005)
        return self.all


@asynccontextmanager
async def fed(
    yard: Yard, *consumers: Consumer, settings: Settings = QUICK, now: Callable[[], int] | None = None
) -> AsyncIterator[Feed]:
    """Run a feed."""
    feed = Feed(yard.stores, yard, settings, now or _now, consumers)
    task = asyncio.create_task(feed.run())
    try:
        async with asyncio.timeout(5):
            while consumers and "default" not in feed.open and not task.done():
                await asyncio.sleep(0.002)
        yield feed
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _now() -> int:
    import time

    return time.time_ns() // 1_000_000


async def fill(store: Store, count: int, type_: str = "Patient", start: int = 0) -> list[str]:
    """Write so many resources, one commit each; return the ids of their changes."""
    for number in range(start, start + count):
        await write(store, type_, str(number))
    return [f"{type_}/{number}/_history/1" for number in range(start, start + count)]

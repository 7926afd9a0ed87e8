"""How many changes a second a consumer catches up with, and how long after a commit it is given a change.

Run as `python -m scripts.bench_feed [CHANGES]`; everything happens in a folder that is removed afterwards.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fhir_server.feed import Consumer, FeedChange
from fhir_server.feed.feed import Feed
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Body
from fhir_server.settings import Settings
from fhir_server.storage.base import Change, Store
from fhir_server.storage.sqlite.provider import SqliteProvider

FILLING = '"},"name":[{"family":"Chalmers","given":["Peter","James"]}],"text":{"div":"' + "x" * 1_500 + '"}}'


@dataclass
class Held:
    """A tenant that is open."""

    store: Store
    created: int = 0


class Bench:
    """The host of a feed."""

    def __init__(self, stores: SqliteProvider) -> None:
        self.stores = stores

    @asynccontextmanager
    async def held(self, tenant: str) -> AsyncIterator[Held]:
        yield Held(await self.stores.open(tenant))

    async def context_of(self, tenant: str, name: str) -> Any:
        return None


def milliseconds() -> int:
    return time.time_ns() // 1_000_000


def change(number: int, text: str = "") -> Change:
    head = f'{{"resourceType":"Patient","id":"p{number}","meta":{{'
    data = f'{head}"source":"{text}{FILLING}'.encode()
    return Change(ResourceKey("Patient", f"p{number}"), "PUT", Body(data, len(head)))


@asynccontextmanager
async def fed(bench: Bench, settings: Settings, consumer: Consumer) -> AsyncIterator[Feed]:
    feed = Feed(bench.stores, bench, settings, milliseconds, [consumer])
    task = asyncio.create_task(feed.run())
    try:
        yield feed
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), reserve_bytes=0)
        bench = Bench(SqliteProvider(Path(folder), settings, milliseconds))
        store = await bench.stores.open("default")
        for start in range(0, count, 1_000):
            await store.commit([change(number) for number in range(start, min(count, start + 1_000))])
        for partitions in (1, 4):
            await catch_up(bench, settings, count, partitions)
        await latency(bench, settings, count)
        await bench.stores.close()


async def catch_up(bench: Bench, settings: Settings, count: int, partitions: int) -> None:
    seen, size, done = 0, 0, asyncio.Event()

    async def handler(context: Any, changes: Sequence[FeedChange]) -> None:
        nonlocal seen, size
        seen += len(changes)
        size += sum(len(each.body) for each in changes)
        if seen >= count:
            done.set()

    consumer = Consumer(f"catch-up-{partitions}", handler, partitions=partitions, batch=500, start="beginning")
    began, cpu = time.perf_counter(), time.process_time()
    async with fed(bench, settings, consumer):
        await done.wait()
    took = time.perf_counter() - began
    print(
        f"{partitions} partitions: {count} changes, {size / 1e6:.0f} MB, in {took:.2f} s: {count / took:,.0f}/s, "
        f"{(time.process_time() - cpu) / count * 1e6:.0f} us of CPU each"
    )


async def latency(bench: Bench, settings: Settings, count: int) -> None:
    given: asyncio.Queue[float] = asyncio.Queue()

    async def handler(context: Any, changes: Sequence[FeedChange]) -> None:
        given.put_nowait(time.perf_counter())

    store = await bench.stores.open("default")
    times = []
    async with fed(bench, settings, Consumer("latency", handler)):
        await asyncio.sleep(0.5)
        for number in range(200):
            await store.commit([change(count + number)])
            began = time.perf_counter()
            times.append(await given.get() - began)
        cpu = time.process_time()
        await asyncio.sleep(10)
        idle = time.process_time() - cpu
    times.sort()
    print(f"from commit to handler: median {times[100] * 1e3:.1f} ms, 99 % {times[198] * 1e3:.1f} ms")
    print(f"CPU in 10 s without changes: {idle * 1e3:.1f} ms")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000))

"""Whatever fails and whenever it stops: each change is given at least once, those of one resource in their order."""

import asyncio
import random
from collections.abc import Sequence
from itertools import count
from typing import Any

import pytest

from fhir_server.feed import Consumer, FeedChange
from fhir_server.storage.memory.provider import MemoryProvider
from tests.unit.feed.yard import QUICK, Yard, fed
from tests.unit.storage.writing import change

ROUNDS = 6
SETTINGS = QUICK.model_copy(update={"feed_retry_first": 0.002, "feed_retry_longest": 0.01, "feed_waiting": 20})


class Fickle:
    """A handler that fails by chance, hangs now and then, and is out of order for a while."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.given: list[str] = []
        self.order: dict[str, list[int]] = {}
        self.down = False

    async def __call__(self, context: Any, changes: Sequence[FeedChange]) -> None:
        for each in changes:
            if self.chance.random() < 0.002:
                self.down = not self.down
            if self.down or self.chance.random() < 0.05:
                raise ValueError("by chance")
            if self.chance.random() < 0.002:
                await asyncio.sleep(10)
            if self.chance.random() < 0.1:
                await asyncio.sleep(0)
            self.given.append(each.id)
            versions = self.order.setdefault(str(each.key), [])
            if each.version not in versions:
                versions.append(each.version)
        if self.down and self.chance.random() < 0.3:
            self.down = False


@pytest.mark.parametrize("seed", range(8))
async def test_every_change_is_given_and_in_the_order_of_its_resource(seed: int) -> None:
    chance, clock = random.Random(seed), count(1_000)
    yard = Yard(MemoryProvider(SETTINGS, lambda: next(clock)))
    store = await yard.stores.open("default")
    handler = Fickle(chance)
    consumer = Consumer("c", handler, partitions=chance.choice((1, 3)), batch=chance.choice((1, 7, 50)), timeout=0.05,
                        start="beginning")  # fmt: skip
    written: set[str] = set()
    texts = count()
    for _ in range(ROUNDS):
        async with fed(yard, consumer, settings=SETTINGS):
            for _ in range(chance.randrange(1, 15)):
                ids = chance.sample(range(25), chance.randrange(1, 12))
                result = await store.commit([change("Patient", str(id_), text=str(next(texts))) for id_ in ids])
                written |= {
                    f"{each.version.key}/_history/{each.version.version}" for each in result.written if each.version
                }
                await asyncio.sleep(chance.random() * 0.01)
    handler.chance = random.Random(0)
    handler.down = False
    async with fed(yard, consumer, settings=SETTINGS) as feed:
        async with asyncio.timeout(20):
            while not written <= set(handler.given):
                handler.down = False
                await asyncio.sleep(0.01)
        assert feed.open
    assert all(versions == sorted(versions) for versions in handler.order.values())

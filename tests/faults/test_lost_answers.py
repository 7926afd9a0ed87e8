"""A connection breaks at any command of a commit: it is stored whole and once or not at all, and the answer is true."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from secrets import token_hex
from typing import Literal

import pytest

from fhir_server.model.keys import ResourceKey
from fhir_server.settings import Settings
from fhir_server.storage.base import Collection, HistoryQuery, RecordChange, StoreUnavailable
from fhir_server.storage.mongodb.store import MongoStore, open_alone
from tests.conformance.storage.world import START, change, patient
from tests.faults.proxy import Proxy

A, B = ResourceKey("Patient", "a"), ResourceKey("Patient", "b")
COUNTS = Collection("test.counts")
_READS = ("find", "hello", "ismaster", "ping", "getMore", "listIndexes", "listCollections", "endSessions", "buildInfo")
_MOST = 14
"""Commands of a commit that write, and some more."""
_FEW = (2, 3, 5, 6)
"""Those that would do most harm: versions, what they supersede, the head, records."""


def nth(number: int) -> Callable[[str], bool]:
    """Return what tells of the n-th command that writes, once."""
    seen = 0

    def tell(command: str) -> bool:
        nonlocal seen
        seen += command not in _READS
        return command not in _READS and seen == number + 1

    return tell


async def opened(database: str, port: int) -> MongoStore:
    url = f"mongodb://127.0.0.1:{port}/"
    store = await open_alone(database, Settings(mongodb_url=url, mongodb_lease=1, durable=False), lambda: START)
    await store.declare(COUNTS)
    return store


async def write(store: MongoStore, number: int) -> None:
    """Write two patients and a record, all of one number."""
    pair = [change(patient(id_, name=[{"family": f"n{number}"}])) for id_ in ("a", "b")]
    await store.commit(pair, [RecordChange(COUNTS.name, "count", {"number": number})])


async def written(store: MongoStore) -> list[int]:
    """Return the numbers that were written, oldest first, and check that each commit is there as a whole."""
    numbers: dict[str, list[int]] = {}
    for version in await store.changes(0):
        text = version.body.data.partition(b'"family":"n')[2].partition(b'"')[0]
        numbers.setdefault(version.key.id, []).append(int(text))
    assert numbers["a"] == numbers["b"]
    record = await store.records.get(COUNTS.name, "count")
    assert record is not None
    assert (record.value["number"], record.revision) == (numbers["a"][-1], len(numbers["a"]))
    pages = [await store.history(HistoryQuery(key=key, count=1_000)) for key in (A, B)]
    assert [[each.version for each in page.versions][::-1] for page in pages] == [
        list(range(1, len(numbers["a"]) + 1))
    ] * 2
    assert {version.key for version in (await store.read_many([A, B])).values()} == {A, B}
    assert await store.statistics() == {"Patient": 2}
    return numbers["a"]


@pytest.fixture
async def store(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MongoStore]:
    # The driver waits half a second before it looks at a server again, each time.
    monkeypatch.setattr("pymongo.common.MIN_HEARTBEAT_INTERVAL", 0.01)
    made = await opened(f"t_{token_hex(6)}", proxy.port)
    await write(made, 0)
    yield made
    proxy.heal()
    await made.close()


@pytest.mark.parametrize("how", ["lose", "drop"])
async def test_a_commit_whose_connection_breaks_is_answered_and_stored_once(
    proxy: Proxy, store: MongoStore, how: Literal["lose", "drop"]
) -> None:
    for number in range(_MOST):
        setattr(proxy.weather, how, nth(number))
        await write(store, number + 1)
        proxy.heal()
    assert proxy.struck >= _MOST - 5
    assert await written(store) == list(range(_MOST + 1))


@pytest.mark.parametrize("late", [_FEW, pytest.param(range(_MOST), marks=pytest.mark.long)], ids=["few", "all"])
async def test_a_command_that_is_executed_late_does_no_harm_to_who_has_the_turn_then(
    proxy: Proxy, store: MongoStore, late: Sequence[int]
) -> None:
    """Its writer is cut off, another takes the turn when the lease is over, and then the server gets the command."""
    other = await opened(store._reading.database.name, proxy._target[1])
    next_, maybe = 1, set()
    for number in late:
        proxy.struck = 0
        proxy.weather.keep = nth(number)
        proxy.weather.drop = lambda command: proxy.struck > 0  # nothing that follows comes through
        attempt = asyncio.create_task(write(store, next_))
        while not proxy.struck and not attempt.done():
            await asyncio.sleep(0.01)
        for _ in range(2):
            next_ += 1
            await write(other, next_)
        proxy.weather.drop = lambda command: False
        proxy.release()
        for _ in range(2):
            next_ += 1
            await write(other, next_)
        try:
            await attempt
        except StoreUnavailable as error:
            maybe.add((next_ - 4, error.stored))
        next_ += 1
        proxy.heal()
        numbers = await written(other)
        assert len(set(numbers)) == len(numbers)
        sure = set(range(next_)) - {each for each, _ in maybe}
        assert sure <= set(numbers)
        assert not {each for each, stored in maybe if stored == "nothing"} & set(numbers)
    await other.close()

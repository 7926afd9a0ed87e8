"""A writer that is killed leaves whole commits alone, and nobody waits for it longer than its lease."""

import asyncio
import random
import sys

import pytest

from fhir_server.model.keys import ResourceKey
from fhir_server.settings import Settings
from fhir_server.storage.base import HistoryQuery, RecordChange, WriteBusy
from fhir_server.storage.mongodb.document import OPEN
from fhir_server.storage.mongodb.store import MongoStore, open_alone
from tests.conformance.storage.world import START, change, patient
from tests.servers.mongodb import fresh, mongodb_url
from tests.unit.storage.mongodb.writes import COUNTS

A, B = ResourceKey("Patient", "a"), ResourceKey("Patient", "b")


async def opened(database: str, **settings: object) -> MongoStore:
    made = Settings.model_validate({"mongodb_url": mongodb_url(), "mongodb_lease": 2, "durable": False} | settings)
    return await open_alone(database, made, lambda: START)


async def killed(database: str, first: int, after: float) -> int:
    """Let a process write for a while, kill it, and return the number of the last commit that it was answered."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.unit.storage.mongodb.writes", mongodb_url(), database, str(first), "2",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    told = int(await process.stdout.readline())
    await asyncio.sleep(after)
    process.kill()
    rest = (await process.stdout.read()).split()
    await process.wait()
    return int(rest[-1]) if rest else told


async def number_of(store: MongoStore, key: ResourceKey) -> int:
    """Return what the last commit wrote into a patient."""
    version = await store.read(key)
    assert version is not None
    return int(version.body.data.partition(b'"family":"n')[2].partition(b'"')[0])


async def test_what_was_answered_is_there_and_what_was_not_is_there_whole_or_not_at_all() -> None:
    database, next_, seed = fresh("t_"), 1, random.Random(7)
    store = await opened(database)
    for _ in range(3):
        answered = await killed(database, next_, seed.uniform(0, 0.05))
        # The first write takes the turn over and mends what the killed one left.
        await store.commit([change(patient("c", name=[{"family": f"c{next_}"}]))])
        numbers = {await number_of(store, A), await number_of(store, B)}
        record = await store.records.get(COUNTS.name, "count")
        assert record is not None
        assert numbers == {record.value["number"]}
        assert answered <= min(numbers) <= answered + 1
        histories = [(await store.history(HistoryQuery(key=key, count=1))).total for key in (A, B)]
        assert histories[0] == histories[1] == record.revision
        next_ = min(numbers) + 1
    assert await store.statistics() == {"Patient": 3}
    await store.close()


async def test_of_many_writers_each_has_its_turn_and_none_is_lost() -> None:
    database = fresh("t_")
    stores = [await opened(database) for _ in range(3)]
    await stores[0].declare(COUNTS)

    async def write(store: MongoStore, writer: int) -> None:
        await store.declare(COUNTS)
        for number in range(10):
            id_ = f"w{writer}-{number}"
            await store.commit([change(patient(id_))], [RecordChange(COUNTS.name, id_, {"number": number})])

    await asyncio.gather(*(write(store, number) for number, store in enumerate(stores)))
    assert (await stores[0].statistics())["Patient"] == 30
    assert len(await stores[1].records.find(COUNTS.name)) == 30
    txids = [version.txid for version in await stores[2].changes(0)]
    assert txids == sorted(set(txids))
    for store in stores:
        await store.close()


async def test_who_does_not_get_the_turn_in_time_is_told_so() -> None:
    database = fresh("t_")
    store = await opened(database, lock_timeout=1, mongodb_lease=60)
    if store.server.transactions:
        await store.close()
        pytest.skip("test data: a server without transactions")
    other = await opened(database, lock_timeout=1, mongodb_lease=60)
    turns = other._writer.turns
    async with turns.hold(None, 1) as turn:
        with pytest.raises(WriteBusy):
            await store.commit([change(patient("a"))])
        await turns.leave(turn)
    assert (await store.commit([change(patient("a"))])).written[0].created
    await store.close()
    await other.close()


async def test_what_a_write_has_marked_that_is_not_published_yet_is_not_purged_as_superseded() -> None:
    store = await opened(fresh("t_"))
    for name in ("one", "two"):
        await store.commit([change(patient("a", name=[{"family": name}]))])
    versions = store._writer.reading.database["versions"]
    await versions.update_many({"v": 2}, {"$set": {"to": 3, "end": START}})
    assert await store.purge(A, history_only=True) == 1
    await versions.update_many({"v": 2}, {"$set": {"to": OPEN}, "$unset": {"end": ""}})
    version = await store.read(A)
    assert version is not None
    assert version.version == 2
    await store.close()

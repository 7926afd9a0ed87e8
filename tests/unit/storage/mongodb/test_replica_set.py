"""What only a real replica set (or shard router) of MongoDB has: plans by indexes, isolation, change streams, shards.

Run with FHIR_SERVER_TEST_MONGODB_URL. The user of that address must be allowed to make databases, to watch all of
them, and on a router to shard collections.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient, ReadPreference
from pymongo.read_concern import ReadConcern
from pymongo.server_api import ServerApi

from fhir_server.model.keys import ResourceKey
from fhir_server.settings import Settings
from fhir_server.storage.base import HistoryQuery, RecordChange, WriteBusy
from fhir_server.storage.mongodb import history as log
from fhir_server.storage.mongodb import store as engine
from fhir_server.storage.mongodb.provider import MongoProvider
from fhir_server.storage.mongodb.schema import INDEXES, orders
from fhir_server.storage.mongodb.store import MongoStore, open_alone
from tests.conformance.storage.world import START, World, change, observation, open_world, patient
from tests.servers.mongodb import fresh, mongodb_url, need_set, needs_mongodb
from tests.unit.storage.mongodb.writes import COUNTS

pytestmark = [needs_mongodb, pytest.mark.asyncio(loop_scope="module")]

A = ResourceKey("Patient", "a")
PATIENTS, EACH = 200, 20
BLOCKING, WHOLE = "SORT", "COLLSCAN"
KEYS = {"keys", "any_keys"}
"""Either finds what one type alone has; which of two equal plans wins is the server's secret."""
_ASIDE = {"slotBasedPlan", "rejectedPlans"}


def family(number: int) -> str:
    """Return a name that no other patient's begins with."""
    return f"f{number:04}x"


def library() -> Iterable[list[dict[str, Any]]]:
    """Patients with observations, a commit for each ten patients."""
    for first in range(0, PATIENTS, 10):
        made = []
        for number in range(first, first + 10):
            named = {"family": family(number)}
            identifier = {"system": "urn:mrn", "value": str(number)}
            made.append(patient(f"p{number}", name=[named], identifier=[identifier], birthDate=f"19{number % 90 + 10}"))
            for each in range(EACH):
                coded = {"coding": [{"system": "http://loinc.org", "code": f"c{each % 5}"}]}
                made.append(
                    observation(
                        f"o{number}-{each}",
                        subject={"reference": f"Patient/p{number}"},
                        code=coded,
                        effectiveDateTime=f"20{each + 1:02}-0{number % 9 + 1}-01",
                        valueQuantity={
                            "value": number,
                            "unit": "kg",
                            "system": "http://unitsofmeasure.org",
                            "code": "kg",
                        },
                    )
                )
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A store with the library."""
    need_set()
    made = await open_world("mongodb", tmp_path_factory.mktemp("real"))
    for resources in library():
        made.clock.now += 1_000
        await made.put(*resources)
    yield made
    store = made.store
    assert isinstance(store, MongoStore)
    await store._writer.client.drop_database(store._writer.reading.database.name)
    await store.close()


async def opened(database: str = "", **settings: object) -> MongoStore:
    need_set()
    made = {"mongodb_url": mongodb_url(), "mongodb_lease": 2, "durable": False, **settings}
    return await open_alone(database or fresh("t_"), Settings.model_validate(made), lambda: START)


def stages(plan: Any) -> set[str]:
    """Return the stages of a plan, and the names of the indexes that it walks; a router tells what it rejected too."""
    if isinstance(plan, list):
        return {stage for each in plan for stage in stages(each)}
    if not isinstance(plan, dict):
        return set()
    own = {plan[name] for name in ("stage", "indexName") if isinstance(plan.get(name), str)}
    return own.union(*(stages(value) for name, value in plan.items() if name not in _ASIDE))


async def planned(world: World, url: str, **changes: Any) -> set[str]:
    told = await world.store.explain(replace(world.parse(url).search, **changes))
    return stages(told["plan"])


@pytest.mark.parametrize(
    ("url", "indexes"),
    [
        ("Patient?identifier=urn:mrn|17", KEYS),
        ("Patient?_id=p17", {"ids"}),
        ("Patient?family=f0017", {"strings"}),
        ("Observation?patient=Patient/p17", KEYS),
        ("Observation?patient=Patient/p17&code=http://loinc.org|c1", KEYS),
        ("Observation?patient=Patient/p17&code=http://loinc.org|c1&date=ge2005", KEYS | {"dates"}),
        ("Observation?patient=Patient/p17&_sort=-date", KEYS | {"sort_-date"}),
        ("Observation?date=ge2020-09", {"dates_high"}),
        ("Observation?value-quantity=gt198.5", {"some_quantities_high"}),
        ("Observation?value-quantity=lt1", {"some_quantities"}),
        ("Patient?_lastUpdated=gt9999", {"updates"}),
        ("Patient/p17/Observation?", KEYS),
        ("Patient/p17/*?", KEYS),
    ],
)
async def test_a_search_walks_an_index(world: World, url: str, indexes: set[str]) -> None:
    found = await planned(world, url)
    assert WHOLE not in found
    assert found & indexes, found


@pytest.mark.parametrize(
    ("url", "indexes"),
    [
        ("Patient?", {"types"}),
        ("Patient?_sort=_lastUpdated", {"updates"}),
        ("Patient?_sort=-_lastUpdated", {"updates"}),
        ("Patient?_sort=_id", {"ids"}),
        ("Patient?_sort=family", {"sort_family"}),
        ("Observation?_sort=-date", {"sort_-date"}),
        ("Observation?_sort=date", {"sort_date"}),
        ("Patient?identifier=urn:mrn|17", KEYS),
        ("Observation?patient=Patient/p17", KEYS),
    ],
)
async def test_a_page_and_the_next_come_in_the_order_of_an_index(world: World, url: str, indexes: set[str]) -> None:
    first = await world.search(url, count=5)
    found = await planned(world, url, count=5)
    assert indexes & found, found
    assert not {WHOLE, BLOCKING} & found
    if first.next is not None:
        second = await planned(world, url, count=5, after=first.next)
        assert indexes & second, second
        assert not {WHOLE, BLOCKING} & second


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (HistoryQuery(key=ResourceKey("Patient", "p17")), "resource"),
        (HistoryQuery(type="Patient"), "types"),
        (HistoryQuery(), "_id_"),
    ],
)
async def test_a_history_comes_in_the_order_of_an_index(world: World, query: HistoryQuery, index: str) -> None:
    assert isinstance(world.store, MongoStore)
    snapshot = await world.store._now()
    order = [("_id", -1)] if query.key is None else [("v", -1)]
    found = snapshot.database["versions"].find({"$and": log._asked(snapshot, query)}).sort(order).limit(11)
    told = stages((await found.explain())["queryPlanner"]["winningPlan"])
    assert index in told
    assert not {WHOLE, BLOCKING} & told


async def test_reads_by_name_the_log_and_the_sweep_walk_indexes(world: World) -> None:
    store = world.store
    assert isinstance(store, MongoStore)
    snapshot = await store._now()
    versions = snapshot.database["versions"]
    for match, order, index in (
        ({"x": {"$gt": 5, "$lte": snapshot.txid}}, [("x", 1), ("_id", 1)], "log"),
        ({"end": {"$lt": START, "$exists": True}, "k": {"$exists": True}}, [("end", 1)], "sweepable"),
        ({"w": True, "t": "Observation"}, [("_id", -1)], "wide"),
        ({"c": {"$exists": True, "$in": ["Patient"]}}, [("c", 1)], "containers"),
    ):
        told = stages((await versions.find(match).sort(order).explain())["queryPlanner"]["winningPlan"])
        assert index in told, (match, told)
        assert WHOLE not in told
    async with aclosing(snapshot.documents({"h": 1, "t": "Patient", "i": "nobody"})) as found:
        assert [each async for each in found] == []


async def test_what_is_swept_is_found_by_indexes(world: World) -> None:
    store = world.store
    assert isinstance(store, MongoStore)
    database = store._writer.reading.database
    for name, match in (
        ("fates", {"at": {"$lt": 5.0}}),
        ("blobs", {"$or": [{"staged": {"$lt": 5.0}}, {"dropped": True}]}),
    ):
        told = stages((await database[name].find(match).explain())["queryPlanner"]["winningPlan"])
        assert WHOLE not in told, (name, told)


async def test_the_server_made_every_index(world: World) -> None:
    store = world.store
    assert isinstance(store, MongoStore)
    versions = store._writer.reading.database["versions"]
    have = {each["name"]: each async for each in await versions.list_indexes()}
    wanted = [index.document for index in (*INDEXES, *orders(world.settings.mongodb_sorts))]
    assert set(have) >= {each["name"] for each in wanted}
    assert len(have) <= 64
    parts = {each["name"] for each in wanted if "partialFilterExpression" in each}
    assert {name for name, each in have.items() if "partialFilterExpression" in each} == parts


async def test_an_open_transaction_hides_what_it_wrote_and_holds_other_writers_up() -> None:
    store = await opened(lock_timeout=1)
    await store.commit([change(patient("a", name=[{"family": "one"}]))])
    database = store._writer.reading.database
    async with store._writer.client.start_session() as session:
        await session.start_transaction(ReadConcern("snapshot"), read_preference=ReadPreference.PRIMARY)
        await database["meta"].update_one({"_id": "head"}, {"$inc": {"txid": 1}}, session=session)
        await database["versions"].update_many({}, {"$set": {"to": 0}}, session=session)
        seen = await store.read(A)
        assert seen is not None
        assert seen.version == 1
        with pytest.raises(WriteBusy):
            await store.commit([change(patient("a", name=[{"family": "two"}]))])
        await session.abort_transaction()
    assert (await store.commit([change(patient("a", name=[{"family": "two"}]))])).txid == 2
    await store.close()


async def test_a_writer_that_is_silent_in_the_middle_of_a_transaction_is_ended_after_its_lease() -> None:
    database = fresh("t_")
    store, silent = await opened(database), await opened(database)
    await store.commit([change(patient("a"))])
    transactions = engine_transactions(silent)
    session = await transactions._noted()
    await session.start_transaction(ReadConcern("snapshot"), read_preference=ReadPreference.PRIMARY)
    meta = silent._writer.reading.database["meta"]
    await meta.update_one({"_id": "head"}, {"$inc": {"epoch": 1}}, session=session)
    began = asyncio.get_running_loop().time()
    await store.commit([change(patient("b"))])
    assert asyncio.get_running_loop().time() - began < 8
    await session.abort_transaction()
    await silent.commit([change(patient("c"))])
    assert await store.statistics() == {"Patient": 3}
    await silent.close()
    await store.close()


def engine_transactions(store: MongoStore) -> Any:
    """Return what runs the transactions of a store that has not written yet."""
    groups = store._writer.groups
    groups._transactions = engine_module().Transactions(
        groups.client, groups.reading.database, groups.settings.mongodb_lease
    )
    return groups._transactions


def engine_module() -> Any:
    """Return the module of transactions."""
    from fhir_server.storage.mongodb import transaction

    return transaction


async def test_writers_of_several_nodes_lose_nothing() -> None:
    database = fresh("t_")
    stores = [await opened(database) for _ in range(4)]

    async def write(store: MongoStore, writer: int) -> None:
        await store.declare(COUNTS)
        for number in range(20):
            id_ = f"w{writer}-{number}"
            await store.commit([change(patient(id_))], [RecordChange(COUNTS.name, id_, {"number": number})])

    await asyncio.gather(*(write(store, number) for number, store in enumerate(stores)))
    assert await stores[0].statistics() == {"Patient": 80}
    txids = [version.txid for version in await stores[1].changes(0)]
    assert txids == sorted(set(txids))
    for store in stores:
        await store.close()


@pytest.mark.parametrize("preference", ["primary", "primaryPreferred", "secondaryPreferred", "nearest"])
async def test_who_has_written_reads_it_from_whatever_member(preference: str) -> None:
    store = await opened(mongodb_read_preference=preference)
    for number in range(1, 31):
        await store.commit([change(patient("a", name=[{"family": f"n{number}"}]))])
        version = await store.read(A)
        assert version is not None
        assert version.version == number
    await store.close()


async def test_a_write_that_one_member_confirms_is_read_too() -> None:
    store = await opened(mongodb_write_concern="1")
    await store.commit([change(patient("a"))])
    assert await store.read(A) is not None
    await store.close()


async def test_rings_come_by_change_streams_of_tenants_that_were_not_there() -> None:
    need_set()
    settings = Settings(mongodb_url=mongodb_url(), mongodb_database=fresh("p"), mongodb_lease=2, durable=False)
    writes, listens = (MongoProvider(settings, lambda: START) for _ in range(2))
    await listens.open("default")
    assert listens._server is not None
    assert listens._server.streams
    heard: asyncio.Queue[str] = asyncio.Queue()
    async with listens.listen(heard.put_nowait):
        await asyncio.sleep(1)
        for tenant in ("default", "north"):
            store = await writes.create(tenant)
            await store.commit([change(patient("a"))])
            async with asyncio.timeout(10):
                while await heard.get() != tenant:
                    pass
    await writes.remove("north")
    for provider in (writes, listens):
        await provider.close()


async def test_the_engine_works_within_the_stable_api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def strict(settings: Settings) -> AsyncMongoClient[dict[str, Any]]:
        api = ServerApi("1", strict=True, deprecation_errors=True)
        return AsyncMongoClient(settings.mongodb_url, server_api=api, tz_aware=True, uuidRepresentation="standard")

    monkeypatch.setattr(engine, "client_of", strict)
    made = await open_world("mongodb", tmp_path)
    await made.put(patient("a", name=[{"family": "one"}]), observation("o", subject={"reference": "Patient/a"}))
    assert await made.found("Observation?patient.family=one") == {"o"}
    assert await made.store.count(made.parse("Patient?").search) == 1
    assert (await made.store.history(HistoryQuery(type="Patient"))).total == 1
    assert len(await made.store.changes(0)) == 2
    await made.store.close()


async def test_versions_are_spread_over_shards_where_there_are_any() -> None:
    store = await opened()
    if not store.server.sharded:
        await store.close()
        pytest.skip("test data: a shard router")
    await store.commit([change(patient(f"p{number}")) for number in range(100)])
    database = store._writer.reading.database
    known = store._writer.client["config"]["collections"]
    made = await known.find_one({"_id": f"{database.name}.versions"})
    assert made is not None
    assert made["key"] == {"h": 1, "t": 1, "i": 1}
    match = {"h": 1, "t": "Patient", "i": "p1"}
    told = (await database["versions"].find(match).explain())["queryPlanner"]["winningPlan"]
    assert told["stage"] == "SINGLE_SHARD"
    await store.commit([change(patient("p1", name=[{"family": "x"}]))])
    assert (await store.statistics())["Patient"] == 100
    await store.close()
    await (await opened(database.name)).close()

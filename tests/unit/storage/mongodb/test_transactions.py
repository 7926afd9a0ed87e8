"""Transactions of several documents on a played replica set: faults at each command leave whole commits, each once."""

import asyncio
import random
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from secrets import token_hex

import pytest
from pymongo.errors import ConnectionFailure

from fhir_server.model.keys import ResourceKey
from fhir_server.settings import Settings
from fhir_server.storage.base import (
    CommitResult,
    HistoryQuery,
    RecordChange,
    StoreError,
    StoreUnavailable,
    VersionChanged,
    WriteBusy,
)
from fhir_server.storage.mongodb import bell
from fhir_server.storage.mongodb.provider import MongoProvider
from fhir_server.storage.mongodb.rows import BATCH
from fhir_server.storage.mongodb.store import MongoStore, open_alone
from fhir_server.storage.mongodb.turns import Turn
from tests.conformance.storage.world import START, change, patient
from tests.servers.played import replica_set
from tests.servers.replica_set import Fault, Kind, ReplicaSet
from tests.unit.storage.mongodb.writes import COUNTS

pytestmark = pytest.mark.xdist_group("played")  # one server for all of them

A, B = ResourceKey("Patient", "a"), ResourceKey("Patient", "b")
STABLE = {
    "abortTransaction", "aggregate", "commitTransaction", "create", "createIndexes", "delete", "dropDatabase",
    "dropIndexes", "endSessions", "explain", "find", "findAndModify", "getMore", "hello", "insert", "killCursors",
    "listCollections", "listDatabases", "listIndexes", "ping", "update",
}  # fmt: skip
"""Commands of the Stable API, as far as they are used: https://www.mongodb.com/docs/manual/reference/stable-api/"""
BESIDE = {"buildInfo", "dbStats", "compact", "killSessions", "shardCollection"}
"""Commands beyond it, without which the engine works."""


@pytest.fixture(scope="module")
def played() -> Iterator[ReplicaSet]:
    """One set for all tests of this module."""
    made = replica_set()
    yield made
    made.stop()
    assert made.refused == [], "the engine sent what MongoDB refuses"
    assert set(made.seen) <= STABLE | BESIDE
    assert made.quorums == {"majority"}, "an index would wait for every member"


@pytest.fixture(autouse=True)
def faultless(played: ReplicaSet) -> Iterator[None]:
    """Each test begins and ends without faults."""
    yield
    played.faults.clear()
    played.chaos = None


async def opened(played: ReplicaSet, database: str, **settings: object) -> MongoStore:
    asked = {"mongodb_url": played.url, "mongodb_lease": 1, "durable": False, "breaker_failures": 1_000, **settings}
    store = await open_alone(database, Settings.model_validate(asked), lambda: START)
    await store.declare(COUNTS)
    return store


@pytest.fixture
async def store(played: ReplicaSet) -> AsyncIterator[MongoStore]:
    """An empty store."""
    made = await opened(played, f"t_{token_hex(6)}")
    yield made
    await made.close()


async def pair(store: MongoStore, number: int) -> CommitResult:
    """Write two patients and a record with a number, in one commit."""
    both = [change(patient(id_, name=[{"family": f"n{number}"}])) for id_ in ("a", "b")]
    return await store.commit(both, [RecordChange(COUNTS.name, "count", {"number": number})])


async def numbers(store: MongoStore) -> set[int]:
    """Return what the two patients and the record have; one number, if commits are whole."""
    found = await store.read_many([A, B])
    record = await store.records.get(COUNTS.name, "count")
    assert record is not None
    texts = [version.body.data.partition(b'"family":"n')[2].partition(b'"')[0] for version in found.values()]
    return {int(str(record.value["number"])), *map(int, texts)}


async def versions(store: MongoStore) -> list[int]:
    """Return how many versions each has."""
    return [(await store.history(HistoryQuery(key=key, count=1))).total or 0 for key in (A, B)]


KINDS: tuple[Kind, ...] = ("cut", "lost", "stepdown", "transient")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", ["findAndModify", "insert", "update", "commitTransaction"])
async def test_a_fault_at_any_command_of_a_commit_leaves_it_whole_and_once(
    played: ReplicaSet, store: MongoStore, command: str, kind: Kind
) -> None:
    await pair(store, 1)
    played.faults.append(Fault(command, kind))
    written = await pair(store, 2)
    assert played.faults == []
    assert {each.version.version for each in written.written if each.version} == {2}
    assert await numbers(store) == {2}
    assert await versions(store) == [2, 2]
    assert await store.statistics() == {"Patient": 2}


async def test_a_primary_that_is_lost_again_and_again_does_no_harm(played: ReplicaSet, store: MongoStore) -> None:
    await pair(store, 1)
    played.faults += [Fault("commitTransaction", kind) for kind in ("cut", "lost", "stepdown", "cut", "stepdown")]
    await pair(store, 2)
    assert await numbers(store) == {2}
    assert await versions(store) == [2, 2]


async def test_a_read_whose_cursor_went_with_its_member_is_read_again(played: ReplicaSet, store: MongoStore) -> None:
    await store.commit([change(patient(f"p{number}")) for number in range(BATCH + 1)])
    played.faults.append(Fault("getMore", "forgotten"))
    assert len(await store.changes(0, 1_000)) == BATCH + 1
    assert played.faults == []


async def test_who_asks_twice_how_a_write_ended_does_not_take_its_own_note_for_a_commit(
    played: ReplicaSet, store: MongoStore
) -> None:
    turns = store._writer.turns
    broken = Turn({"txid": 0, "pid": 0, "epoch": 1}, None)
    played.faults += [Fault("insert", "lost")] * 2
    with pytest.raises(ConnectionFailure):
        await turns.settle(broken)
    assert played.faults == []
    assert await turns.settle(broken) is False
    await pair(store, 1)
    fates = store._writer.reading.database["fates"]
    written = await fates.find_one({"published": True})
    assert written is not None
    broken.token = written["_id"]
    assert await turns.settle(broken) is True


@pytest.mark.parametrize(
    ("seed", "commits"), [(11, 3), *(pytest.param(seed, 15, marks=pytest.mark.long) for seed in range(4))]
)
async def test_random_faults_under_three_writers_lose_and_double_nothing(
    played: ReplicaSet, seed: int, commits: int
) -> None:
    database = f"t_{token_hex(6)}"
    stores = [await opened(played, database) for _ in range(3)]
    played.chaos = (random.Random(seed), 0.05)
    unknown: list[str] = []

    async def write(store: MongoStore, writer: int) -> list[str]:
        done = []
        for number in range(commits):
            id_ = f"w{writer}-{number}"
            record = RecordChange(COUNTS.name, id_, {"number": number}, expected=0)
            try:
                await store.commit([change(patient(id_), expected=0)], [record])
                done.append(id_)
            except StoreUnavailable:
                unknown.append(id_)
            except WriteBusy:
                pass  # nothing of it is stored
        return done

    done = {id_ for ids in await asyncio.gather(*map(write, stores, range(3))) for id_ in ids}
    played.chaos = None
    await stores[0].commit([change(patient("last"))])
    found = {version.key.id for version in await stores[1].changes(0)} - {"last"}
    kept = {record.key for record in await stores[2].records.find(COUNTS.name)}
    assert done <= found == kept <= done | set(unknown)
    txids = [version.txid for version in await stores[2].changes(0)]
    assert txids == sorted(set(txids))
    assert await stores[0].statistics() == {"Patient": len(found) + 1}
    assert len(done) > commits
    for store in stores:
        await store.close()


async def test_a_killed_writer_holds_the_others_up_for_its_lease_and_not_for_the_life_of_its_transaction(
    played: ReplicaSet,
) -> None:
    database = f"t_{token_hex(6)}"
    store = await opened(played, database)
    killed = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.unit.storage.mongodb.writes", played.url, database, "1", "1",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert killed.stdout is not None
    assert await killed.stdout.readline() == b"1\n"
    played.faults.append(Fault("commitTransaction", "hang"))
    answered = 1
    while not played.hanging:
        with suppress(TimeoutError):
            answered = int(await asyncio.wait_for(killed.stdout.readline(), 0.1))
    killed.kill()
    await killed.wait()
    began = asyncio.get_running_loop().time()
    await store.commit([change(patient("c"))])
    assert asyncio.get_running_loop().time() - began < 4
    assert await numbers(store) == {answered}
    await store.close()


@pytest.mark.parametrize("text", ["x" * 17_000_000, "half of a character: \ud83d"], ids=["too large", "no text"])
async def test_a_group_with_a_commit_that_cannot_be_stored_refuses_that_one_alone(
    played: ReplicaSet, store: MongoStore, text: str
) -> None:
    huge = RecordChange(COUNTS.name, "huge", {"text": text})
    first, second, third = await asyncio.gather(
        pair(store, 1), store.commit([], [huge]), store.commit([change(patient("c"))]), return_exceptions=True
    )
    assert isinstance(second, StoreError)
    assert isinstance(first, CommitResult)
    assert isinstance(third, CommitResult)
    assert await store.statistics() == {"Patient": 3}


async def test_what_changes_nothing_or_is_refused_writes_nothing_and_rings_nobody(
    played: ReplicaSet, store: MongoStore
) -> None:
    await pair(store, 1)
    events = len(played._events)
    committed = played.outcomes["committed"]
    with pytest.raises(VersionChanged):
        await store.commit([change(patient("a"), expected=7)])
    assert not (await store.commit([change(patient("a", name=[{"family": "n1"}]))])).written[0].changed
    assert (len(played._events), played.outcomes["committed"]) == (events, committed)


async def test_who_reads_secondaries_sees_what_was_written_before(played: ReplicaSet) -> None:
    """Reads of other members carry the time of the head that was read of the primary."""
    store = await opened(played, f"t_{token_hex(6)}", mongodb_read_preference="nearest")
    await pair(store, 1)
    before = played.causal
    assert await numbers(store) == {1}
    assert played.causal > before
    await store.close()


async def test_rings_come_through_cut_connections_and_a_log_that_is_lost(played: ReplicaSet) -> None:
    settings = Settings(mongodb_url=played.url, mongodb_database=f"p{token_hex(4)}", durable=False)
    writes, listens = (MongoProvider(settings, lambda: START) for _ in range(2))
    store = await writes.open("default")
    await listens.open("default")
    heard: asyncio.Queue[str] = asyncio.Queue()
    async with listens.listen(heard.put_nowait):
        for number, kind in enumerate(("", "cut", "lost")):
            if kind:
                played.faults.append(Fault("getMore", kind))  # type: ignore[arg-type]
            await asyncio.sleep(0.1)
            await store.commit([change(patient("a", name=[{"family": f"n{number}"}]))])
            assert await asyncio.wait_for(heard.get(), 5) == "default"
        played.forget_events()
        played.faults.append(Fault("getMore", "cut"))
        await store.commit([change(patient("b"))])
        assert await asyncio.wait_for(heard.get(), 8) == "default"
        await asyncio.sleep(0.1)
        while not heard.empty():
            heard.get_nowait()
        await store.commit([change(patient("c"))])
        assert await asyncio.wait_for(heard.get(), 8) == "default"
    for provider in (writes, listens):
        await provider.close()


async def test_who_may_not_watch_asks_now_and_then(
    played: ReplicaSet, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(bell, "_DEAF", 2.0)
    settings = Settings(mongodb_url=played.url, mongodb_database=f"p{token_hex(4)}", durable=False)
    writes, listens = (MongoProvider(settings, lambda: START) for _ in range(2))
    store = await writes.open("default")
    await listens.open("default")
    played.faults += [Fault("aggregate", "forbidden")]
    heard: asyncio.Queue[str] = asyncio.Queue()
    async with listens.listen(heard.put_nowait):
        watched = played.streamed
        assert await asyncio.wait_for(heard.get(), 5) == "default", "what came meanwhile is not known"
        assert "changeStream" in caplog.text
        await store.commit([change(patient("a"))])
        assert await asyncio.wait_for(heard.get(), 5) == "default"
        while played.streamed == watched:
            await asyncio.sleep(0.05)
        while not heard.empty():
            heard.get_nowait()
        await store.commit([change(patient("b"))])
        assert await asyncio.wait_for(heard.get(), 5) == "default"
    for provider in (writes, listens):
        await provider.close()

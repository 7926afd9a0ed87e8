"""Audit rows that wait for their numbers, on a played replica set: whoever is cut off when, each is in the log once."""

import asyncio
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from secrets import token_hex

import pytest

from fhir_server.settings import Settings
from fhir_server.storage.audit import AuditQuery, AuditRow
from fhir_server.storage.base import StoreError, StoreUnavailable
from fhir_server.storage.mongodb.loading import MongoInstallation
from fhir_server.storage.mongodb.provider import MongoProvider
from fhir_server.storage.mongodb.schema import FORMAT
from fhir_server.storage.mongodb.store import MongoStore, open_alone
from fhir_server.storage.mongodb.waiting import LARGEST_GROUP, MARKS, WAITING
from tests.conformance.storage.world import START, change, patient
from tests.servers.played import replica_set
from tests.servers.replica_set import Fault, Kind, ReplicaSet

pytestmark = pytest.mark.xdist_group("played")  # one server for all of them

NEVER = 60.0
"""An interval that no test lives through: rows are numbered when a test has them numbered."""


@pytest.fixture(scope="module")
def played() -> Iterator[ReplicaSet]:
    """One set for all tests of this module."""
    made = replica_set()
    yield made
    made.stop()
    assert made.refused == [], "the engine sent what MongoDB refuses"


@pytest.fixture(autouse=True)
def faultless(played: ReplicaSet) -> Iterator[None]:
    """Each test begins and ends without faults."""
    yield
    played.faults.clear()
    played.chaos = None


async def opened(played: ReplicaSet, database: str = "", interval: float = NEVER, **settings: object) -> MongoStore:
    asked = {"mongodb_url": played.url, "mongodb_lease": 1, "durable": False, "breaker_failures": 1_000, **settings}
    made = Settings.model_validate({**asked, "mongodb_audit_interval": interval})
    return await open_alone(database or f"t_{token_hex(6)}", made, lambda: START)


@pytest.fixture
async def store(played: ReplicaSet) -> AsyncIterator[MongoStore]:
    """An empty store."""
    made = await opened(played)
    yield made
    await made.close()


def rows(*texts: str, time: int = START) -> list[AuditRow]:
    return [AuditRow(time, "ann", text.encode(), ("Patient/1",)) for text in texts]


async def texts(store: MongoStore) -> list[str]:
    """Return the log as it is read, once its numbers have proved to be without gaps."""
    found = await store.audit.span(1, 10_000)
    assert [entry.seq for entry in found] == list(range(1, len(found) + 1))
    return [entry.body.decode() for entry in found]


async def waiting(store: MongoStore) -> int:
    return await store._writer.reading.database[WAITING].count_documents({})


async def test_rows_that_are_noted_take_no_turn_and_are_there_for_whoever_reads(
    played: ReplicaSet, store: MongoStore
) -> None:
    turns, events = played.outcomes["committed"], len(played._events)
    for number in range(5):
        await store.audit.note(rows(f"{number}a", f"{number}b"))
    assert (played.outcomes["committed"], len(played._events)) == (turns, events)
    assert await waiting(store) == 5
    assert await texts(store) == [f"{number}{part}" for number in range(5) for part in "ab"]
    assert played.outcomes["committed"] == turns + 1
    assert await waiting(store) == 0
    assert await store.audit.size() == 10
    assert played.outcomes["committed"] == turns + 1


@pytest.mark.parametrize("reads", ["size", "span", "read", "find", "ascending", "cut"])
async def test_whoever_reads_the_log_gets_what_another_process_was_told_is_recorded(
    played: ReplicaSet, reads: str
) -> None:
    database = f"t_{token_hex(6)}"
    writes, store = [await opened(played, database) for _ in range(2)]
    await store.audit.append(rows("first"))
    await writes.audit.note(rows("second"))
    log = store.audit
    if reads == "size":
        assert await log.size() == 2
    elif reads == "span":
        assert [entry.body for entry in await log.span(2, 9)] == [b"second"]
    elif reads == "read":
        entry = await log.read(2)
        assert entry is not None
        assert entry.body == b"second"
    elif reads == "find":
        found = await log.find(AuditQuery((frozenset(("Patient/1",)),)))
        assert [entry.body for entry in found.entries] == [b"second", b"first"]
    elif reads == "ascending":
        found = await log.find(AuditQuery(above=1, since=START, ascending=True))
        assert [entry.body for entry in found.entries] == [b"second"]
    else:
        assert await log.cut(99) == 1
        assert await log.first() == 2
    assert await waiting(store) == 0
    for each in (writes, store):
        await each.close()


async def test_rows_that_have_their_numbers_are_read_without_a_turn(played: ReplicaSet, store: MongoStore) -> None:
    await store.audit.append(rows("a", "b", "c"))
    await store.audit.note(rows("waits"))
    turns = played.outcomes["committed"]
    assert len(await store.audit.span(1, 3)) == 3
    assert await store.audit.read(2) is not None
    assert len((await store.audit.find(AuditQuery(below=4))).entries) == 3
    assert (played.outcomes["committed"], await waiting(store)) == (turns, 1)


async def test_rows_that_must_have_their_number_at_once_come_after_those_that_waited(store: MongoStore) -> None:
    await store.audit.note(rows("a"))
    assert await store.audit.append(rows("b")) == 2
    await store.audit.note(rows("c"))
    await store.commit([change(patient("a"))], audit=lambda written: rows("of a write"))
    assert await texts(store) == ["a", "b", "of a write", "c"]


async def test_the_time_of_rows_does_not_go_back_where_a_write_came_before_them(store: MongoStore) -> None:
    await store.audit.note(rows("a", time=START))
    await store.commit([change(patient("a"))], audit=lambda written: rows("b", time=START + 700))
    await store.audit.note(rows("c", time=START + 900))
    assert [entry.time - START for entry in await store.audit.span(1, 3)] == [700, 700, 900]


COMMANDS = {
    "findAndModify": 1, "find": 2, "insert": 2, "delete": 1, "update": 2, "commitTransaction": 1,
}  # fmt: skip
"""Those of a turn that numbers: the head; groups and marks; rows and its fate; groups that go; marks and the head."""
AT_EACH = [
    pytest.param(command, after, kind, marks=[] if kind in ("cut", "lost") else pytest.mark.long)
    for command, number in COMMANDS.items()
    for after in range(number)
    for kind in ("cut", "lost", "stepdown", "transient")
]


async def noted(played: ReplicaSet) -> MongoStore:
    """Return a store with rows of two groups that wait, whose next turn has no other command than its own."""
    store = await opened(played, mongodb_lease=60)
    await store.audit.note(rows("first"))
    await store.audit.size()
    for number in ("a", "b"):
        await store.audit.note(rows(f"{number}1", f"{number}2"))
    return store


IN_ORDER = ["first", "a1", "a2", "b1", "b2"]


async def test_a_turn_that_numbers_has_nine_commands(played: ReplicaSet) -> None:
    store = await noted(played)
    before = played.seen.copy()
    await store._number()
    assert played.seen - before == COMMANDS
    await store.close()


@pytest.mark.parametrize(("command", "after", "kind"), AT_EACH)
async def test_a_fault_at_any_command_of_the_turn_numbers_each_row_once(
    played: ReplicaSet, command: str, after: int, kind: Kind
) -> None:
    store = await noted(played)
    played.faults.append(Fault(command, kind, after))
    assert await store._number() is False
    assert played.faults == []
    assert await waiting(store) == 0
    assert await texts(store) == IN_ORDER
    await store.close()


@pytest.mark.parametrize(
    ("command", "after"),
    [
        pytest.param(command, after, marks=[] if command in ("delete", "commitTransaction") else pytest.mark.long)
        for command, number in COMMANDS.items()
        for after in range(number)
    ],
)
async def test_a_process_that_is_killed_at_any_command_of_the_turn_loses_and_doubles_no_row(
    played: ReplicaSet, command: str, after: int
) -> None:
    """Its transaction stays open until who waits for it for a lease ends it."""
    database = f"t_{token_hex(6)}"
    store = await opened(played, database)
    killed = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.unit.storage.mongodb.notes", played.url, database, stdout=asyncio.subprocess.PIPE
    )
    assert killed.stdout is not None
    told = [int(await killed.stdout.readline()) for _ in range(3)]
    hanging = played.hanging
    played.faults.append(Fault(command, "hang", after))
    while played.hanging == hanging:
        with suppress(TimeoutError):
            told.append(int(await asyncio.wait_for(killed.stdout.readline(), 0.1)))
    killed.kill()
    told += [int(line) for line in (await killed.communicate())[0].split()]
    await store._number()  # reads of the played set wait for an open transaction, as those of MongoDB do not
    found = await texts(store)
    assert found == [f"{number}{part}" for number in range(len(found) // 2) for part in "ab"]
    assert len(found) // 2 - 1 in (told[-1], told[-1] + 1)
    await store.close()


@pytest.mark.parametrize("kind", ["cut", "lost", "stepdown"])
async def test_a_group_whose_answer_is_lost_is_stored_once(played: ReplicaSet, store: MongoStore, kind: Kind) -> None:
    played.faults += [Fault("insert", kind), Fault("insert", kind)]
    await store.audit.note(rows("a"))
    await store.audit.note(rows("b"))
    assert await texts(store) == ["a", "b"]


async def test_a_group_that_is_sent_again_after_it_was_numbered_is_not_numbered_again(store: MongoStore) -> None:
    groups = store._writer.reading.database[WAITING]
    await store.audit.note(rows("a"))
    late = await groups.find_one({})
    assert late is not None
    await store.audit.note(rows("b"))
    assert await texts(store) == ["a", "b"]
    await groups.insert_one(late)  # executed late: its writer was cut off, and has sent it again
    assert await texts(store) == ["a", "b"]
    assert await waiting(store) == 0


async def test_rows_that_may_be_stored_and_are_noted_again_are_recorded_once(played: ReplicaSet) -> None:
    store = await opened(played, store_tries=1)
    kept = rows("a", "b")
    played.faults += [Fault("insert", "lost")] * 40
    with pytest.raises(StoreUnavailable):
        await store.audit.note(kept)
    played.faults.clear()
    await store.audit.note([*kept, *rows("c")])
    assert await texts(store) == ["a", "b", "c"]
    await store.close()


async def test_two_who_number_at_once_number_each_row_once(played: ReplicaSet) -> None:
    database = f"t_{token_hex(6)}"
    stores = [await opened(played, database) for _ in range(3)]
    for number in range(6):
        await asyncio.gather(*(each.audit.note(rows(f"{at}.{number}")) for at, each in enumerate(stores)))
        if number % 2:
            await asyncio.gather(*(each._number() for each in stores))
    found = await texts(stores[0])
    assert sorted(found) == sorted(f"{at}.{number}" for at in range(3) for number in range(6))
    for at in range(3):
        assert [text for text in found if text.startswith(f"{at}.")] == [f"{at}.{number}" for number in range(6)]
    for each in stores:
        await each.close()


@pytest.mark.parametrize("seed", [3, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(4, 12))])
async def test_random_faults_under_three_processes_lose_and_double_no_row(played: ReplicaSet, seed: int) -> None:
    """Turns alone are taken meanwhile: reads of the played set wait for open transactions, those of MongoDB do not."""
    database = f"t_{token_hex(6)}"
    stores = [await opened(played, database) for _ in range(3)]
    for store in stores:
        await store.audit.note(rows("before"))
        await store.audit.size()
    played.chaos = (random.Random(seed), 0.08)

    async def work(store: MongoStore, process: int) -> None:
        for number in range(8):
            made = rows(f"{process}.{number}")
            while True:
                try:
                    await store.audit.note(made)
                    break
                except StoreError:
                    continue
            if number % 3 == process:
                with suppress(StoreError):
                    await store._number()

    await asyncio.gather(*map(work, stores, range(3)))
    played.chaos = None
    await stores[0]._number()
    found = (await texts(stores[1]))[3:]
    assert Counter(found) == Counter(f"{process}.{number}" for process in range(3) for number in range(8))
    for process in range(3):
        of_it = [text for text in found if text.startswith(f"{process}.")]
        assert of_it == [f"{process}.{number}" for number in range(8)]
    for each in stores:
        await each.close()


async def test_a_turn_takes_no_more_than_it_may_and_the_next_ones_the_rest(
    store: MongoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fhir_server.storage.mongodb.waiting._GROUPS", 3)
    monkeypatch.setattr("fhir_server.storage.mongodb.waiting._ROWS", 4)
    for number in range(5):
        await store.audit.note(rows(f"{number}a", f"{number}b"))
    assert await store._number() is True
    assert await waiting(store) == 3
    assert len(await texts(store)) == 10


async def test_a_group_that_is_too_large_takes_a_turn_and_stays_in_order(store: MongoStore) -> None:
    await store.audit.note(rows("a"))
    await store.audit.note(rows("x" * (LARGEST_GROUP // 2), "y" * (LARGEST_GROUP // 2)))
    assert await waiting(store) == 0
    assert [text[0] for text in await texts(store)] == ["a", "x", "y"]


async def test_rows_get_their_numbers_though_nobody_reads(played: ReplicaSet) -> None:
    store = await opened(played, interval=0.05)
    await store.audit.note(rows("a"))
    async with asyncio.timeout(10):
        while (await store._writer.turns.head())["audit"] < 1:
            await asyncio.sleep(0.02)
        while store.numbering is not None and store.numbering._noted:
            await asyncio.sleep(0.02)
    await store.close()


async def test_turns_do_not_grow_with_the_processes(played: ReplicaSet) -> None:
    """Twelve processes note a group each for every twentieth of an interval, and all of them look."""
    database = f"t_{token_hex(6)}"
    stores = [await opened(played, database) for _ in range(12)]
    looks = [store.numbering for store in stores if store.numbering is not None]
    seen = [await each._look(-1) for each in looks]
    turns = played.outcomes["committed"]
    for _ in range(5):
        for part in range(2):
            await asyncio.gather(*(each.waiting.put(rows(f"{part}"), START) for each in looks))
        for each in looks:
            each._left = True  # something of its own waits
        seen = await asyncio.gather(*(each._look(before) for each, before in zip(looks, seen, strict=True)))
    assert played.outcomes["committed"] - turns <= 5
    assert len(await texts(stores[0])) == 120
    for store in stores:
        await store.close()


async def test_what_a_process_left_when_it_died_is_numbered_by_the_next_that_opens_the_store(
    played: ReplicaSet,
) -> None:
    database = f"t_{token_hex(6)}"
    died = await opened(played, database)
    assert died.numbering is not None
    await died.audit.note(rows("a"))
    died.numbering._noted.clear()  # so that its end numbers nothing
    await died.close()
    store = await opened(played, database, interval=0.05)
    async with asyncio.timeout(10):
        while (await store._writer.turns.head())["audit"] < 1:
            await asyncio.sleep(0.02)
    await store.close()


async def test_what_waits_is_numbered_when_its_process_ends(played: ReplicaSet) -> None:
    database = f"t_{token_hex(6)}"
    ends, looks = [await opened(played, database) for _ in range(2)]
    await ends.audit.note(rows("a"))
    await ends.close()
    assert await waiting(looks) == 0
    await looks.close()


async def test_while_it_cannot_be_numbered_rows_stay_and_it_is_tried_again(
    played: ReplicaSet, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await opened(played, interval=0.05)
    assert store.numbering is not None
    failing = asyncio.Event()

    async def fails() -> bool:
        failing.set()
        raise StoreUnavailable("made up")

    monkeypatch.setattr(store.numbering, "turn", fails)
    await store.audit.note(rows("a"))
    async with asyncio.timeout(10):
        await failing.wait()
        while "wait for their numbers" not in caplog.text:
            await asyncio.sleep(0.02)
    assert await waiting(store) == 1
    told = {gauge.name: value for gauge, value, _ in store.numbering._sampled()}
    assert told["fhir_server_audit_unnumbered_rows"] == 1
    monkeypatch.undo()
    assert await texts(store) == ["a"]
    await store.close()


async def test_a_store_of_the_format_before_has_no_rows_wait_until_its_upgrade_is_finished(played: ReplicaSet) -> None:
    """A server of the release before would not look for them."""
    database = f"t_{token_hex(6)}"
    store = await opened(played, database)
    await store._writer.reading.database["meta"].update_one({"_id": "head"}, {"$set": {"format": FORMAT - 1}})
    await store.close()
    store = await opened(played, database)
    await store.audit.note(rows("a"))
    assert (await waiting(store), await store.audit.size()) == (0, 1)
    assert await store.upgrade(finish=True) == (FORMAT, FORMAT)
    await store.audit.note(rows("b"))
    assert await waiting(store) == 1
    assert await texts(store) == ["a", "b"]
    await store.close()


async def test_with_an_interval_of_nothing_each_group_takes_a_turn(played: ReplicaSet) -> None:
    store = await opened(played, interval=0)
    await store.audit.note(rows("a"))
    assert (await waiting(store), await store._writer.turns.head())[0] == 0
    assert await texts(store) == ["a"]
    await store.close()


async def test_a_move_and_a_verification_take_rows_that_wait(played: ReplicaSet) -> None:
    prefix = f"p{token_hex(4)}"
    store = await opened(played, f"{prefix}_default")
    await store.audit.note(rows("a", "b"))
    installation = MongoInstallation(Settings(mongodb_url=played.url, mongodb_database=prefix, durable=False))
    kept = await installation.kept("default")
    assert (await kept.end()).audited == 2
    assert [entry.body for entry in await kept.audit.span(1, 9)] == [b"a", b"b"]
    await installation.close()
    await store.close()


async def test_a_tenant_that_is_only_read_counts_as_written_so_that_its_log_is_signed(played: ReplicaSet) -> None:
    settings = Settings(mongodb_url=played.url, mongodb_database=f"p{token_hex(4)}", durable=False)
    provider = MongoProvider(settings, lambda: START)
    store = await provider.open("default")
    await store.commit([change(patient("a"))])
    before = provider.written("default")
    await store.audit.note(rows("a"))
    await store.audit.size()
    once = provider.written("default")
    await store.audit.append(rows("b"))
    assert before < once < provider.written("default")
    await provider.close()


async def test_writers_that_ended_long_ago_are_forgotten(store: MongoStore) -> None:
    await store.audit.note(rows("a"))
    await store.audit.size()
    marks = store._writer.reading.database[MARKS]
    await marks.insert_one({"_id": "long ago", "n": 1, "at": 0.0})
    await store.sweep()
    left = {each["_id"] async for each in marks.find()}
    assert store.numbering is not None
    assert store.numbering.waiting._writer in left
    assert "long ago" not in left

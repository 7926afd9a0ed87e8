"""Retention: what is old goes, in blocks, once it is safe; what was signed before is proved after as it was."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import apsw
import pytest

from fhir_server.audit.events import Agent, Event, agent_text, event_of, row_of
from fhir_server.audit.keeper import SENT, Keeper
from fhir_server.audit.ledger import CUTS, SPAN, TILES, Head, Ledger, leaf_of
from fhir_server.audit.merkle import consistency, consistent, included, inclusion, leaf_hash
from fhir_server.audit.retention import cutoff, plan, retain
from fhir_server.audit.verify import verify
from fhir_server.settings import Settings
from fhir_server.storage.audit import AuditEntry, AuditRow
from fhir_server.storage.base import RecordChange
from fhir_server.storage.sqlite.store import SqliteStore, open_store

DAY = 86_400_000
NOW = int(datetime(2026, 11, 22, tzinfo=UTC).timestamp() * 1_000)
YEARS_AGO = NOW - 3 * 366 * DAY


def row(number: int, time: int) -> AuditRow:
    return row_of(time, agent_text(Agent(f"user {number % 7}")), Event("read", 200, f"Patient/{number % 50}", 1))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    made = await open_store(tmp_path / "store", Settings(data_dir=tmp_path, durable=False))
    yield made
    await made.close()


async def filled(store: SqliteStore, old: int = 1_000, young: int = 500) -> list[Head]:
    """Write rows, some of them old, and sign heads on the way; return these."""
    heads, ledger = list[Head](), Ledger(store, lambda: NOW)
    for size, time in ((old // 3, YEARS_AGO), (old - old // 3, YEARS_AGO + DAY), (young, NOW - DAY)):
        await store.audit.append([row(number, time) for number in range(size)])
        heads.append(await ledger.head())
    return heads


async def test_old_rows_go_in_whole_blocks_and_all_heads_still_hold(store: SqliteStore) -> None:
    heads = await filled(store)
    assert await retain(store, lambda: NOW, 2, None) == 3 * SPAN
    assert await store.audit.first() == 3 * SPAN + 1
    assert await retain(store, lambda: NOW, 2, None) == 0
    report = await verify(store, heads)
    assert (report.problems, report.removed) == ([], 3 * SPAN)
    newest = await store.audit.read(await store.audit.size())
    assert newest is not None
    assert event_of(newest).note == f"audit rows 1 to {3 * SPAN}, of 2023-11-20 to 2023-11-21, removed after 2 years"


async def test_a_second_cut_goes_on_from_the_first(store: SqliteStore) -> None:
    heads = await filled(store)
    await retain(store, lambda: NOW, 2, None)
    later = NOW + 4 * 366 * DAY
    await store.audit.append([row(number, later) for number in range(300)])
    heads.append(await Ledger(store, lambda: later).head())
    gone = await retain(store, lambda: later, 2, None)
    assert gone == 2 * SPAN
    report = await verify(store, heads)
    assert (report.problems, report.removed, report.oldest) == ([], 5 * SPAN, NOW - DAY)


async def test_proofs_are_the_same_before_and_after(store: SqliteStore) -> None:
    heads = await filled(store)
    ledger = Ledger(store, lambda: NOW)
    sizes = [(heads[0].size, heads[1].size), (heads[0].size, heads[2].size), (1, heads[2].size)]
    archived = await store.audit.read(700)
    before = [[await ledger.hash_of(span) for span in consistency(*pair)] for pair in sizes]
    proof = [await ledger.hash_of(span) for span in inclusion(699, heads[2].size)]
    assert await retain(store, lambda: NOW, 2, None)
    fresh = Ledger(store, lambda: NOW)
    assert [[await fresh.hash_of(span) for span in consistency(*pair)] for pair in sizes] == before
    assert [await fresh.hash_of(span) for span in inclusion(699, heads[2].size)] == proof
    roots = [await fresh.hash_of((0, size)) for size in sizes[0]]
    assert consistent(*sizes[0], (roots[0], roots[1]), before[0])
    assert archived is not None
    whole = await fresh.hash_of((0, heads[2].size))
    assert included(leaf_hash(leaf_of(archived)), 699, heads[2].size, proof, whole)


async def test_what_is_not_signed_or_not_sent_stays(store: SqliteStore) -> None:
    await store.audit.append([row(number, YEARS_AGO) for number in range(600)])
    assert await retain(store, lambda: NOW, 2, None) == 0
    await Ledger(store, lambda: NOW).head()
    assert await retain(store, lambda: NOW, 2, 300) == SPAN
    assert await retain(store, lambda: NOW, 2, 300) == 0
    assert await retain(store, lambda: NOW, 2, None) == SPAN
    assert await retain(store, lambda: NOW, 2, None) == 0


async def test_the_plan_says_what_would_go_and_changes_nothing(store: SqliteStore) -> None:
    heads = await filled(store)
    found = await plan(store.audit, store.records, cutoff(NOW, 2), heads[-1].size)
    assert (found.first, found.last, found.old, found.waiting) == (1, 3 * SPAN, 1_000, 1_000 - 3 * SPAN)
    assert (found.oldest, found.newest) == (YEARS_AGO, YEARS_AGO + DAY)
    assert await store.audit.first() == 1
    assert (await plan(store.audit, store.records, cutoff(NOW, 10), heads[-1].size)).old == 0


async def test_a_cut_that_a_kill_broke_off_is_finished(store: SqliteStore) -> None:
    heads = await filled(store)
    await Ledger(store, lambda: NOW).cut(2 * SPAN, lambda written: [])
    assert (await verify(store, heads)).problems == []
    await store.audit.cut(100)
    assert (await verify(store, heads)).problems == []
    assert await retain(store, lambda: NOW, 2, None) == 2 * SPAN - 99
    assert (await verify(store, heads)).problems == []


async def test_rows_that_were_removed_by_hand_are_not_taken_for_retention(store: SqliteStore, tmp_path: Path) -> None:
    heads = await filled(store)
    await retain(store, lambda: NOW, 2, None)
    with_file(tmp_path, f"DELETE FROM audit WHERE seq<{4 * SPAN}")
    report = await verify(store, heads)
    assert report.problems[0] == f"rows {3 * SPAN + 1} to {4 * SPAN - 1} are missing"


async def test_a_forged_note_of_retention_is_found(store: SqliteStore, tmp_path: Path) -> None:
    heads = await filled(store)
    await retain(store, lambda: NOW, 2, None)
    record = (await store.records.find(CUTS.name))[0]
    forged = {**record.value, "size": 4 * SPAN}
    await store.commit((), (RecordChange(CUTS.name, f"{4 * SPAN:015d}", forged),))
    with_file(tmp_path, f"DELETE FROM audit WHERE seq<={4 * SPAN}")
    report = await verify(store, heads)
    assert "is not signed by the key of the log" in report.problems[0]


async def test_a_hash_of_a_removed_row_that_was_changed_is_found(store: SqliteStore) -> None:
    heads = await filled(store)
    await retain(store, lambda: NOW, 2, None)
    record = await store.records.get(TILES.name, "L-1")
    assert record is not None
    text = str(record.value["hashes"])
    changed = {"hashes": ("A" if text[0] != "A" else "B") + text[1:]}
    await store.commit((), (RecordChange(TILES.name, "L-1", changed),))
    report = await verify(store, heads)
    assert report.problems[0].endswith(f"row {SPAN + 1}")


def with_file(tmp_path: Path, sql: str) -> None:
    """Change the file of the record as somebody who can write to the folder."""
    connection = apsw.Connection(str(tmp_path / "store" / "record.db"))
    connection.execute(sql)
    connection.close()


class Sink:
    """A sink that has taken some rows."""

    name = "s"

    def send(self, tenant: str, entries: Sequence[AuditEntry]) -> None: ...
    def keep(self, tenant: str, head: Head) -> None: ...


async def test_the_keeper_removes_what_all_sinks_have(store: SqliteStore) -> None:
    await filled(store)
    keeper = Keeper([Sink()], lambda: NOW, 2)
    await keeper.sign("t", store)
    assert await store.audit.first() == 1
    await store.commit((), (RecordChange(SENT.name, "s", {"seq": 2 * SPAN + 1}),))
    await keeper.sign("t", store)
    assert await store.audit.first() == 2 * SPAN + 1
    await keeper.look("t", store)
    await keeper.sign("t", store)
    assert await store.audit.first() == 3 * SPAN + 1


def test_a_leap_day_has_an_anniversary() -> None:
    leap = int(datetime(2028, 2, 29, tzinfo=UTC).timestamp() * 1_000)
    assert datetime.fromtimestamp(cutoff(leap, 1) / 1_000, UTC).date().isoformat() == "2027-02-28"

"""Grouped commits: what a group keeps apart, and what a failure leaves behind."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from fhir_server.search.entries import IndexEntries
from fhir_server.search.query import by_key
from fhir_server.settings import Settings
from fhir_server.storage.base import (
    Condition,
    ConditionChanged,
    MissingTargets,
    StillReferenced,
    StorageFault,
    VersionChanged,
    WriteBusy,
)
from fhir_server.storage.sqlite.group import Group
from fhir_server.storage.sqlite.store import SqliteStore
from fhir_server.storage.sqlite.turn import Turn
from tests.unit.storage.sqlite.kit import FAST, START, Clock, body, delete, key, opened, put, refers, rows


async def together(store: SqliteStore, folder: Path, *works: Any) -> list[Any]:
    """Commit several at once, held back until all wait, so that they share a group."""
    turn = Turn(folder)
    try:
        with turn.taken():
            tasks = [asyncio.ensure_future(store.commit(changes)) for changes in works]
            await asyncio.sleep(0.05)
        return await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        turn.close()


async def test_requests_of_one_group_have_txids_of_their_own_and_one_instant(tmp_path: Path) -> None:
    async with opened(tmp_path, clock=Clock()) as store:
        await store.commit([put("Patient/first")])
        results = await together(store, tmp_path, *([put(f"Patient/{n}")] for n in range(5)))
        assert [result.txid for result in results] == [2, 3, 4, 5, 6]
        assert {result.last_updated for result in results} == {START + 1}


async def test_last_updated_grows_though_the_clock_stands_or_runs_back(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock=clock) as store:
        times = []
        for step in (0, 0, -5_000, 0, 10_000):
            clock.now += step
            times.append((await store.commit([put("Patient/a", str(len(times)))])).last_updated)
        assert times == [START, START + 1, START + 2, START + 3, START + 5_000]


async def test_a_refused_request_does_not_hurt_the_others_of_its_group(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        first, refused, last = await together(
            store, tmp_path, [put("Patient/a")], [put("Patient/b"), put("Patient/c", expected=7)], [put("Patient/d")]
        )
        assert isinstance(refused, VersionChanged)
        assert (first.txid, last.txid) == (1, 2)
        assert sorted(str(found) for found in await store.read_many([key(f"Patient/{n}") for n in "abcd"])) == [
            "Patient/a",
            "Patient/d",
        ]


async def test_a_request_sees_what_those_before_it_in_the_group_wrote(tmp_path: Path) -> None:
    unseen = Condition(by_key(key("Patient/a")), frozenset())
    async with opened(tmp_path) as store:
        first, second, third, fourth, fifth = await together(
            store,
            tmp_path,
            [put("Patient/a", expected=0)],
            [put("Patient/a", "again", expected=0)],
            [put("Patient/b", conditions=(unseen,))],
            [put("Observation/o", entries=refers("Patient/a"), requires=(key("Patient/a"),))],
            [delete("Patient/a", keep_referenced=True)],
        )
        assert first.written[0].created
        assert isinstance(second, VersionChanged)
        assert isinstance(third, ConditionChanged)
        assert fourth.written[0].created
        assert isinstance(fifth, StillReferenced)
        assert fifth.referrers == (key("Observation/o"),)


async def test_two_updates_of_one_resource_in_a_group_are_two_versions(tmp_path: Path) -> None:
    entries = IndexEntries(tokens=[("gender", "s", "male")])
    async with opened(tmp_path) as store:
        await together(store, tmp_path, *([put("Patient/a", text, entries)] for text in ("1", "2", "2", "3")))
        versions = [await store.read_version(key("Patient/a"), n) for n in (1, 2, 3)]
        assert [version and version.txid for version in versions] == [1, 2, 3]
        assert await store.check() == []
    assert rows(tmp_path, "SELECT count(*) FROM token") == [(3,)]
    assert rows(tmp_path, "SELECT total, versions FROM type WHERE name='Patient'") == [(1, 3)]


async def test_a_fault_in_one_request_of_a_group_does_not_fail_the_others(tmp_path: Path) -> None:
    broken = IndexEntries(tokens=[("code", None, 7)])  # type: ignore[list-item]
    broken.references = [("subject",)]  # type: ignore[list-item]
    async with opened(tmp_path) as store:
        first, fault, last = await together(
            store, tmp_path, [put("Patient/a")], [put("Patient/b", entries=broken)], [put("Patient/c")]
        )
        assert isinstance(fault, Exception)
        assert first.written[0].created and last.written[0].created
        assert await store.read(key("Patient/b")) is None
        assert await store.check() == []


async def test_several_changes_to_one_resource_are_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        with pytest.raises(ValueError, match="several changes"):
            await store.commit([put("Patient/a"), delete("Patient/a")])
        assert await store.last_txid() == 0


async def test_deletes_check_references_as_they_will_be_after_the_commit(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.commit([put("Patient/a"), put("Observation/o", entries=refers("Patient/a"))])
        with pytest.raises(StillReferenced):
            await store.commit([delete("Patient/a", keep_referenced=True), put("List/l", entries=refers("Patient/a"))])
        result = await store.commit(
            [delete("Patient/a", keep_referenced=True), put("Observation/o", "now without a subject")]
        )
        assert all(written.changed for written in result.written)


async def test_required_targets_may_come_with_the_commit_but_not_go_with_it(tmp_path: Path) -> None:
    needs = {"entries": refers("Patient/a"), "requires": (key("Patient/a"),)}
    async with opened(tmp_path) as store:
        with pytest.raises(MissingTargets):
            await store.commit([put("Observation/o", **needs)])
        await store.commit([put("Observation/o", **needs), put("Patient/a")])
        with pytest.raises(MissingTargets):
            await store.commit([put("Observation/p", **needs), delete("Patient/a")])


async def test_ids_interned_in_a_transaction_that_failed_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = IndexEntries(
        tokens=[("code", "http://new", "x")],
        uris=[("url", "http://example.org/new")],
        references=[("subject", "Patient", "stub", None, None)],
    )
    finish = Group.run

    def fails_at_the_end(*arguments: Any) -> Any:
        finish(*arguments)
        raise apsw.IOError("the disk went away")

    async with opened(tmp_path) as store:
        monkeypatch.setattr(Group, "run", fails_at_the_end)
        with pytest.raises(StorageFault):
            await store.commit([put("Observation/o", entries=entries)])
        assert store.health().fault == "the disk went away"
        monkeypatch.undo()
        # Others take the ids that were free again.
        await store.commit([put("Basic/b", entries=IndexEntries(tokens=[("code", "http://other", "y")]))])
        await store.commit([put("Observation/o", entries=entries)])
        assert store.health().sound
        assert await store.check() == []
    names = "SELECT s.url, v.code FROM token t JOIN token_value v USING(value) JOIN system s USING(system)"
    assert sorted(rows(tmp_path, names)) == [("http://new", "x"), ("http://other", "y")]
    assert rows(tmp_path, "SELECT r.id FROM ref x JOIN resource r ON r.rid=x.target") == [("stub",)]
    assert rows(tmp_path, "SELECT v.uri FROM uri u JOIN uri_value v USING(value)") == [("http://example.org/new",)]


async def test_interned_ids_of_another_process_are_used_and_not_made_again(tmp_path: Path) -> None:
    entries = IndexEntries(tokens=[("code", "s", "c")], references=[("subject", "Patient", "p", None, None)])
    async with opened(tmp_path) as one, opened(tmp_path) as other:
        for number in range(6):
            await (one, other)[number % 2].commit([put(f"Observation/{number}", entries=entries)])
        assert await one.check() == []
    assert rows(tmp_path, "SELECT count(*) FROM token_value") == [(1,)]
    assert rows(tmp_path, "SELECT count(*) FROM resource WHERE id='p'") == [(1,)]
    assert rows(tmp_path, "SELECT count(DISTINCT value), count(*) FROM token") == [(1, 6)]


async def test_memos_stay_bounded_and_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fhir_server.storage.sqlite.interning.MEMO", 10)
    async with opened(tmp_path) as store:
        for number in range(60):
            entries = IndexEntries(
                tokens=[("code", f"s{number % 7}", f"c{number % 23}"), ("status", None, "final")],
                references=[("subject", "Patient", f"p{number % 17}", None, None)],
            )
            await store.commit([put(f"Observation/{number}", entries=entries)])
        interning = store._writer.interning
        assert max(map(len, (interning.values, interning.rids, interning.tokens["Observation"]))) <= 12
        assert await store.check() == []
    wrong = """
        SELECT r.id, v.code FROM token t JOIN param p ON p.param=t.param AND p.code='code'
        JOIN token_value v USING(value) JOIN version w ON w.pid=t.pid JOIN resource r ON r.rid=w.rid
        WHERE v.code <> 'c' || (CAST(r.id AS INTEGER) % 23)"""
    assert rows(tmp_path, wrong) == []


async def test_a_write_whose_turn_does_not_come_is_refused_and_not_written_later(tmp_path: Path) -> None:
    settings = FAST.model_copy(update={"lock_timeout": 1})
    async with opened(tmp_path, settings) as store:
        turn = Turn(tmp_path)
        with turn.taken():
            with pytest.raises(WriteBusy):
                await store.commit([put("Patient/late")])
            assert await store.read(key("Patient/late")) is None
        turn.close()
        await store.commit([put("Patient/next")])
        assert await store.read(key("Patient/late")) is None


async def test_a_caller_that_goes_away_before_its_turn_writes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        turn = Turn(tmp_path)
        with turn.taken():
            task = asyncio.ensure_future(store.commit([put("Patient/gone")]))
            await asyncio.sleep(0.05)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        turn.close()
        await store.commit([put("Patient/next")])
        assert await store.read(key("Patient/gone")) is None


async def test_more_writers_than_fit_a_group_are_all_answered(tmp_path: Path) -> None:
    settings = Settings(durable=False, reserve_bytes=0, group_commit=2)
    async with opened(tmp_path, settings) as store:
        results = await asyncio.gather(*(store.commit([put(f"Patient/{n}")]) for n in range(100)))
        assert sorted(result.txid for result in results) == list(range(1, 101))


async def test_what_was_queued_is_written_before_the_store_closes(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        tasks = [asyncio.ensure_future(store.commit([put(f"Patient/{n}")])) for n in range(20)]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert rows(tmp_path, "SELECT count(*) FROM version") == [(20,)]


async def test_bodies_are_kept_byte_for_byte(tmp_path: Path) -> None:
    change = put("Patient/a", "1.20 \\u0000 Zoë 😀 " + "x" * 100_000)
    async with opened(tmp_path) as store:
        await store.commit([change])
        version = await store.read(key("Patient/a"))
    assert version is not None and version.body == change.body


async def test_odd_values_are_interned_as_they_are(tmp_path: Path) -> None:
    odd = ["", " ", "a|b", "'; DROP TABLE token; --", "\u0000", "a\u0000b", "😀", "ſ", "x" * 5000]
    async with opened(tmp_path) as store:
        await store.commit([put("Basic/b", entries=IndexEntries(tokens=[("code", None, code) for code in odd]))])
        await store.commit([put("Basic/c", entries=IndexEntries(tokens=[("code", "", code) for code in odd]))])
    found = rows(tmp_path, "SELECT v.code, count(*) FROM token t JOIN token_value v USING(value) GROUP BY v.value")
    assert sorted(found) == sorted((code, 2) for code in odd)


async def test_a_contained_resource_has_rows_of_its_own_that_go_with_its_container(tmp_path: Path) -> None:
    inner = IndexEntries(tokens=[("gender", None, "male")], references=[("link", "#", "", None, None)])
    entries = refers("Patient/a")
    entries.references.append(("performer", "#", "p", None, None))
    entries.contained.append(("Patient", "p", inner))
    async with opened(tmp_path) as store:
        await store.commit([put("Observation/o", entries=entries), put("Patient/a")])
        assert await store.check() == []
        ((cid, pid),) = rows(tmp_path, "SELECT cid, pid FROM contained")
        assert cid != pid
        assert rows(tmp_path, "SELECT count(*) FROM ref WHERE target=?", (-cid,)) == [(1,)]
        assert rows(tmp_path, "SELECT p.type FROM token t JOIN param p USING(param) WHERE t.pid=?", (cid,)) == [
            ("#Patient",)
        ]
        await store.purge(key("Observation/o"), history_only=False)
    assert rows(tmp_path, "SELECT (SELECT count(*) FROM contained) + (SELECT count(*) FROM token)") == [(0,)]


async def test_a_contained_referrer_keeps_what_it_refers_to(tmp_path: Path) -> None:
    entries = IndexEntries(contained=[("Observation", "o", refers("Patient/a"))])
    async with opened(tmp_path) as store:
        await store.commit([put("Patient/a"), put("List/l", entries=entries)])
        with pytest.raises(StillReferenced) as caught:
            await store.commit([delete("Patient/a", keep_referenced=True)])
        assert caught.value.referrers == (key("List/l"),)


@pytest.mark.parametrize("count", [1, 2, 5, 511, 512, 513, 1500])
async def test_groups_of_any_size_are_written_whole(tmp_path: Path, count: int) -> None:
    async with opened(tmp_path) as store:
        entries: Callable[[int], IndexEntries] = lambda n: IndexEntries(  # noqa: E731
            tokens=[("code", "s", str(n))],
            quantities=[("value-quantity", n, n + 1, "u", "kg", (n, n + 1, "g"))],
        )
        await store.commit([put(f"Observation/{n}", entries=entries(n)) for n in range(count)])
        assert len(await store.changes(0, 10)) == count
        assert await store.check() == []
    tables = ("version", "body", "token", "quantity")
    assert [rows(tmp_path, f"SELECT count(*) FROM {table}")[0][0] for table in tables] == [count] * 4


def test_the_body_of_the_kit_is_spliced_like_any_other() -> None:
    assert body("Patient", "a").data[body("Patient", "a").splice :].startswith(b"}")

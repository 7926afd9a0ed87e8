"""Sweeping, purging and reindexing; the clock watch."""

import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fhir_server.search.entries import IndexEntries
from fhir_server.search.query import EVERYTHING, Search
from fhir_server.storage.base import HOLDS, BlobChange, HistoryQuery, RecordChange, SnapshotGone
from fhir_server.storage.sqlite import upkeep
from fhir_server.storage.sqlite.health import ClockWatch
from tests.unit.storage.sqlite.kit import FAST, START, Clock, delete, key, opened, put, rows

LIFE = FAST.link_life * 1000


def gender(code: str) -> IndexEntries:
    return IndexEntries(
        tokens=[("gender", "s", code), ("identifier", "urn:ssn", f"secret-{code}")],
        strings=[("family", "muster", "Muster")],
        dates=[("birthdate", 1, 2)],
        contained=[("Organization", "o", IndexEntries(tokens=[("name", None, code)]))],
    )


async def test_a_sweep_removes_rows_of_versions_that_no_page_link_can_ask_for(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock=clock) as store:
        for code in ("male", "female", "other"):
            await store.commit([put("Patient/a", code, gender(code))])
        assert rows(tmp_path, "SELECT count(*) FROM stale") == [(2,)]
        assert await store.sweep() == 0
        clock.now += LIFE + 10
        assert await store.sweep() == 2
        assert await store.check() == []
        assert (await store.history(HistoryQuery(key=key("Patient/a")))).total == 3
    assert rows(tmp_path, "SELECT count(*) FROM stale") == [(0,)]
    assert rows(tmp_path, "SELECT count(*) FROM contained") == [(1,)]
    assert rows(tmp_path, "SELECT DISTINCT pid FROM date") == [(rows(tmp_path, "SELECT max(pid) FROM version")[0][0],)]


async def test_a_deleted_resource_loses_its_rows_at_the_sweep(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock=clock) as store:
        await store.commit([put("Patient/a", "", gender("male"))])
        await store.commit([delete("Patient/a")])
        clock.now += LIFE + 10
        assert await store.sweep() == 1
    assert rows(tmp_path, "SELECT count(*) FROM token") == [(0,)]


async def test_a_page_link_older_than_the_sweep_is_gone(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock=clock) as store:
        await store.commit([put(f"Patient/{n}") for n in range(4)])
        page = await store.search(Search({"Patient": EVERYTHING}, count=2))
        assert page.txid == 1
        await store.commit([put("Patient/0", "changed")])
        clock.now += LIFE + 10
        await store.commit([put("Patient/1", "changed")])
        await store.sweep()
        with pytest.raises(SnapshotGone):
            await store.search(Search({"Patient": EVERYTHING}, count=2, after=page.next))


async def test_an_instant_that_is_held_can_be_read_until_the_hold_ends(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock=clock) as store:
        await store.commit([put(f"Patient/{n}") for n in range(4)])
        page = await store.search(Search({"Patient": EVERYTHING}, count=2))
        await store.declare(HOLDS)
        hold = {"txid": page.txid, "until": clock.now + 3 * LIFE}
        await store.commit((), [RecordChange(HOLDS.name, "export", hold)])
        await store.commit([put("Patient/0", "changed")])
        for age, known in ((2 * LIFE, True), (2 * LIFE, False)):
            clock.now += age
            await store.commit([put("Patient/1", f"changed at {clock.now}")])
            await store.sweep()
            if known:
                rest = await store.search(Search({"Patient": EVERYTHING}, count=4, after=page.next))
                assert [version.version for version in rest.versions] == [1, 1]
            else:
                with pytest.raises(SnapshotGone):
                    await store.search(Search({"Patient": EVERYTHING}, count=2, after=page.next))


async def chunks() -> AsyncIterator[bytes]:
    yield b"some bytes"


async def test_staged_blobs_that_nobody_attached_are_swept_after_an_hour(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        forgotten, fresh, attached = [await store.blobs.stage(chunks()) for _ in range(3)]
        await store.commit((), (), [BlobChange(attached.id, attach=True)])
        for mark in (tmp_path / "blobs" / "staged").glob(f"{forgotten.id}*"):
            os.utime(mark, (time.time() - 4000, time.time() - 4000))
        await store.sweep()
        left = {path.name for path in (tmp_path / "blobs").glob("[0-9a-f][0-9a-f]/*")}
        assert left == {fresh.id, attached.id}
        await store.commit((), (), [BlobChange(fresh.id, attach=True)])
        assert await store.check() == []


async def test_the_bytes_of_a_released_blob_go_after_the_commit(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        ref = await store.blobs.stage(chunks())
        await store.commit((), (), [BlobChange(ref.id, attach=True)])
        await store.commit((), (), [BlobChange(ref.id, attach=False)])
        with pytest.raises(KeyError):
            await store.blobs.open(ref.id)
    assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == []


async def test_a_blob_whose_sender_fails_leaves_nothing(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionError

    async with opened(tmp_path) as store:
        with pytest.raises(ConnectionError):
            await store.blobs.stage(broken())
    assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == []


async def test_what_is_purged_is_not_in_the_files_any_more(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.commit([put("Patient/a", "very private text", gender("hidden")), put("Patient/b", "public")])
        await store.commit([put("Patient/a", "more private text", gender("hidden"))])
        assert await store.purge(key("Patient/a"), history_only=False) == 2
        assert await store.check() == []
    content = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"private" not in content
    assert b"secret-hidden" not in content
    assert b"Muster" not in content
    assert b"public" in content


async def test_other_processes_learn_that_interned_rows_were_purged(tmp_path: Path) -> None:
    async with opened(tmp_path) as one, opened(tmp_path) as other:
        await one.commit([put("Patient/a", "1", gender("male"))])
        await other.commit([put("Patient/b", "2", gender("male"))])
        for name in "ab":
            await one.purge(key(f"Patient/{name}"), history_only=False)
        assert rows(tmp_path, "SELECT count(*) FROM token_value WHERE code='secret-male'") == [(0,)]
        await other.commit([put("Patient/c", "3", gender("male"))])
        await other.commit([put("Patient/a", "4", gender("male"))])
        assert await other.check() == []
    found = rows(tmp_path, "SELECT v.code, count(*) FROM token t LEFT JOIN token_value v USING(value) GROUP BY v.code")
    assert sorted(found) == [("male", 4), ("secret-male", 2)]


async def test_pids_and_txids_are_never_given_twice_though_the_newest_is_purged(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.commit([put("Patient/a")])
        await store.commit([put("Patient/b")])
        await store.purge(key("Patient/b"), history_only=False)
        result = await store.commit([put("Patient/c")])
        assert (result.txid, result.written[0].version and result.written[0].version.pid) == (3, 3)


async def test_a_reindex_that_was_stopped_goes_on_where_it_came_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "SLICE", 10)
    seen: list[bytes] = []

    def extract(type_: str, body: bytes) -> IndexEntries:
        seen.append(body)
        if len(seen) == 35:
            raise RuntimeError("stopped")
        return gender("male")

    async with opened(tmp_path) as store:
        await store.commit([put(f"Patient/{n}") for n in range(50)])
        progress: list[tuple[int, int]] = []
        with pytest.raises(RuntimeError, match="stopped"):
            await store.reindex(["Patient"], extract, lambda done, of: progress.append((done, of)))
        assert progress == [(10, 50), (20, 50), (30, 50)]
    async with opened(tmp_path) as store:
        assert await store.reindex(["Patient"], extract, lambda done, of: progress.append((done, of))) == 50
        assert progress[3:] == [(40, 50), (50, 50)]
        assert await store.check() == []
        assert await store.reindex([], extract, lambda done, of: None) == 50
    assert rows(tmp_path, "SELECT count(*) FROM string") == [(50,)]
    assert rows(tmp_path, "SELECT count(*) FROM contained") == [(50,)]


def test_a_clock_behind_the_log_is_told_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    moment = [0.0]
    watch = ClockWatch(300, lambda: moment[0])
    watch.look(START, START - 1)
    assert (watch.behind, watch.ahead, caplog.messages) == (0, 0, [])
    for _ in range(5):
        watch.look(START, START + 3_600_000)
    assert watch.behind == 3_600_000
    assert len(caplog.messages) == 1
    moment[0] = 61.0
    watch.look(START + 61_000, START + 3_600_000)
    assert len(caplog.messages) == 2
    watch.look(START + 61_000, START)
    assert watch.behind == 0


def test_a_clock_that_jumps_ahead_is_told_but_an_idle_night_is_not() -> None:
    moment = [0.0]
    watch = ClockWatch(300, lambda: moment[0])
    watch.look(START, 0)
    moment[0] = 36_000.0
    watch.look(START + 36_000_000, START)
    assert watch.ahead == 0
    watch.look(START + 36_000_000 + 301_000, START)
    assert watch.ahead == 301_000

"""Backup while the store serves, restore, migration from an older format."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from fhir_server.search.entries import IndexEntries
from fhir_server.storage.base import BackupRefused, BlobChange, HistoryQuery, StorageFault
from fhir_server.storage.sqlite import migrations
from fhir_server.storage.sqlite.backup import read_manifest, restore
from fhir_server.storage.sqlite.migrations import Step
from fhir_server.storage.sqlite.provider import SqliteProvider
from fhir_server.storage.sqlite.schema import FORMAT
from tests.unit.storage.sqlite.kit import FAST, key, opened, put, rows


async def chunks() -> AsyncIterator[bytes]:
    yield b"bytes of a blob"


async def test_a_backup_restored_elsewhere_answers_the_same(tmp_path: Path) -> None:
    progress: list[tuple[int, int]] = []
    async with opened(tmp_path / "live") as store:
        ref = await store.blobs.stage(chunks())
        await store.commit([put("Patient/a", "1")], (), [BlobChange(ref.id, attach=True)])
        await store.commit([put("Patient/a", "2")])
        manifest = await store.backup(tmp_path / "copy", lambda done, of: progress.append((done, of)))
        await store.commit([put("Patient/a", "3")])
        assert (manifest.format, manifest.txid) == (FORMAT, 2)
        assert set(manifest.files) == {"record.db", f"blobs/{ref.id[:2]}/{ref.id}"}
        assert progress[-1][0] == progress[-1][1]
    assert restore(tmp_path / "copy", tmp_path / "again") == manifest
    async with opened(tmp_path / "again") as store:
        version = await store.read(key("Patient/a"))
        assert version is not None and version.version == 2
        assert b"".join([chunk async for chunk in await store.blobs.open(ref.id)]) == b"bytes of a blob"
        assert await store.check() == []
        assert (await store.commit([put("Patient/a", "other")])).txid == 3


async def test_a_backup_beside_writers_is_one_instant(tmp_path: Path) -> None:
    async with opened(tmp_path / "live") as store:
        stop = asyncio.Event()

        async def write() -> int:
            number = 0
            while not stop.is_set():
                await store.commit([put(f"Patient/{number}-{part}") for part in range(7)])
                number += 1
            return number

        writer = asyncio.ensure_future(write())
        await asyncio.sleep(0.1)
        manifest = await store.backup(tmp_path / "copy", lambda done, of: None)
        stop.set()
        assert await writer > manifest.txid > 0
    restore(tmp_path / "copy", tmp_path / "again")
    async with opened(tmp_path / "again") as store:
        assert await store.last_txid() == manifest.txid
        assert await store.statistics() == {"Patient": 7 * manifest.txid}
        assert await store.check() == []


async def test_backup_and_restore_refuse_folders_that_hold_something(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    async with opened(tmp_path / "live") as store:
        with pytest.raises(BackupRefused, match="not an empty folder"):
            await store.backup(tmp_path / "full", lambda done, of: None)
        await store.backup(tmp_path / "copy", lambda done, of: None)
    with pytest.raises(BackupRefused, match="not an empty folder"):
        restore(tmp_path / "copy", tmp_path / "live")
    with pytest.raises(BackupRefused, match="no complete backup"):
        restore(tmp_path / "full", tmp_path / "new")


async def test_a_damaged_backup_is_not_restored(tmp_path: Path) -> None:
    async with opened(tmp_path / "live") as store:
        await store.commit([put("Patient/a")])
        await store.backup(tmp_path / "copy", lambda done, of: None)
    record = tmp_path / "copy" / "record.db"
    data = bytearray(record.read_bytes())
    data[len(data) // 2] ^= 1
    record.write_bytes(data)
    with pytest.raises(BackupRefused, match="not what the backup wrote"):
        restore(tmp_path / "copy", tmp_path / "new")
    assert not (tmp_path / "new").exists()


async def test_a_manifest_cannot_name_files_outside_the_backup(tmp_path: Path) -> None:
    text = {"format": 1, "store": "", "txid": 0, "last_updated": 0, "files": {"../x": ""}}
    (tmp_path / "manifest.json").write_text(json.dumps(text))
    with pytest.raises(BackupRefused, match="outside"):
        read_manifest(tmp_path)


async def test_a_provider_gives_one_handle_for_each_tenant_that_exists(tmp_path: Path) -> None:
    provider = SqliteProvider(tmp_path, FAST)
    for unknown in ("unknown", "../default", "", "Default"):
        with pytest.raises(KeyError):
            await provider.open(unknown)
    store = await provider.open("default")
    assert await provider.open("default") is store
    assert provider.tenants() == ["default"]
    await store.commit([put("Patient/a")])
    await provider.close()
    again = SqliteProvider(tmp_path, FAST)
    assert await (await again.open("default")).read(key("Patient/a")) is not None
    await again.close()


async def make_format_0(folder: Path) -> None:
    """Write a record of an older layout: format 1 without two of its tables."""
    async with opened(folder) as store:
        entries = IndexEntries(tokens=[("gender", None, "male")])
        await store.commit([put("Patient/a", "1", entries)])
        await store.commit([put("Patient/a", "2", entries)])
    connection = apsw.Connection(str(folder / "record.db"))
    connection.execute("DROP TABLE position; DROP TABLE composite; UPDATE meta SET value=0 WHERE key='format'")
    connection.execute("DROP TABLE audit; DROP TABLE audit_agent; DROP TABLE audit_key; DROP TABLE patient_key")
    connection.close()


async def test_a_record_of_an_older_format_is_migrated_with_a_copy_of_it_kept(tmp_path: Path) -> None:
    await make_format_0(tmp_path)
    async with opened(tmp_path) as store:
        assert await store.check() == []
        assert (await store.history(HistoryQuery())).total == 2
        near = IndexEntries(positions=[("near", 47.0, 8.0)])
        await store.commit([put("Location/l", entries=near)])
    assert rows(tmp_path, "SELECT count(*) FROM position") == [(1,)]
    assert rows(tmp_path, "SELECT value FROM meta WHERE key='format'") == [(FORMAT,)]
    assert rows(tmp_path, "SELECT 1 FROM meta WHERE key='migration'") == []
    before = tmp_path / "before-format-1"
    assert rows(before, "SELECT value FROM meta WHERE key='format'") == [(0,)]
    assert rows(before, "SELECT count(*) FROM version") == [(2,)]
    assert read_manifest(before).format == 0


async def test_a_migration_that_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await make_format_0(tmp_path)
    calls: list[str] = []
    real = migrations.STEPS[0].moves

    def in_slices(connection: apsw.Connection) -> bool:
        calls.append("slice")
        if len(calls) == 2:
            raise KeyboardInterrupt
        return len(calls) == 4

    monkeypatch.setitem(migrations.STEPS, 0, Step(1, (real[0], in_slices, real[1])))  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        async with opened(tmp_path):
            pass
    assert rows(tmp_path, "SELECT value FROM meta WHERE key='migration'") == [(1,)]
    async with opened(tmp_path) as store:
        await store.commit([put("Patient/a", "3")])
        assert await store.check() == []
    assert calls == ["slice"] * 4


def _to_format_4(calls: list[str]) -> dict[int, Step]:
    """A release whose format 4 has another table: made beside the old one at once, taken into use at the end."""

    def add(connection: apsw.Connection) -> bool:
        connection.execute("CREATE TABLE IF NOT EXISTS person(rid INTEGER PRIMARY KEY, id TEXT)")
        return True

    def fill(connection: apsw.Connection) -> bool:
        calls.append("fill")
        connection.execute("INSERT INTO person SELECT rid, id FROM resource WHERE rid NOT IN (SELECT rid FROM person)")
        return True

    return {**migrations.STEPS, 3: Step(4, (fill,), before=(add,))}


async def test_what_the_release_before_could_not_live_with_waits_until_the_upgrade_is_finished(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.commit([put("Patient/a")])
    calls: list[str] = []
    newer = apsw.Connection(str(tmp_path / "record.db"))
    assert migrations.migrate(newer, tmp_path, FAST, _to_format_4(calls), 4) == 3
    assert migrations.format_of(newer) == 3 and not calls and not (tmp_path / "before-format-4").exists()
    async with opened(tmp_path) as store:  # this release, which is the one before, goes on
        await store.commit([put("Patient/b")])
        assert await store.check() == []
    migrations.migrate(newer, tmp_path, FAST, _to_format_4(calls), 4)
    while migrations.format_of(newer) < 4:
        with newer:
            migrations.advance(newer, _to_format_4(calls))
    assert newer.execute("SELECT id FROM person ORDER BY id").fetchall() == [("a",), ("b",)]
    newer.close()
    with pytest.raises(StorageFault, match=r"format 4.*newer release"):
        async with opened(tmp_path):
            pass


async def test_a_record_two_formats_behind_is_brought_to_the_one_before_at_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.commit([put("Patient/a")])
    calls: list[str] = []
    steps = {**_to_format_4(calls), 4: Step(5, (), before=())}
    newer = apsw.Connection(str(tmp_path / "record.db"))
    newer.execute("CREATE TABLE person(rid INTEGER PRIMARY KEY, id TEXT)")
    assert migrations.migrate(newer, tmp_path, FAST, steps, 5) == 3
    assert migrations.format_of(newer) == 4 and calls == ["fill"]
    assert rows(tmp_path / "before-format-4", "SELECT value FROM meta WHERE key='format'") == [(3,)]
    newer.close()


async def test_a_record_of_a_newer_format_is_refused_and_left_alone(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.commit([put("Patient/a")])
    connection = apsw.Connection(str(tmp_path / "record.db"))
    connection.execute("UPDATE meta SET value=99 WHERE key='format'")
    connection.close()
    with pytest.raises(StorageFault, match=r"format 99.*newer release"):
        async with opened(tmp_path):
            pass
    assert rows(tmp_path, "SELECT value FROM meta WHERE key='format'") == [(99,)]
    assert not list(tmp_path.glob("before-*"))


async def test_a_file_that_is_no_record_is_refused(tmp_path: Path) -> None:
    (tmp_path / "record.db").write_bytes(b"this is not a database at all" * 1000)
    with pytest.raises(StorageFault):
        async with opened(tmp_path):
            pass

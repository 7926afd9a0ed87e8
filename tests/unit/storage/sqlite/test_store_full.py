"""A full disk: writes are refused, reads go on, and nothing is torn."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fhir_server.settings import Settings
from fhir_server.storage.base import StorageFull
from fhir_server.storage.sqlite.provider import SqliteProvider
from fhir_server.storage.sqlite.reserve import Reserve
from fhir_server.telemetry.health import Finding
from tests.unit.storage.sqlite.kit import FAST, delete, key, opened, put, rows

ROOT = Path(__file__).resolve().parents[4]

# The limit on the size of files is the process's own, so the test needs no file system of its own.
UNDER_LIMIT = """
import asyncio, resource, signal, sys
from pathlib import Path
from fhir_server.settings import Settings
from fhir_server.storage.base import StorageFault, StorageFull
from tests.unit.storage.sqlite.kit import key, opened, put

async def main(folder):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    settings = Settings(reserve_bytes=0, checkpoint_pages=100)
    async with opened(folder, settings) as store:
        await store.commit([put("Patient/before")])
        resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, resource.RLIM_INFINITY))
        done, refused = 0, 0
        for number in range(400):
            try:
                await store.commit([put(f"Patient/{number}-{part}", "x" * 3000) for part in range(10)])
                done += 1
            except (StorageFull, StorageFault) as error:
                refused += 1
                assert await store.read(key(f"Patient/{number}-0")) is None
                assert await store.read(key("Patient/before")) is not None
        assert done and refused, (done, refused)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await store.commit([put("Patient/after")])
        assert store.health().sound
        assert await store.check() == []
        print(done)

asyncio.run(main(Path(sys.argv[1])))
"""


async def test_files_that_cannot_grow_refuse_writes_and_stay_sound(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", UNDER_LIMIT, str(tmp_path)], cwd=ROOT, capture_output=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr.decode()
    async with opened(tmp_path) as store:
        assert await store.check() == []
        assert (await store.statistics())["Patient"] == 2 + 10 * int(done.stdout)


async def test_a_database_at_its_largest_size_refuses_the_write_alone(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.commit([put("Patient/a")])
        pages = rows(tmp_path, "PRAGMA page_count")[0][0]
        await store._writer.submit(lambda c: c.execute(f"PRAGMA max_page_count={pages + 5}").fetchall())
        with pytest.raises(StorageFull):
            await store.commit([put("Patient/b", "x" * 500_000)])
        assert await store.read(key("Patient/b")) is None
        assert not store.health().sound
        await store.commit([delete("Patient/a")])
        assert store.health().sound
        assert await store.check() == []


async def test_without_its_reserve_a_store_reads_but_does_not_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = FAST.model_copy(update={"reserve_bytes": 100_000})
    async with opened(tmp_path, settings) as store:
        assert (tmp_path / "reserve").stat().st_blocks * 512 >= 100_000
        await store.commit([put("Patient/a")])
        monkeypatch.setattr(Reserve, "free", lambda self: 150_000)
        (tmp_path / "reserve").unlink()
        with pytest.raises(StorageFull, match="150000 bytes are free"):
            await store.commit([put("Patient/b")])
        assert await store.read(key("Patient/a")) is not None
        assert not store.health().reserve
        monkeypatch.undo()
        await store.commit([put("Patient/b")])
        assert store.health().sound
        assert (tmp_path / "reserve").exists()


async def test_a_full_disk_frees_the_reserve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = FAST.model_copy(update={"reserve_bytes": 100_000})
    async with opened(tmp_path, settings) as store:
        await store.commit([put("Patient/a")])
        pages = rows(tmp_path, "PRAGMA page_count")[0][0]
        await store._writer.submit(lambda c: c.execute(f"PRAGMA max_page_count={pages + 5}").fetchall())
        with pytest.raises(StorageFull):
            await store.commit([put("Patient/b", "x" * 500_000)])
        assert not (tmp_path / "reserve").exists()


def test_a_reserve_is_real_blocks_and_is_laid_by_only_where_space_is_ample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve = Reserve(tmp_path, 1_000_000)
    assert not reserve.laid_by()
    assert reserve.lay_by()
    assert os.stat(tmp_path / "reserve").st_blocks * 512 >= 1_000_000
    assert reserve.give_up()
    assert not reserve.give_up()
    monkeypatch.setattr(Reserve, "free", lambda self: 1_900_000)
    assert not reserve.lay_by()
    assert Reserve(tmp_path, 0).lay_by()
    assert Settings().reserve_bytes > 0


async def test_health_says_that_the_disk_is_full_and_when_it_is_not_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = SqliteProvider(tmp_path, FAST.model_copy(update={"reserve_bytes": 100_000}))
    (check,) = provider.health_checks()
    store = await provider.open("default")
    try:
        await store.commit([put("Patient/a")])
        assert await check.probe() == Finding()
        for place in ("reserve", "provider"):
            monkeypatch.setattr(f"fhir_server.storage.sqlite.{place}.free_in", lambda folder: 150_000)
        (tmp_path / "tenants" / "default" / "reserve").unlink()
        with pytest.raises(StorageFull):
            await store.commit([put("Patient/b")])
        found = await check.probe()
        assert (found.state, found.details) == ("degraded", {"free_bytes": 150_000})
        assert "the disk of the data folder is full" in found.said
        monkeypatch.undo()
        await store.commit([put("Patient/b")])
        assert await check.probe() == Finding()
    finally:
        await provider.close()

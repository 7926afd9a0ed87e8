"""The log file is copied into the record beside the writer, and stays bounded."""

import asyncio
from pathlib import Path

import pytest

from fhir_server.storage.sqlite.reserve import Reserve
from tests.unit.storage.sqlite.kit import FAST, key, opened, put, rows

SMALL = FAST.model_copy(update={"checkpoint_pages": 50})
PAGE = 4096


async def write(store: object, worker: int, commits: int) -> None:
    for number in range(commits):
        await store.commit([put(f"Patient/{worker}-{number}-{part}", "x" * 2000) for part in range(5)])  # type: ignore[attr-defined]


async def largest_log(folder: Path, *writers: asyncio.Future[None]) -> int:
    """Return the largest size of the log file in pages while the writers are at work."""
    largest = 0
    while not all(writer.done() for writer in writers):
        largest = max(largest, (folder / "record.db-wal").stat().st_size // PAGE)
        await asyncio.sleep(0.005)
    for writer in writers:
        await writer
    return largest


async def test_the_log_file_stays_bounded_while_commits_go_on(tmp_path: Path) -> None:
    async with opened(tmp_path, SMALL) as store:
        largest = await largest_log(tmp_path, asyncio.ensure_future(write(store, 1, 1000)))
        assert await store.check() == []
    assert rows(tmp_path, "SELECT count(*) FROM version") == [(5000,)]
    assert 50 <= largest < 4000, largest


async def test_the_log_file_stays_bounded_under_two_writers(tmp_path: Path) -> None:
    async with opened(tmp_path, SMALL) as one, opened(tmp_path, SMALL) as other:
        writers = [asyncio.ensure_future(write(store, n, 500)) for n, store in enumerate((one, other))]
        assert await largest_log(tmp_path, *writers) < 4000
        assert await one.check() == []


async def test_without_room_to_grow_the_log_is_not_copied_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path, SMALL) as store:
        monkeypatch.setattr(Reserve, "free", lambda self: 0)
        await write(store, 1, 40)
        assert (tmp_path / "record.db").stat().st_size < 200 * PAGE
        assert await store.read(key("Patient/1-39-4")) is not None
        monkeypatch.undo()
        await write(store, 2, 40)
        assert await store.check() == []


@pytest.mark.parametrize("commits", [0, 1, 30])
async def test_a_store_closes_whatever_its_checkpoints_are_doing(tmp_path: Path, commits: int) -> None:
    for _ in range(5):
        async with asyncio.timeout(20), opened(tmp_path, SMALL) as store:
            await write(store, 1, commits)
    assert (tmp_path / "record.db-wal").stat().st_size == 0

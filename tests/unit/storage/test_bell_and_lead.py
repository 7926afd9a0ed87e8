"""Rings and leadership: within a process, between processes, and when one is killed."""

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fhir_server.settings import Settings
from fhir_server.storage.memory.provider import MemoryProvider
from fhir_server.storage.sqlite.bell import Bell
from fhir_server.storage.sqlite.leading import lead
from fhir_server.storage.sqlite.provider import SqliteProvider
from tests.unit.storage.writing import write

FAST = Settings(durable=False, reserve_bytes=0, readers=1)

HOLDS = """
import asyncio, sys
from pathlib import Path
from fhir_server.storage.sqlite.leading import lead
async def hold():
    async with lead(Path(sys.argv[1]), "background"):
        print("leads", flush=True)
        await asyncio.sleep(600)
asyncio.run(hold())
"""
RINGS = """
import asyncio, sys
from pathlib import Path
from fhir_server.storage.sqlite.bell import Bell
async def ring():
    bell = Bell(Path(sys.argv[1]))
    for number in range(int(sys.argv[2])):
        bell.ring(f"t{number}")
    while bell._flush is not None:
        await asyncio.sleep(0.01)
asyncio.run(ring())
"""


@pytest.fixture(params=["memory", "sqlite"])
async def provider(request, tmp_path):
    made = (
        MemoryProvider(FAST, lambda: 1_000)
        if request.param == "memory"
        else SqliteProvider(tmp_path, FAST.model_copy(update={"data_dir": tmp_path}), lambda: 1_000)
    )
    yield made
    await made.close()


async def test_a_commit_of_a_resource_rings_and_one_of_records_alone_does_not(provider):
    store = await provider.open("default")
    heard: list[str] = []
    async with provider.listen(heard.append):
        await store.commit((), ())
        await asyncio.sleep(0.02)
        assert heard == []
        await write(store, "Patient", "1")
        await asyncio.sleep(0.02)
    assert heard == ["default"]


async def test_the_head_is_the_newest_version_and_known_without_opening(provider):
    store = await provider.open("default")
    assert await provider.head("default") == 0
    await write(store, "Patient", "1")
    txid = await store.last_txid()
    await provider.shut("default")
    assert await provider.head("default") == txid
    assert provider.written("default") > 0


async def test_what_came_back_after_a_deletion_is_told_apart(provider):
    store = await provider.open("default")
    await write(store, "Patient", "1")
    await write(store, "Patient", "1", method="DELETE")
    await write(store, "Patient", "1")
    await write(store, "Patient", "1", text="other")
    versions = await store.changes(0)
    assert await store.revived(versions) == {versions[2].pid}
    assert await store.count_changes(0) == 4
    assert await store.count_changes(versions[1].txid) == 2


async def test_only_one_leads_and_the_next_follows_at_once(provider):
    order = []

    async def run(name: str) -> None:
        async with provider.lead("background"):
            order.append(f"{name} in")
            await asyncio.sleep(0.05)
            order.append(f"{name} out")

    await asyncio.gather(run("a"), run("b"))
    assert order in (["a in", "a out", "b in", "b out"], ["b in", "b out", "a in", "a out"])


async def test_a_killed_leader_is_followed_at_once(tmp_path: Path):
    process = subprocess.Popen([sys.executable, "-c", HOLDS, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"leads\n"
        waiting = asyncio.create_task(_seconds_until_lead(tmp_path))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        process.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        assert await waiting - killed < 0.5
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


async def _seconds_until_lead(folder: Path) -> float:
    async with lead(folder, "background"):
        return time.monotonic()


async def test_one_who_gives_up_waiting_does_not_keep_the_lead(tmp_path: Path):
    async with lead(tmp_path, "x"):
        waiting = asyncio.create_task(_seconds_until_lead_of(tmp_path, "x"))
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    await asyncio.wait_for(_seconds_until_lead_of(tmp_path, "x"), 2)


async def _seconds_until_lead_of(folder: Path, name: str) -> float:
    async with lead(folder, name):
        return time.monotonic()


async def test_rings_of_another_process_are_heard_even_when_there_are_many(tmp_path: Path):
    heard: set[str] = set()
    bell = Bell(tmp_path)
    async with bell.listen(heard.add):
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", RINGS, str(tmp_path), "2000")
        assert await asyncio.wait_for(process.wait(), 20) == 0
        for _ in range(100):
            if len(heard) == 2000:
                break
            await asyncio.sleep(0.02)
    assert len(heard) == 2000
    bell.close()


async def test_a_folder_with_a_long_path_has_a_bell_too(tmp_path: Path):
    folder = tmp_path / ("x" * 90) / ("y" * 90)
    folder.mkdir(parents=True)
    heard: set[str] = set()
    bell = Bell(folder)
    async with bell.listen(heard.add):
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", RINGS, str(folder), "1")
        assert await process.wait() == 0
        await asyncio.sleep(0.05)
    assert heard == {"t0"}
    bell.close()


async def test_ringing_where_nobody_listens_is_no_error(tmp_path: Path):
    bell = Bell(tmp_path)
    bell.ring("default")
    await asyncio.sleep(0.01)
    (tmp_path / "bell.sock").touch()  # what a killed process leaves is a socket that nobody reads
    bell.ring("default")
    await asyncio.sleep(0.01)
    bell.close()

"""kill -9 during writes loses nothing that was acknowledged and leaves no half transaction."""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from fhir_server.storage.base import HistoryQuery
from fhir_server.storage.sqlite.store import SqliteStore
from tests.unit.storage.sqlite.committer import SIZE
from tests.unit.storage.sqlite.kit import key, opened, rows

ROOT = Path(__file__).resolve().parents[4]


def start(folder: Path, worker: str, first: int, archive: str = "") -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "tests.unit.storage.sqlite.committer", str(folder), worker, str(first), archive]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def killed(process: "subprocess.Popen[bytes]") -> list[int]:
    """Kill the process; return the numbers that it acknowledged."""
    process.kill()
    output, _ = process.communicate()
    return [int(line) for line in output.split(b"\n")[:-1]]


async def whole(store: SqliteStore, worker: str, number: int) -> bool:
    """Tell whether a transaction is there, and fail if it is there in part."""
    name = f"{worker}-{number}"
    found = await store.read_many([key(f"Observation/{name}-{part}") for part in range(SIZE)])
    record = await store.records.get("numbers", name)
    parts = Counter(version.txid for version in found.values())
    assert sorted(parts.values()) in ([], [SIZE]), f"half of transaction {name} is there: {parts}"
    assert bool(parts) == (record is not None), f"the record of {name} is not of its transaction"
    if record is not None:
        data = b"".join([chunk async for chunk in await store.blobs.open(str(record.value["blob"]))])
        assert data == name.encode() * 100
    return bool(parts)


@pytest.mark.slow
async def test_twenty_kills_lose_no_acknowledged_write_and_leave_no_half(tmp_path: Path) -> None:
    rng, acknowledged, first = random.Random(7), [], 0
    for _ in range(20):
        process = start(tmp_path, "w", first)
        time.sleep(rng.uniform(0.02, 0.4))
        acknowledged += killed(process)
        first += 100_000
        async with opened(tmp_path) as store:
            for number in acknowledged[-20:]:
                assert await whole(store, "w", number)
            for number in range(acknowledged[-1], acknowledged[-1] + 6):
                await whole(store, "w", number)
            assert await store.check() == []
    async with opened(tmp_path) as store:
        for number in acknowledged:
            assert await whole(store, "w", number)
        total = (await store.history(HistoryQuery(type="Observation"))).total
        assert total is not None and total % SIZE == 0
    assert len(acknowledged) > 100


async def test_one_of_two_processes_is_killed_and_the_other_goes_on(tmp_path: Path) -> None:
    one, other = start(tmp_path, "one", 0), start(tmp_path, "other", 0)
    time.sleep(0.5)
    lost = killed(one)
    time.sleep(0.5)
    kept = killed(other)
    assert min(len(lost), len(kept)) > 10
    async with opened(tmp_path) as store:
        assert all([await whole(store, "one", number) for number in lost])
        assert all([await whole(store, "other", number) for number in kept])
        assert await store.check() == []
    shared = "SELECT count(*) FROM tx a JOIN tx b ON b.txid=a.txid+1 AND b.first_pid<=a.first_pid"
    assert rows(tmp_path, shared) == [(0,)]

"""Measure what encryption costs the store in processor time: import, reads by id, a check of the file, large objects.

python scripts/bench_encryption.py [--resources 60000] [--rounds 3]
"""

import argparse
import asyncio
import os
import random
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from bench_store import Maker

from fhir_server.encryption import rotation
from fhir_server.settings import Settings
from fhir_server.storage.base import BlobChange
from fhir_server.storage.sqlite.store import SqliteStore, open_store

BUNDLE = 250
READS = 20_000
BLOB = 64 * 1_048_576


async def main() -> None:
    """Take turns between plain and encrypted, so that a slow minute of the machine hits both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resources", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=3)
    flags = parser.parse_args()
    found: dict[str, dict[str, list[float]]] = {}
    for _ in range(flags.rounds):
        for mode in ("off", "on"):
            with tempfile.TemporaryDirectory() as folder:
                for what, value in (await _measure(Path(folder), mode, flags.resources)).items():
                    found.setdefault(what, {}).setdefault(mode, []).append(value)
    print(f"load average {os.getloadavg()[0]:.1f}")
    for what, modes in found.items():
        plain, sealed = (min(modes[mode]) for mode in ("off", "on"))
        print(f"{what:45} plain {plain:12,.1f}   encrypted {sealed:12,.1f}   {sealed / plain:5.2f} x")


async def _measure(folder: Path, mode: str, resources: int) -> dict[str, float]:
    settings = Settings(data_dir=folder, encryption=mode)
    rotation.confirm(settings, rotation.begin(settings))
    found: dict[str, float] = {}
    store = await open_store(folder / "tenants" / "default", settings)
    try:
        keys = await _import(store, resources, found)
        random.Random(1).shuffle(keys)
        await _timed(found, "read by id, any of all (us)", READS, lambda: _read(store, keys[:READS]))
        hot = keys[:200] * (READS // 200)
        await _timed(found, "read by id, 200 of them (us)", READS, lambda: _read(store, hot))
        await _timed(found, "whole check of the file (us a resource)", resources, store.check)
        await _blobs(store, found)
    finally:
        await store.close()
    return found


async def _import(store: SqliteStore, resources: int, found: dict[str, float]) -> list[object]:
    maker, keys = Maker(1), []
    cpu = 0.0
    for _ in range(resources // BUNDLE):
        changes = maker.bundle(BUNDLE)
        began = time.process_time()
        await store.commit(changes)
        cpu += time.process_time() - began
        keys += [change.key for change in changes]
    found["import (us a resource)"] = cpu / resources * 1e6
    return keys


async def _read(store: SqliteStore, keys: list[object]) -> None:
    for key in keys:
        await store.read(key)  # type: ignore[arg-type]


async def _blobs(store: SqliteStore, found: dict[str, float]) -> None:
    data = os.urandom(262_144)

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(BLOB // len(data)):
            yield data

    async def write() -> None:
        nonlocal ref
        ref = await store.blobs.stage(chunks())
        await store.commit([], (), [BlobChange(ref.id, attach=True)])

    async def read() -> None:
        async for _ in await store.blobs.open(ref.id):
            pass

    ref = None
    await _timed(found, "large object written (us a MB)", BLOB / 1_048_576, write)
    await _timed(found, "large object read (us a MB)", BLOB / 1_048_576, read)


async def _timed(found: dict[str, float], what: str, number: float, run: Callable[[], object]) -> None:
    began = time.process_time()
    await run()  # type: ignore[misc]
    found[what] = (time.process_time() - began) / number * 1e6


if __name__ == "__main__":
    asyncio.run(main())

"""Measure what each level of encryption costs the store in processor time: pages, and bodies in envelopes as well.

python scripts/bench_encryption.py [--resources 60000] [--rounds 3]
"""

import argparse
import asyncio
import os
import random
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

from bench_store import Maker

from fhir_server.encryption import rotation
from fhir_server.search.parameters_links import LINK
from fhir_server.search.query import EVERYTHING, Search
from fhir_server.settings import Settings
from fhir_server.storage.base import BlobChange, Change
from fhir_server.storage.sqlite.store import SqliteStore, open_store

BUNDLE = 250
READS = 20_000
BLOB = 64 * 1_048_576
PAGE = 50
LEVELS: dict[str, dict[str, str]] = {
    "plain": {"encryption": "off"},
    "pages": {"encryption": "on", "envelopes": "off"},
    "envelopes": {"encryption": "on", "envelopes": "on"},
}


async def main() -> None:
    """Take turns between the levels, so that a slow minute of the machine hits all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resources", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=3)
    flags = parser.parse_args()
    found: dict[str, dict[str, list[float]]] = {}
    for _ in range(flags.rounds):
        for level in LEVELS:
            with tempfile.TemporaryDirectory() as folder:
                for what, value in (await _measure(Path(folder), level, flags.resources)).items():
                    found.setdefault(what, {}).setdefault(level, []).append(value)
    print(f"load average {os.getloadavg()[0]:.1f}")
    for what, levels in found.items():
        plain, *others = (min(levels[level]) for level in LEVELS)
        print(
            f"{what:48} plain {plain:10,.1f}"
            + "".join(
                f"   {level} {value:10,.1f} {value / plain:5.2f} x"
                for level, value in zip(list(LEVELS)[1:], others, strict=True)
            )
        )


async def _measure(folder: Path, level: str, resources: int) -> dict[str, float]:
    settings = Settings.model_validate({"data_dir": folder / "data", **LEVELS[level]})
    rotation.confirm(settings, rotation.begin(settings))
    found: dict[str, float] = {}
    store = await open_store(settings.data_dir / "tenants" / "default", settings)
    try:
        keys = await _import(store, resources, found)
        random.Random(1).shuffle(keys)
        await _timed(found, "read by id, any of all (us)", READS, lambda: _read(store, keys[:READS]))
        hot = keys[:200] * (READS // 200)
        await _timed(found, "read by id, 200 of them (us)", READS, lambda: _read(store, hot))
        search = Search({"Observation": EVERYTHING}, count=PAGE)
        await _timed(found, f"search, a page of {PAGE} (us)", 500, lambda: _search(store, search))
        await _singles(store, found)
        await _timed(found, "whole check of the file (us a resource)", resources, store.check)
        backup = partial(store.backup, folder / "backup", lambda done, of: None, folder / "keys")
        await _timed(found, "backup (us a resource)", resources, backup)
        await _blobs(store, found)
    finally:
        await store.close()
    return found


async def _import(store: SqliteStore, resources: int, found: dict[str, float]) -> list[object]:
    maker, keys = Maker(1), []
    cpu = 0.0
    for _ in range(resources // BUNDLE):
        changes = [_linked(change) for change in maker.bundle(BUNDLE)]
        began = time.process_time()
        await store.commit(changes)
        cpu += time.process_time() - began
        keys += [change.key for change in changes]
    found["import (us a resource)"] = cpu / resources * 1e6
    return keys


def _linked(change: Change) -> Change:
    """Add the row that says whose it is, which the real extractor makes."""
    for code, type_, id_, *_ in change.entries.references:
        if code == "patient":
            change.entries.references.append((LINK, type_, id_, None, None))
            break
    return change


async def _singles(store: SqliteStore, found: dict[str, float]) -> None:
    """Commits of one resource, each of a patient that the writer may not have seen for long."""
    changes = [_linked(change) for _ in range(40) for change in Maker(7, scattered=True).bundle(50)]
    began = time.process_time()
    for change in changes:
        await store.commit([change])
    found["commit of one resource (us)"] = (time.process_time() - began) / len(changes) * 1e6


async def _search(store: SqliteStore, search: Search) -> None:
    for _ in range(500):
        await store.search(search)


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

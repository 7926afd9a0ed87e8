"""A child process of the tests: commits numbered transactions and prints each one's number once it is acknowledged.

Transaction N writes five new resources that all say N, updates one more, puts a record and attaches a blob.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from fhir_server.search.entries import IndexEntries
from fhir_server.settings import Settings
from fhir_server.storage.base import BlobChange, Collection, RecordChange, RecordField
from fhir_server.storage.sqlite.store import SqliteStore, open_store
from tests.unit.storage.sqlite.kit import put

NUMBERS = Collection("numbers", (RecordField("number", "integer"),))
SIZE = 5


async def chunks(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def transaction(store: SqliteStore, worker: str, number: int) -> None:
    name = f"{worker}-{number}"
    entries = IndexEntries(
        tokens=[("code", f"s{number}", name)], references=[("subject", "Patient", worker, None, None)]
    )
    changes = [put(f"Observation/{name}-{part}", str(number), entries) for part in range(SIZE)]
    changes.append(put(f"Patient/{worker}", str(number)))
    blob = await store.blobs.stage(chunks(name.encode() * 100))
    record = RecordChange("numbers", name, {"number": number, "blob": blob.id})
    await store.commit(changes, [record], [BlobChange(blob.id, attach=True)])
    print(number, flush=True)


async def work(store: SqliteStore, worker: str, start: int) -> None:
    for number in range(start, start + 100_000, 2):
        await transaction(store, worker, number)


async def main(folder: Path, worker: str, start: int, archive: str) -> None:
    kept = Path(archive) if archive else None
    store = await open_store(folder, Settings(reserve_bytes=0, checkpoint_pages=50, backup_archive=kept))
    await store.declare(NUMBERS)
    print("ready", flush=True)
    await asyncio.gather(work(store, worker, start), work(store, worker, start + 1))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]))

"""A process that writes commits of two patients and a record until it is killed; it tells each that was answered.

Run as `python -m tests.unit.storage.mongodb.writes URL DATABASE FIRST LEASE`.
"""

import asyncio
import sys
import time

from fhir_server.settings import Settings
from fhir_server.storage.base import Collection, RecordChange
from fhir_server.storage.mongodb.store import open_alone
from tests.conformance.storage.world import change, patient

COUNTS = Collection("test.counts")


async def write(url: str, database: str, first: int, lease: int) -> None:
    """Write, one commit after the other."""
    settings = Settings(mongodb_url=url, mongodb_lease=lease, durable=False)
    store = await open_alone(database, settings, lambda: time.time_ns() // 1_000_000)
    await store.declare(COUNTS)
    for number in range(first, first + 10_000):
        pair = [change(patient(id_, name=[{"family": f"n{number}"}])) for id_ in ("a", "b")]
        await store.commit(pair, [RecordChange(COUNTS.name, "count", {"number": number})])
        print(number, flush=True)


if __name__ == "__main__":
    asyncio.run(write(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])))

"""A process that notes audit rows, and has each group numbered, until it is killed; it tells each that was answered.

Run as `python -m tests.unit.storage.mongodb.notes URL DATABASE`.
"""

import asyncio
import sys
import time

from fhir_server.settings import Settings
from fhir_server.storage.audit import AuditRow
from fhir_server.storage.mongodb.store import open_alone


async def note(url: str, database: str) -> None:
    """Note groups of two rows, and have them numbered."""
    settings = Settings(mongodb_url=url, mongodb_lease=1, mongodb_audit_interval=60, durable=False)
    store = await open_alone(database, settings, lambda: time.time_ns() // 1_000_000)
    for number in range(10_000):
        await store.audit.note([AuditRow(number, "ann", f"{number}{part}".encode()) for part in "ab"])
        print(number, flush=True)
        await store.audit.size()


if __name__ == "__main__":
    asyncio.run(note(sys.argv[1], sys.argv[2]))

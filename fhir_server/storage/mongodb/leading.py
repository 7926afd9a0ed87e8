"""Leadership among processes of all nodes: a lease in the database, which runs out when its holder dies."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError, PyMongoError

from fhir_server.storage.base import Lead
from fhir_server.storage.mongodb.document import Document

_PARTS: Final = 4
"""A lease is renewed, and asked for, so many times in its length."""


@asynccontextmanager
async def lead(leases: AsyncCollection[Document], name: str, holder: str, length: float) -> AsyncIterator[Lead]:
    """Wait for the lease of a name, which lasts `length` seconds, and renew it while the context lasts."""
    while not await _taken(leases, name, holder, length):  # noqa: ASYNC110 - nobody would set an event
        await asyncio.sleep(random.uniform(0.5, 1) * length / _PARTS)  # noqa: S311 - spreads those who wait
    leading = Lead()
    renewing = asyncio.create_task(_renew(leases, name, holder, length, leading))
    try:
        yield leading
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
        with suppress(PyMongoError):
            await leases.delete_one({"_id": name, "holder": holder})


async def _taken(leases: AsyncCollection[Document], name: str, holder: str, length: float) -> bool:
    now = time.time()
    mine = {"$set": {"holder": holder, "until": now + length}}
    try:
        done = await leases.update_one(
            {"_id": name, "$or": [{"until": {"$lt": now}}, {"holder": holder}]}, mine, upsert=True
        )
    except (DuplicateKeyError, PyMongoError):
        return False
    return done.matched_count == 1 or done.upserted_id is not None


async def _renew(leases: AsyncCollection[Document], name: str, holder: str, length: float, leading: Lead) -> None:
    """Renew the lease; who could not for its whole length has lost it."""
    last = time.monotonic()
    while True:
        await asyncio.sleep(length / _PARTS)
        try:
            mine = {"$set": {"until": time.time() + length}}
            done = await leases.update_one({"_id": name, "holder": holder}, mine)
            if done.matched_count == 0:
                break
            last = time.monotonic()
        except PyMongoError:
            if time.monotonic() - last > length * (_PARTS - 1) / _PARTS:
                break
    leading.lost.set()

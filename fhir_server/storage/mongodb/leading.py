"""Leadership among processes of all nodes: a lease in the database, which runs out when its holder dies.

Leases are told by the server's clock, for those of nodes differ; how much is left of one's own, by the clock that
nobody sets. Who is cut off stops in time: a quarter of the length before others may take over.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import pymongo
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import PyMongoError

from fhir_server.resilience import ended
from fhir_server.storage.base import Lead
from fhir_server.storage.mongodb.document import Document

_PARTS: Final = 4
"""A lease is renewed, and asked for, so many times in its length."""
_FREE_WITHIN: Final = 1.0


@asynccontextmanager
async def lead(leases: AsyncCollection[Document], name: str, holder: str, length: float) -> AsyncIterator[Lead]:
    """Wait for the lease of a name, which lasts `length` seconds, and renew it while the context lasts."""
    while (since := await _taken(leases, name, holder, length)) is None:  # noqa: ASYNC110 - nobody would set an event
        await asyncio.sleep(random.uniform(0.5, 1) * length / _PARTS)  # noqa: S311 - spreads those who wait
    leading = Lead()
    renewing = asyncio.create_task(_renew(leases, name, holder, length, since, leading))
    try:
        yield leading
    finally:
        await ended(renewing)
        with suppress(PyMongoError), pymongo.timeout(_FREE_WITHIN):
            await leases.delete_one({"_id": name, "holder": holder})


async def _taken(leases: AsyncCollection[Document], name: str, holder: str, length: float) -> float | None:
    """Take the lease if it is free; return since when it is ours (monotonic clock), None if it is not."""
    began = time.monotonic()
    with suppress(PyMongoError), pymongo.timeout(length / _PARTS):
        now = await _now(leases)
        mine = {"$set": {"holder": holder, "until": now + length}}
        free = {"_id": name, "$or": [{"until": {"$lt": now}}, {"holder": holder}]}
        done = await leases.update_one(free, mine, upsert=True)
        if done.matched_count == 1 or done.upserted_id is not None:
            return began
    return None


async def _now(leases: AsyncCollection[Document]) -> float:
    hello = await leases.database.client.admin.command("hello")
    return float(hello["localTime"].timestamp())


async def _renew(
    leases: AsyncCollection[Document], name: str, holder: str, length: float, since: float, leading: Lead
) -> None:
    """Renew the lease; who could not for most of its length has lost it."""
    span = length / _PARTS
    while (left := since + length - span - time.monotonic()) > 0:
        await asyncio.sleep(min(span, left))
        began = time.monotonic()
        left = since + length - span - began
        if left <= 0:
            break
        with suppress(PyMongoError), pymongo.timeout(min(span, left)):
            mine = {"$set": {"until": await _now(leases) + length}}
            done = await leases.update_one({"_id": name, "holder": holder}, mine)
            if done.matched_count == 0:
                break
            since = began
    leading.lost.set()

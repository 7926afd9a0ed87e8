"""An engine in memory with an index on a real server, fed when a test says so."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from secrets import token_hex
from typing import Any

from fhir_server.settings import Settings
from fhir_server.storage.base import Store
from fhir_server.storage.elasticsearch import state
from fhir_server.storage.elasticsearch.connection import Connection
from fhir_server.storage.elasticsearch.feeder import Keeping
from fhir_server.storage.elasticsearch.index import TenantIndex
from fhir_server.storage.elasticsearch.store import IndexedStore
from fhir_server.storage.memory import MemoryStore
from tests.conformance.storage.world import Clock, World, extract
from tests.servers.elasticsearch import elasticsearch_url


class Bench(World):
    """A world whose index is fed by `feed` and by nothing else; `index_world` speaks to the index past any proxy."""

    store: IndexedStore
    keeping: Keeping

    async def feed(self) -> None:
        """Bring all that was written into the index."""
        while await self.keeping.step():
            pass

    async def documents(self) -> list[dict[str, Any]]:
        """Return what the live index holds of resources, oldest first."""
        live, _ = await self.keeping.index.names()
        assert live is not None
        await self.keeping.index.refresh(live)
        return [hit["_source"] async for hit in self.keeping.index.each(live, {"exists": {"field": "t"}})]


@asynccontextmanager
async def bench(url: str = "", inner: Store | None = None, **settings: Any) -> AsyncIterator[Bench]:
    """Open one; `url`: of a proxy that searches go through."""
    clock, real = Clock(), elasticsearch_url()
    made = Settings(durable=False, elasticsearch_url=url or real, breaker_failures=1, breaker_longest=0.2, **settings)
    connection, feeding = Connection(made), Connection(made.model_copy(update={"elasticsearch_url": real}))
    tenant = f"t{token_hex(6)}"
    store = inner or MemoryStore(made, clock)
    await state.declare(store)
    world = Bench(IndexedStore(store, TenantIndex(connection, tenant)), clock, made)
    world.keeping = Keeping(store, TenantIndex(feeding, tenant), extract)
    try:
        yield world
    finally:
        await world.keeping.index.remove()
        await connection.close()
        await feeding.close()
        await store.close()

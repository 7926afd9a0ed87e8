"""One memory store for each tenant."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fhir_server.settings import Settings
from fhir_server.storage.base import Lead
from fhir_server.storage.memory.store import MemoryStore


class MemoryProvider:
    """A StoreProvider for tests; `tenants` are those that exist."""

    def __init__(self, settings: Settings, clock: Callable[[], int], tenants: tuple[str, ...] = ("default",)) -> None:
        self._settings, self._clock = settings, clock
        self._heard: list[Callable[[str], None]] = []
        self._leads: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._stores = {tenant: self._made(tenant) for tenant in tenants}

    async def open(self, tenant: str) -> MemoryStore:
        """Return the tenant's store. Raises KeyError for an unknown tenant."""
        return self._stores[tenant]

    async def create(self, tenant: str) -> MemoryStore:
        """Return the store of a tenant, made where there is none."""
        if tenant not in self._stores:
            self._stores[tenant] = self._made(tenant)
        return self._stores[tenant]

    async def shut(self, tenant: str) -> None:
        """Do nothing: a store in memory is its data."""

    async def remove(self, tenant: str) -> None:
        """Forget a tenant."""
        self._stores.pop(tenant, None)

    def size(self, tenant: str) -> int:
        """Nothing is known of sizes."""
        return 0

    def ring(self, tenant: str) -> None:
        """Tell those who listen."""
        for heard in self._heard:
            heard(tenant)

    @asynccontextmanager
    async def listen(self, heard: Callable[[str], None]) -> AsyncIterator[None]:
        """Have it called for each ring."""
        self._heard.append(heard)
        try:
            yield
        finally:
            self._heard.remove(heard)

    @asynccontextmanager
    async def lead(self, name: str) -> AsyncIterator[Lead]:
        """Lead under a name, one at a time."""
        async with self._leads[name]:
            yield Lead()

    def tenants(self) -> list[str]:
        """Return the tenants."""
        return sorted(self._stores)

    def written(self, tenant: str) -> float:
        """Return when a tenant was last written to, in seconds since 1970."""
        return self._stores[tenant].written / 1000 if tenant in self._stores else 0.0

    async def head(self, tenant: str) -> int:
        """Return the txid of a tenant's newest version."""
        return await self._stores[tenant].head()

    def _made(self, tenant: str) -> MemoryStore:
        return MemoryStore(self._settings, self._clock, lambda: self.ring(tenant))

    async def close(self) -> None:
        """Close all."""
        for store in self._stores.values():
            await store.close()

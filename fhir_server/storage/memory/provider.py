"""One memory store for each tenant."""

from collections.abc import Callable

from fhir_server.settings import Settings
from fhir_server.storage.memory.store import MemoryStore


class MemoryProvider:
    """A StoreProvider for tests; `tenants` are those that exist."""

    def __init__(self, settings: Settings, clock: Callable[[], int], tenants: tuple[str, ...] = ("default",)) -> None:
        self._stores = {tenant: MemoryStore(settings, clock) for tenant in tenants}

    async def open(self, tenant: str) -> MemoryStore:
        """Return the tenant's store. Raises KeyError for an unknown tenant."""
        return self._stores[tenant]

    async def close(self) -> None:
        """Close all."""
        for store in self._stores.values():
            await store.close()

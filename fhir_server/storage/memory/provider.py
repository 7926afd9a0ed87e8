"""One memory store for each tenant."""

from collections.abc import Callable

from fhir_server.settings import Settings
from fhir_server.storage.memory.store import MemoryStore


class MemoryProvider:
    """A StoreProvider for tests; `tenants` are those that exist."""

    def __init__(self, settings: Settings, clock: Callable[[], int], tenants: tuple[str, ...] = ("default",)) -> None:
        self._settings, self._clock = settings, clock
        self._stores = {tenant: MemoryStore(settings, clock) for tenant in tenants}

    async def open(self, tenant: str) -> MemoryStore:
        """Return the tenant's store. Raises KeyError for an unknown tenant."""
        return self._stores[tenant]

    async def create(self, tenant: str) -> MemoryStore:
        """Return the store of a tenant, made where there is none."""
        return self._stores.setdefault(tenant, MemoryStore(self._settings, self._clock))

    async def shut(self, tenant: str) -> None:
        """Do nothing: a store in memory is its data."""

    async def remove(self, tenant: str) -> None:
        """Forget a tenant."""
        self._stores.pop(tenant, None)

    def size(self, tenant: str) -> int:
        """Nothing is known of sizes."""
        return 0

    async def close(self) -> None:
        """Close all."""
        for store in self._stores.values():
            await store.close()

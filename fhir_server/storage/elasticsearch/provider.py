"""IndexedProvider: the stores of any engine, each with its index."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from typing import Any

from fhir_server.settings import Settings
from fhir_server.storage.base import IndexUnavailable, Lead, StoreProvider
from fhir_server.storage.elasticsearch import state
from fhir_server.storage.elasticsearch.connection import Connection, IndexDown
from fhir_server.storage.elasticsearch.feeder import ExtractOf, Feeder, Host
from fhir_server.storage.elasticsearch.index import TenantIndex
from fhir_server.storage.elasticsearch.lag import Lags
from fhir_server.storage.elasticsearch.store import IndexedStore
from fhir_server.telemetry.health import Check, HasHealth


class IndexedProvider:
    """A StoreProvider over another one; what it does not do itself, that one does."""

    def __init__(self, stores: StoreProvider, settings: Settings, clock: Callable[[], int]) -> None:
        self.inner = stores
        self.connection = Connection(settings)
        self._open: dict[str, IndexedStore] = {}
        self._lags = Lags(self._open, self.connection, clock)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def feeder(self, host: Host, extract_of: ExtractOf) -> Feeder:
        """Return what keeps the indexes up to date."""
        return Feeder(self.inner, self.connection, host, extract_of)

    def health_checks(self) -> Sequence[Check]:
        """Return those of the engine, and how far the indexes are behind."""
        inner = self.inner.health_checks() if isinstance(self.inner, HasHealth) else ()
        return [*inner, Check("search_index", self._lags.finding)]

    async def open(self, tenant: str) -> IndexedStore:
        """Return the tenant's handle. Raises KeyError for an unknown tenant."""
        return await self._indexed(tenant, await self.inner.open(tenant))

    async def create(self, tenant: str) -> IndexedStore:
        """Return the handle of a tenant, whose store is made where there is none; its index the feeder makes."""
        return await self._indexed(tenant, await self.inner.create(tenant))

    async def _indexed(self, tenant: str, store: Any) -> IndexedStore:
        known = self._open.get(tenant)
        if known is None or known.inner is not store:
            await state.declare(store)
            known = self._open[tenant] = IndexedStore(
                store, TenantIndex(self.connection, tenant), partial(self.inner.ring, tenant)
            )
        return known

    async def shut(self, tenant: str) -> None:
        """Close the handle of one tenant."""
        self._open.pop(tenant, None)
        await self.inner.shut(tenant)

    async def remove(self, tenant: str) -> None:
        """Remove a tenant's index, then its store, so that nothing is left of it.

        Raises:
            IndexUnavailable: the index does not answer; nothing was removed.
        """
        if tenant in self.inner.tenants():
            try:
                await TenantIndex(self.connection, tenant).remove()
            except IndexDown as error:
                raise IndexUnavailable("the search index does not answer: the tenant was not removed") from error
        self._open.pop(tenant, None)
        await self.inner.remove(tenant)
        with suppress(IndexDown):  # what the feeder was writing meanwhile made an index without fields
            await TenantIndex(self.connection, tenant).remove()

    async def close(self) -> None:
        """Close all."""
        self._open.clear()
        await self.inner.close()
        await self.connection.close()

    def ring(self, tenant: str) -> None:
        """Have whoever listens look at a tenant."""
        self.inner.ring(tenant)

    def listen(self, heard: Callable[[str], None]) -> AbstractAsyncContextManager[None]:
        """Have `heard(tenant)` called for each ring."""
        return self.inner.listen(heard)

    def lead(self, name: str) -> AbstractAsyncContextManager[Lead]:
        """Wait until nobody else leads under this name, then lead."""
        return self.inner.lead(name)

    def tenants(self) -> list[str]:
        """Return the tenants that have a store."""
        return self.inner.tenants()

    def written(self, tenant: str) -> float:
        """Return when a tenant was last written to."""
        return self.inner.written(tenant)

    async def head(self, tenant: str) -> int:
        """Return the txid of a tenant's newest version."""
        return await self.inner.head(tenant)

    def size(self, tenant: str) -> int:
        """Return the bytes of a tenant's store, without its index."""
        return self.inner.size(tenant)

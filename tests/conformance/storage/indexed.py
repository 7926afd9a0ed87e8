"""A store with the search index in front, whose index has all that was written before each search."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from secrets import token_hex

from fhir_server.search.query import Contained, Search
from fhir_server.settings import Settings
from fhir_server.storage.base import Page, Store
from fhir_server.storage.elasticsearch import state
from fhir_server.storage.elasticsearch.connection import Connection
from fhir_server.storage.elasticsearch.feeder import Keeping
from fhir_server.storage.elasticsearch.feeding import Extract
from fhir_server.storage.elasticsearch.index import TenantIndex
from fhir_server.storage.elasticsearch.store import BUILDING, DOWN, IndexedStore


class FedStore(IndexedStore):
    """Feeds the index itself, asks it whatever is searched, and lets no search pass that it did not help."""

    def __init__(self, store: Store, index: TenantIndex, extract: Extract) -> None:
        super().__init__(store, index)
        self.keeping = Keeping(store, index, extract)
        self.alone = False
        self._fed = -1

    async def fed(self) -> None:
        """Bring all that was written into the index."""
        txid = await self.inner.last_txid()
        while self._fed < txid and await self.keeping.step():
            pass
        self._fed = txid

    def asks(self, search: Search) -> bool:
        """Every search, so that the translation of every leaf is tried."""
        return search.contained is Contained.FALSE

    async def search(self, search: Search) -> Page:
        """Search after feeding."""
        if self.asks(search) and not self.alone:
            await self.fed()
        page = await super().search(search)
        assert self.alone or not {BUILDING, DOWN} & set(page.notes), page.notes
        return page

    async def count(self, search: Search) -> int:
        """Count after feeding."""
        await self.fed()
        return await super().count(search)

    async def reindex(self, types: Sequence[str], extract: Extract, progress: Callable[[int, int], None]) -> int:
        """Reindex what the index holds; it goes on with the same rows."""
        await self.fed()
        self.keeping = replace(self.keeping, extract=extract)
        return await super().reindex(types, extract, progress)

    async def close(self) -> None:
        """Remove the index."""
        await self.index.remove()
        await self.inner.close()
        await self.index.connection.close()


async def indexed(store: Store, settings: Settings, url: str, extract: Extract) -> FedStore:
    """Put an index of its own in front of a store."""
    connection = Connection(settings.model_copy(update={"elasticsearch_url": url, "elasticsearch_pause": 0.0}))
    await state.declare(store)
    return FedStore(store, TenantIndex(connection, f"t{token_hex(6)}"), extract)

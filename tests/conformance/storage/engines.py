"""The engines that the conformance suite runs on: one line for each."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from pymongo.errors import PyMongoError

from fhir_server.search.entries import IndexEntries
from fhir_server.settings import Settings
from fhir_server.storage.base import Store
from fhir_server.storage.memory import MemoryStore
from fhir_server.storage.mongodb.store import MongoStore, open_alone
from fhir_server.storage.sqlite.store import open_store as open_sqlite
from tests.conformance.storage.indexed import indexed
from tests.servers.elasticsearch import elasticsearch_url
from tests.servers.mongodb import NAMED, fresh, mongodb_url
from tests.unit.encryption.kit import ready


@dataclass(frozen=True, slots=True)
class Bench:
    """What an engine is opened with: an empty folder, settings, a clock in milliseconds and the extractor."""

    folder: Path
    settings: Settings
    clock: Callable[[], int]
    extract: Callable[[str, bytes], IndexEntries]


async def _memory(bench: Bench) -> Store:
    return MemoryStore(bench.settings, bench.clock)


async def _sqlite(bench: Bench) -> Store:
    return await open_sqlite(bench.folder / "sqlite", bench.settings, bench.clock, bench.extract)


async def _encrypted(bench: Bench) -> Store:
    """The embedded engine with encrypted pages, and each resource under the key of its patient."""
    data_dir = bench.folder / "data"
    settings, _ = ready(data_dir, **bench.settings.model_dump(exclude={"data_dir", "encryption"}))
    return await open_sqlite(data_dir / "tenants" / "default", settings, bench.clock, bench.extract)


class _Borrowed(MongoStore):
    """Leaves nothing on a server that is not ours: each database has a hundred files, and the suite makes hundreds."""

    async def close(self) -> None:
        client, self._alone = self._alone, None
        await super().close()
        if client is not None:
            with suppress(PyMongoError):
                await client.drop_database(self._writer.reading.database.name)
            await self.guard.close()
            await client.close()


async def _mongodb(bench: Bench) -> Store:
    """A database of its own on the server that tests run against."""
    settings = bench.settings.model_copy(update={"mongodb_url": mongodb_url()})
    store = await open_alone(fresh("t_"), settings, bench.clock)
    if NAMED:
        store.__class__ = _Borrowed
    return store


async def _indexed(bench: Bench) -> Store:
    """The engine in memory with the search index in front of it."""
    return await indexed(MemoryStore(bench.settings, bench.clock), bench.settings, elasticsearch_url(), bench.extract)


ENGINES: Mapping[str, Callable[[Bench], Awaitable[Store]]] = {
    "memory": _memory,
    "sqlite": _sqlite,
    "encrypted": _encrypted,
    "mongodb": _mongodb,
    "indexed": _indexed,
}

EACH_TEST = [name if name != "indexed" else pytest.param(name, marks=pytest.mark.long) for name in ENGINES]
"""The engines for tests that want a store of their own: it takes a second to make an index."""

LARGE: Mapping[str, Callable[[Bench], Awaitable[Store]]] = {
    name: open_ for name, open_ in ENGINES.items() if name != "indexed" and (NAMED or name != "mongodb")
}
"""The engines that large suites run on: FerretDB looks at every document for each search, a real MongoDB does not."""

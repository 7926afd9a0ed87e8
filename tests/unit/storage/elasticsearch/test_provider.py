"""Stores with their indexes: fed tenant by tenant, looked at, removed together."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

import pytest

from fhir_server.settings import Settings
from fhir_server.storage.base import StorageFault, Store, StoreUnavailable
from fhir_server.storage.elasticsearch.connection import Connection
from fhir_server.storage.elasticsearch.feeding import Extract
from fhir_server.storage.elasticsearch.provider import IndexedProvider
from fhir_server.storage.memory import MemoryProvider
from tests.conformance.storage.world import Clock, change, extract
from tests.faults.proxy import Proxy
from tests.servers.elasticsearch import elasticsearch_url
from tests.unit.storage.elasticsearch.test_searching import named


@dataclass(frozen=True, slots=True)
class Held:
    store: Store


async def _extract_of(tenant: str) -> Extract:
    return extract


@asynccontextmanager
async def provided(url: str, **settings: Any) -> AsyncIterator[IndexedProvider]:
    """A provider whose feeder runs."""
    chosen = Settings(
        elasticsearch_url=url, elasticsearch_index=f"t{token_hex(6)}", elasticsearch_pause=0.0, breaker_failures=1,
        breaker_longest=0.2, feed_fallback=1, **settings,
    )  # fmt: skip
    stores = IndexedProvider(MemoryProvider(chosen, Clock()), chosen, Clock())

    class Host:
        @asynccontextmanager
        async def held(self, tenant: str) -> AsyncIterator[Held]:
            yield Held(await stores.open(tenant))

    task = asyncio.create_task(stores.feeder(Host(), _extract_of).run())
    try:
        yield stores
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        for tenant in list(stores.tenants()):
            await stores.remove(tenant)
        await stores.close()


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await holds():
            await asyncio.sleep(0.05)


async def _indexes(stores: IndexedProvider) -> set[str]:
    prefix = stores.connection.settings.elasticsearch_index
    return set(await stores.connection.client.indices.get(index=f"{prefix}.*"))


async def test_each_tenant_has_an_index_that_goes_with_it() -> None:
    async with provided(elasticsearch_url()) as stores:
        for tenant in ("default", "clinic"):
            store = await stores.create(tenant)
            await store.commit([change(named("a", "Schreiber"))])
            assert store.capabilities.search_index == "elasticsearch"
            assert await stores.open(tenant) is store

        async def all_fed() -> bool:
            finding = await stores.health_checks()[-1].probe()
            return finding.state == "ok" and finding.details["behind"] == 0

        await _until(all_fed)
        assert len(await _indexes(stores)) == 2
        await stores.remove("clinic")
        assert [name.split(".")[1] for name in await _indexes(stores)] == ["default"]
        assert stores.tenants() == ["default"]


async def test_while_it_does_not_answer_health_says_so_no_tenant_is_removed_and_feeding_goes_on_after() -> None:
    port = int(elasticsearch_url().rpartition(":")[2])
    with Proxy(port) as proxy:
        async with provided(f"http://127.0.0.1:{proxy.port}", elasticsearch_timeout=0.5) as stores:
            store = await stores.open("default")
            check = stores.health_checks()[-1]
            proxy.refuse()
            proxy.cut()
            await store.commit([change(named("a", "Schreiber"))])
            finding = await check.probe()
            assert finding.state == "degraded" and "Elasticsearch does not answer" in finding.said
            with pytest.raises(StoreUnavailable, match="was not removed"):
                await stores.remove("default")
            proxy.accept()

            async def fed() -> bool:
                return (await check.probe()).state == "ok"

            await _until(fed)


def test_an_address_that_is_none_is_told_in_a_sentence() -> None:
    for url in ("search1:9200", "ftp://search1:9200"):
        with pytest.raises(StorageFault, match=r"elasticsearch_url: '(search1|ftp)\S*' is neither http nor https"):
            Connection(Settings(elasticsearch_url=url))

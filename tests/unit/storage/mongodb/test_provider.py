"""Tenants are databases; processes lead one at a time and hear of each other's commits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import count

import pytest

from fhir_server.model.keys import ResourceKey
from fhir_server.settings import Settings
from fhir_server.storage.mongodb.provider import MongoProvider
from fhir_server.storage.mongodb.store import MongoStore
from tests.conformance.storage.world import START, change, patient
from tests.servers.mongodb import fresh, mongodb_url

A = ResourceKey("Patient", "a")


@pytest.fixture
async def providers() -> AsyncIterator[list[MongoProvider]]:
    """Two processes' providers of the same databases."""
    settings = Settings(mongodb_url=mongodb_url(), mongodb_database=fresh("p"), mongodb_lease=1, durable=False)
    made = [MongoProvider(settings, lambda: START) for _ in range(2)]
    yield made
    for provider in made:
        await provider.close()


async def test_tenants_are_made_listed_and_removed(providers: list[MongoProvider]) -> None:
    first, second = providers
    assert first.tenants() == ["default"]
    with pytest.raises(KeyError):
        await first.open("north")
    north = await first.create("north")
    await north.commit([change(patient("a"))])
    assert await (await first.open("default")).read(A) is None
    assert "north" in second.tenants()
    assert await (await second.open("north")).read(A) is not None
    assert await second.head("north") == 1
    assert (second.written("north"), second.size("north") > 0) == (START / 1000, True)
    await second.shut("north")
    await first.remove("north")
    assert first.tenants() == ["default"]
    with pytest.raises(KeyError):
        await first.remove("default")


async def test_one_process_leads_and_the_next_follows(providers: list[MongoProvider]) -> None:
    first, second = providers
    order: list[str] = []

    async def leading(provider: MongoProvider, name: str) -> None:
        async with provider.lead("background") as lead:
            order.append(f"{name} leads")
            await asyncio.sleep(0.3)
            assert not lead.lost.is_set()
            order.append(f"{name} ends")

    await asyncio.gather(leading(first, "x"), leading(second, "y"))
    assert order in (["x leads", "x ends", "y leads", "y ends"], ["y leads", "y ends", "x leads", "x ends"])


async def test_who_lost_the_lease_is_told(providers: list[MongoProvider]) -> None:
    first, second = providers
    async with first.lead("background") as lead:
        await first._client[first._settings.mongodb_database]["leases"].update_one(
            {"_id": "background"}, {"$set": {"until": 0}}
        )
        async with second.lead("background"):
            await asyncio.wait_for(lead.lost.wait(), 5)


async def rung(store: MongoStore, heard: asyncio.Queue[str]) -> str:
    """Commit until a ring comes: before the listener has looked for the first time nothing is new to it."""
    for number in count():
        await store.commit([change(patient("a", name=[{"family": f"n{number}"}]))])
        with suppress(TimeoutError):
            return await asyncio.wait_for(heard.get(), 1)
    raise AssertionError


async def test_a_commit_in_one_process_rings_in_another(providers: list[MongoProvider]) -> None:
    first, second = providers
    heard: asyncio.Queue[str] = asyncio.Queue()
    store = await first.open("default")
    await second.open("default")
    async with asyncio.timeout(30), second.listen(heard.put_nowait):
        assert await rung(store, heard) == "default"
        while not heard.empty():
            heard.get_nowait()
        first.ring("default")
        assert await heard.get() == "default"


async def test_a_tenant_that_another_process_has_just_made_is_heard_of(providers: list[MongoProvider]) -> None:
    first, second = providers
    heard: asyncio.Queue[str] = asyncio.Queue()
    store = await first.open("default")
    await second.open("default")
    async with asyncio.timeout(30), second.listen(heard.put_nowait):
        await rung(store, heard)
        north = await first.create("north")
        await north.commit([change(patient("a"))])
        while await heard.get() != "north":
            pass
    await first.remove("north")

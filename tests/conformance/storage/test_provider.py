"""A provider opens the store of each tenant."""

import pytest

from fhir_server.model.keys import ResourceKey
from fhir_server.settings import Settings
from fhir_server.storage.memory import MemoryProvider
from tests.conformance.storage.world import START, change, patient


async def test_a_tenant_has_one_store_and_sees_no_other() -> None:
    provider = MemoryProvider(Settings.model_validate({}), lambda: START, ("a", "b"))
    first = await provider.open("a")
    assert await provider.open("a") is first
    await first.commit([change(patient("x"))])
    assert await (await provider.open("b")).read(ResourceKey("Patient", "x")) is None
    await provider.close()


async def test_an_unknown_tenant_is_an_error() -> None:
    provider = MemoryProvider(Settings.model_validate({}), lambda: START)
    with pytest.raises(KeyError):
        await provider.open("other")

"""What the server keeps of each tenant."""

import pytest

from fhir_server.interactions.tenants import Tenants
from fhir_server.model.json import encode, make_body
from fhir_server.model.keys import ResourceKey
from fhir_server.settings import Settings
from fhir_server.storage.base import Change, Store
from fhir_server.storage.memory import MemoryProvider
from fhir_server.tenancy.register import Register
from fhir_server.tenancy.registration import Registration
from tests.builders import search_parameter

NOW = 1_700_000_000_000


def provider() -> MemoryProvider:
    return MemoryProvider(Settings(), lambda: NOW, ("default", "other"))


def stored(id_: str, resource: dict[str, object]) -> Change:
    key = ResourceKey("SearchParameter", id_)
    return Change(key, "PUT", make_body(encode(resource), key))


async def test_page_links_are_signed_by_one_secret_of_the_tenant() -> None:
    stores = provider()
    first, again = Tenants(stores, Settings(), lambda: NOW), Tenants(stores, Settings(), lambda: NOW)
    secret = (await first.of("default")).link_secret
    assert len(secret) == 32
    assert (await again.of("default")).link_secret == secret
    assert (await first.of("other")).link_secret != secret


async def test_an_unknown_tenant_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        await Tenants(provider(), Settings(), lambda: NOW).of("nobody")


async def test_definitions_of_one_tenant_are_not_those_of_another() -> None:
    tenants = Tenants(provider(), Settings(), lambda: NOW)
    mine, other = await tenants.of("default"), await tenants.of("other")
    change = stored("x", search_parameter("tongue", "Patient", "token", "Patient.language"))
    await tenants.commit(mine, [change])
    assert mine.parameters.get("Patient", "tongue") is not None
    assert other.parameters.get("Patient", "tongue") is None


async def test_a_definition_that_cannot_work_does_not_keep_the_others_from_working(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stores = provider()
    tenants = Tenants(stores, Settings(), lambda: NOW)
    good = stored("good", search_parameter("tongue", "Patient", "token", "Patient.language"))
    bad = stored("bad", search_parameter("broken", "Patient", "token", "Patient.where("))
    await tenants.commit(await tenants.of("default"), [good, bad])
    started = await Tenants(stores, Settings(), lambda: NOW).of("default")
    assert started.parameters.get("Patient", "tongue") is not None
    assert started.parameters.get("Patient", "broken") is None
    assert "broken" in caplog.text


async def test_a_tenant_that_another_process_has_just_finished_is_served_at_once() -> None:
    stores = provider()

    async def home() -> Store:
        return await stores.open("default")

    here, there = Register(Settings(), home), Register(Settings(), home)
    await there.add(Registration("other", state="creating"))
    assert await here.refresh()
    await there.change("other", state="active")
    found = await here.find("other")
    assert found is not None and found.state == "active"

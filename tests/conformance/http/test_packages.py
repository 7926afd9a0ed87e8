"""Installed packages on each engine: in force at once, in every worker, until they are removed."""

import asyncio
from dataclasses import replace

import pytest

from fhir_server.interactions.tenants import CHECK_EVERY, Tenants
from fhir_server.packages import PackageError
from fhir_server.packages import installed as installed_module
from fhir_server.packages.installed import PACKAGES, AlreadyInstalled
from fhir_server.storage.base import Record, Store
from tests.builders import observation, resource
from tests.conformance.http.fhir import Fhir, Serve
from tests.unit.packages.builders import package, profile, value_set

URL = "http://example.org/StructureDefinition/p"
SET = "http://example.org/ValueSet/v"


async def sources(fhir: Fhir, canonical: str = URL, tenants: Tenants | None = None) -> str | None:
    """Where a profile that is in force comes from: a package, or an empty text for a stored one."""
    tenant = await (tenants or fhir.server.tenants).of("default")
    entry = tenant.library.find("StructureDefinition", canonical)
    return None if entry is None else entry.source


async def install(fhir: Fhir, data: bytes, *, over: bool = False) -> str:
    tenants = fhir.server.tenants
    return (await tenants.install(await tenants.of("default"), data, replace=over)).outcome


async def blobs(fhir: Fhir) -> list[str]:
    store = (await fhir.server.tenants.of("default")).store
    return [str(record.value["blob"]) for record in await store.records.find(PACKAGES.name)]


async def test_a_package_is_in_force_at_once_and_until_it_is_removed(fhir: Fhir) -> None:
    assert await sources(fhir) is None
    assert await install(fhir, package("a", "1", profile("p"))) == "installed"
    assert await sources(fhir) == "a#1"
    tenants = fhir.server.tenants
    assert await tenants.uninstall(await tenants.of("default"), "a#1")
    assert await sources(fhir) is None
    assert not await tenants.uninstall(await tenants.of("default"), "a#1")


async def test_its_value_sets_are_searched_by(fhir: Fhir) -> None:
    await fhir.put_all(
        observation("in", code={"coding": [{"system": "urn:test", "code": "x"}]}),
        observation("out", code={"coding": [{"system": "urn:test", "code": "y"}]}),
    )
    assert (await fhir.get(f"Observation?code:in={SET}")).status == 400
    await install(fhir, package("a", "1", value_set("v", "x")))
    assert (await fhir.get(f"Observation?code:in={SET}")).ids == ["in"]


async def test_another_worker_notices_within_a_second(fhir: Fhir) -> None:
    other = Tenants((fhir.server.tenants)._stores, fhir.server.settings, fhir.clock)
    assert await sources(fhir, tenants=other) is None
    await install(fhir, package("a", "1", profile("p")))
    fhir.clock.now += CHECK_EVERY
    assert await sources(fhir, tenants=other) == "a#1"
    await other.uninstall(await other.of("default"), "a#1")
    fhir.clock.now += CHECK_EVERY
    assert await sources(fhir) is None


async def test_a_server_that_starts_anew_has_it(fhir: Fhir) -> None:
    await install(fhir, package("a", "1", profile("p")))
    again = Tenants((fhir.server.tenants)._stores, fhir.server.settings, fhir.clock)
    assert await sources(fhir, tenants=again) == "a#1"


async def test_the_same_again_changes_nothing(fhir: Fhir) -> None:
    data = package("a", "1", profile("p"))
    await install(fhir, data)
    before = await blobs(fhir)
    assert await install(fhir, data) == "unchanged"
    assert await install(fhir, data, over=True) == "unchanged"
    assert await blobs(fhir) == before


async def test_other_content_under_the_same_version_is_taken_only_if_asked(fhir: Fhir) -> None:
    await install(fhir, package("a", "1", profile("p")))
    (old,) = await blobs(fhir)
    other = package("a", "1", profile("q"))
    with pytest.raises(AlreadyInstalled, match="a#1"):
        await install(fhir, other)
    assert await sources(fhir) == "a#1"
    assert await install(fhir, other, over=True) == "replaced"
    assert await sources(fhir) is None
    assert await sources(fhir, URL[:-1] + "q") == "a#1"
    store = (await fhir.server.tenants.of("default")).store
    (new,) = await blobs(fhir)
    assert (await store.blobs.stat(old), (await store.blobs.stat(new)) is not None) == (None, True)


async def test_a_refused_package_leaves_nothing(fhir: Fhir) -> None:
    with pytest.raises(PackageError):
        await install(fhir, b"junk")
    assert await blobs(fhir) == []


async def test_what_the_tenant_stores_goes_before_a_package_and_stays_when_packages_change(fhir: Fhir) -> None:
    await fhir.put_all(profile("p"))
    await install(fhir, package("a", "1", profile("p", version="2.0.0")))
    assert await sources(fhir) == ""
    assert await sources(fhir, f"{URL}|2.0.0") == "a#1"
    await fhir.delete("StructureDefinition/p")
    assert await sources(fhir) == "a#1"


async def test_a_write_of_another_worker_and_a_package_are_both_noticed(fhir: Fhir) -> None:
    other = Tenants((fhir.server.tenants)._stores, fhir.server.settings, fhir.clock)
    await other.of("default")
    await install(fhir, package("a", "1", profile("q")))
    await fhir.put_all(profile("p"))
    fhir.clock.now += CHECK_EVERY
    assert await sources(fhir, tenants=other) == ""
    assert await sources(fhir, URL[:-1] + "q", other) == "a#1"


async def test_library_terminology_and_validator_are_of_one_state(fhir: Fhir) -> None:
    tenant = await fhir.server.tenants.of("default")
    before = tenant.library
    await install(fhir, package("a", "1", profile("p")))
    assert tenant.library is not before
    assert tenant.terminology.library is tenant.library


async def test_a_broken_stored_definition_stops_neither_the_server_nor_its_start(serve: Serve) -> None:
    fhir = await serve(validation="off")
    misshapen = [
        resource("StructureDefinition", "a", url=7, version=[], type={}, snapshot=3, differential="x"),
        resource("StructureDefinition", "b", url=URL, kind="resource", derivation="constraint", type=["Patient"]),
        resource("ValueSet", "c", url=[], compose=7),
        resource("CodeSystem", "d", concept=4),
        resource("Questionnaire", "e", item=[[]]),
        resource("NamingSystem", "f", uniqueId=None),
    ]
    await fhir.put_all(*misshapen)
    await install(fhir, package("a", "1", *misshapen[:3]))
    again = Tenants((fhir.server.tenants)._stores, fhir.server.settings, fhir.clock)
    assert await sources(fhir, tenants=again) == ""
    assert (await fhir.get("metadata")).status == 200


async def test_a_package_that_cannot_be_read_any_more_is_left_out_and_named(
    fhir: Fhir, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    await install(fhir, package("good", "1", profile("p")))
    await install(fhir, package("large", "1", *(profile(f"q{number}") for number in range(20))))
    smaller = Tenants((fhir.server.tenants)._stores, fhir.server.settings, fhir.clock)
    monkeypatch.setattr("fhir_server.packages.installed._read", {})
    smaller.conformance.limits = replace(smaller.conformance.limits, files=10)
    assert await sources(fhir, tenants=smaller) == "good#1"
    assert await sources(fhir, URL[:-1] + "q1", smaller) is None
    assert "large#1" in caplog.text


async def test_installations_at_the_same_time_all_arrive(fhir: Fhir) -> None:
    data = [package(f"p{number}", "1", profile(f"p{number}")) for number in range(8)]
    same = package("same", "1", profile("same"))
    outcomes = await asyncio.gather(*(install(fhir, each) for each in [*data, same, same, same]))
    assert sorted(outcomes) == ["installed"] * 9 + ["unchanged"] * 2
    assert len((await fhir.server.tenants.of("default")).packages) == 9
    assert len(set(await blobs(fhir))) == 9


async def test_a_package_that_is_replaced_while_another_worker_reads_it_stays_in_force(
    fhir: Fhir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker has the record of the old one in its hand when the blob of the old one goes."""
    await install(fhir, package("a", "1", profile("p")))
    records = installed_module._records

    async def and_then_replaced(store: Store) -> list[Record]:
        found = await records(store)
        monkeypatch.undo()
        assert await install(fhir, package("a", "1", profile("p", title="other")), over=True) == "replaced"
        installed_module._read.clear()
        return found

    monkeypatch.setattr(installed_module, "_records", and_then_replaced)
    other = Tenants((fhir.server.tenants)._stores, fhir.server.settings, fhir.clock)
    assert await sources(fhir, tenants=other) == "a#1"


async def test_requests_go_on_while_a_package_is_read(fhir: Fhir) -> None:
    tenant = await fhir.server.tenants.of("default")
    fhir.clock.now += CHECK_EVERY
    async with tenant.turn, asyncio.timeout(5):
        assert (await fhir.get("Patient")).status == 200

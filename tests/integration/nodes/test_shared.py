"""What is done on one node holds on the other."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from pymongo import MongoClient

from tests.conformance.consent.test_consent import consent
from tests.integration.nodes.nodes import Nodes, within
from tests.unit.packages.builders import package, profile

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("nodes")]
DEFINITIONS = 1.0
"""Seconds after which each node knows what another has changed of definitions, tokens and switches."""

CONSENTS = 0.5


@pytest.fixture
async def a(nodes: Nodes) -> AsyncIterator[httpx.AsyncClient]:
    async with nodes.node(0, headers=_bearer(nodes, "boss")) as http:
        yield http


@pytest.fixture
async def b(nodes: Nodes) -> AsyncIterator[httpx.AsyncClient]:
    async with nodes.node(1, headers=_bearer(nodes, "boss")) as http:
        yield http


def _bearer(nodes: Nodes, name: str) -> dict[str, str]:
    return {"authorization": f"Bearer {nodes.tokens[name]}"}


def _patient(family: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "name": [{"family": family}], **more}


async def test_of_two_updates_with_the_same_version_one_wins(a: httpx.AsyncClient, b: httpx.AsyncClient) -> None:
    made = await a.post("/fhir/Patient", json=_patient("Race"))
    url, match = f"/fhir/Patient/{made.json()['id']}", {"if-match": 'W/"1"'}
    for turn in range(1, 4):
        match = {"if-match": f'W/"{turn}"'}
        body = made.json() | {"active": bool(turn % 2)}
        tries = [
            http.put(url, json=body | {"gender": sex}, headers=match) for http, sex in ((a, "male"), (b, "female"))
        ]
        assert sorted(each.status_code for each in await asyncio.gather(*tries)) == [200, 412]


async def test_a_conditional_create_on_both_makes_one_resource(a: httpx.AsyncClient, b: httpx.AsyncClient) -> None:
    body = _patient("Once", identifier=[{"system": "urn:test", "value": "once"}])
    only = {"if-none-exist": "identifier=urn:test|once"}
    tries = [http.post("/fhir/Patient", json=body, headers=only) for http in (a, b, a, b)]
    assert sorted(each.status_code for each in await asyncio.gather(*tries)) == [200, 200, 200, 201]


async def test_a_page_link_of_one_node_goes_on_at_the_other(a: httpx.AsyncClient, b: httpx.AsyncClient) -> None:
    for number in range(3):
        await a.post("/fhir/Basic", json={"resourceType": "Basic", "code": {"text": str(number)}})
    page = (await a.get("/fhir/Basic?_count=2")).json()
    link = next(each["url"] for each in page["link"] if each["relation"] == "next")
    more = await b.get(link)
    assert more.status_code == 200, more.text
    assert len(page["entry"]) + len(more.json()["entry"]) == 3


async def test_a_search_parameter_posted_on_one_node_is_searched_on_the_other(
    a: httpx.AsyncClient, b: httpx.AsyncClient
) -> None:
    body = {
        "resourceType": "SearchParameter", "url": "http://e.org/SearchParameter/nick", "name": "nick", "code": "nick",
        "status": "active", "description": "nickname", "base": ["Patient"], "type": "string",
        "expression": "Patient.name.where(use='nickname').given",
    }  # fmt: skip
    assert (await a.post("/fhir/SearchParameter", json=body)).status_code == 201
    named = _patient("Nick", name=[{"use": "nickname", "given": ["Zed"]}])
    await asyncio.sleep(DEFINITIONS)
    assert (await b.post("/fhir/Patient", json=named)).status_code == 201
    for http in (a, b):
        found = await http.get("/fhir/Patient?nick=zed&_summary=count")
        assert (found.status_code, found.json().get("total")) == (200, 1), found.text


async def test_a_profile_of_one_node_is_held_to_by_the_other(a: httpx.AsyncClient, b: httpx.AsyncClient) -> None:
    url = "http://e.org/StructureDefinition/named"
    body = {
        "resourceType": "StructureDefinition", "url": url, "name": "Named", "status": "active", "kind": "resource",
        "abstract": False, "type": "Patient", "derivation": "constraint",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
        "differential": {"element": [{"id": "Patient.birthDate", "path": "Patient.birthDate", "min": 1}]},
    }  # fmt: skip
    assert (await a.post("/fhir/StructureDefinition", json=body)).status_code == 201

    async def refused() -> bool:
        answer = await b.post("/fhir/Patient", json=_patient("Bare", meta={"profile": [url]}))
        return answer.status_code == 422

    await within(DEFINITIONS, refused)


async def test_a_package_installed_on_one_node_is_held_to_by_the_other(
    a: httpx.AsyncClient, b: httpx.AsyncClient
) -> None:
    element = {"id": "Patient.birthDate", "path": "Patient.birthDate", "min": 1}
    data = package("born", "1.0.0", profile("born", differential={"element": [element]}))
    done = await a.post("/fhir/$install-package", content=data, headers={"content-type": "application/gzip"})
    assert done.status_code == 200, done.text
    bare = _patient("Bare", meta={"profile": ["http://example.org/StructureDefinition/born"]})

    async def refused() -> bool:
        return (await b.post("/fhir/Patient", json=bare)).status_code == 422

    await within(DEFINITIONS, refused)


async def test_a_consent_given_on_one_node_hides_on_the_other(nodes: Nodes, a: httpx.AsyncClient) -> None:
    async with nodes.node(1, _bearer(nodes, "doc")) as doctor:
        assert (await a.put("/fhir/Patient/shy", json=_patient("Shy", id="shy"))).status_code == 201
        assert (await doctor.get("/fhir/Patient/shy")).status_code == 200
        said = consent("OPTOUT", id_="of-shy", patient="shy")
        assert (await a.put("/fhir/Consent/of-shy", json=said)).status_code == 201

        async def hidden() -> bool:
            return (await doctor.get("/fhir/Patient/shy")).status_code == 404

        await within(CONSENTS, hidden)


async def test_a_plugin_that_is_switched_off_on_one_node_is_off_on_the_other(
    a: httpx.AsyncClient, b: httpx.AsyncClient
) -> None:
    async def switched(*, on: bool) -> None:
        named = [{"name": "name", "valueString": "fhir_bulk"}, {"name": "on", "valueBoolean": on}]
        done = await a.post("/fhir/$plugin-switch", json={"resourceType": "Parameters", "parameter": named})
        assert done.status_code == 200, done.text

    async def is_off() -> bool:
        return "off" in (await b.get("/health/ready")).json()["plugins"]["fhir_bulk"]["state"]

    await switched(on=False)
    await within(DEFINITIONS, is_off)
    await switched(on=True)


async def test_a_tenant_made_on_one_node_answers_on_the_other(
    nodes: Nodes, a: httpx.AsyncClient, b: httpx.AsyncClient
) -> None:
    made = await a.post("/auth/admin/tenants", json={"name": "north", "display": "North"})
    assert made.status_code == 201, made.text

    async def there() -> bool:
        return (await b.get("/t/north/fhir/metadata")).status_code == 200

    await within(DEFINITIONS, there)


async def test_a_revoked_token_is_refused_by_the_other_node(nodes: Nodes) -> None:
    async with nodes.node(0) as a, nodes.node(1) as b:
        header = _bearer(nodes, "gone")
        assert (await b.get("/fhir/Patient?_summary=count", headers=header)).status_code == 200
        form = {"token": nodes.tokens["gone"], "client_id": "public-app"}
        assert (await a.post("/auth/revoke", data=form)).status_code == 200

        async def refused() -> bool:
            return (await b.get("/fhir/Patient?_summary=count", headers=header)).status_code == 401

        await within(DEFINITIONS, refused)


async def test_a_code_system_that_is_loaded_once_is_known_to_both_nodes(
    nodes: Nodes, a: httpx.AsyncClient, b: httpx.AsyncClient, tmp_path: Path
) -> None:
    table = tmp_path / "colours.csv"
    table.write_text("code,display\nred,Red\nblue,Blue\n")
    await nodes.terminology("load", "csv", str(table), "--url", "http://e.org/colours", "--version", "1")

    async def known(http: httpx.AsyncClient) -> bool:
        asked = await http.get("/fhir/CodeSystem/$lookup?system=http://e.org/colours&code=red")
        return asked.status_code == 200

    for http in (a, b):
        await within(4, partial(known, http))
        assert (await http.get("/health/ready")).json()["checks"]["code systems"]["state"] == "ok"
    await nodes.terminology("remove", "http://e.org/colours")

    async def unknown() -> bool:
        return not await known(b)

    await within(4, unknown)


async def test_the_registers_of_erasures_begin_with_one_salt(nodes: Nodes) -> None:
    salts = {(each.folder / "erasures.ndjson").read_text().splitlines()[0] for each in nodes.nodes}
    assert len(salts) == 1


async def test_one_owner_does_what_is_done_once(nodes: Nodes) -> None:
    with MongoClient[dict[str, Any]](nodes.url) as client:
        leases = {each["_id"]: each["holder"] for each in client[nodes.database]["leases"].find()}
    assert {"background", "upkeep"} <= set(leases)

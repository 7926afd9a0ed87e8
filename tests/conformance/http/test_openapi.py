"""The OpenAPI document: valid, whole, and about what is really there. The pages beside it work offline."""

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.api.routes import Router
from fhir_server.definitions import load
from fhir_server.errors import FhirError
from fhir_server.plugin_host.assembly import Assembly
from fhir_server.plugins import load_plugins
from fhir_server.settings import Settings
from tests.builders import patient
from tests.conformance.http.over_http import JSON, over_asgi

METHODS = {"get", "post", "put", "patch", "delete"}
VALUES = {"{id}": "a", "{vid}": "1", "{member}": "Observation"}


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with over_asgi(tmp_path) as client:
        yield client


@pytest.fixture
async def document(http: httpx.AsyncClient) -> dict[str, Any]:
    answer = await http.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    found: dict[str, Any] = answer.json()
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS & item.keys():
            yield path, method, item[method]


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for child in node.values():
            yield from references(child)
    elif isinstance(node, list):
        for child in node:
            yield from references(child)


def resolved(document: dict[str, Any], reference: str) -> Any:
    node: Any = document
    for step in reference.removeprefix("#/").split("/"):
        node = node[step]
    return node


async def test_it_is_an_openapi_3_1_document_whose_references_all_resolve(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert document["info"]["title"]
    for reference in set(references(document)):
        assert resolved(document, reference) is not None


async def test_operation_ids_are_unique_and_every_operation_has_answers(document: dict[str, Any]) -> None:
    found = list(operations(document))
    ids = [operation["operationId"] for _, _, operation in found]
    assert len(ids) == len(set(ids))
    assert all(operation["responses"] for _, _, operation in found)


async def test_every_type_has_all_its_interactions_under_its_own_tag(document: dict[str, Any]) -> None:
    for type_ in load().resource_types:
        base = f"/fhir/{type_}"
        offered = {
            (path.removeprefix(base), method)
            for path, method, operation in operations(document)
            if operation["tags"] == [type_] and "$" not in path and "{member}" not in path
        }
        assert offered == {
            ("", "get"), ("", "post"), ("", "put"), ("", "patch"), ("", "delete"),
            ("/_search", "post"), ("/_history", "get"), ("/{id}", "get"), ("/{id}", "put"), ("/{id}", "patch"),
            ("/{id}", "delete"), ("/{id}/_history", "get"), ("/{id}/_history/{vid}", "get"),
        }, type_  # fmt: skip


async def test_all_that_is_offered_is_routed(document: dict[str, Any]) -> None:
    router = Router(Assembly(load_plugins(Settings())).definitions(load()))
    for path, method, operation in operations(document):
        if not path.startswith("/fhir"):
            continue
        segments = [VALUES.get(part, part) for part in path.removeprefix("/fhir").split("/") if part]
        try:
            router.route(segments).interaction(method.upper())
        except FhirError as error:
            pytest.fail(f"{method} {path} ({operation['operationId']}): {error}")


async def test_path_parameters_are_declared(document: dict[str, Any]) -> None:
    for path, item in document["paths"].items():
        named = set(re.findall(r"{(\w+)}", path))
        declared = [resolved(document, found["$ref"]) for found in item.get("parameters", [])]
        assert {found["name"] for found in declared if found["in"] == "path"} == named, path


async def test_search_parameters_are_those_of_the_type(document: dict[str, Any]) -> None:
    search = document["paths"]["/fhir/Observation"]["get"]["parameters"]
    names = {resolved(document, found["$ref"])["name"] for found in search}
    assert {
        "code",
        "value-quantity",
        "component-code-value-quantity",
        "_id",
        "_lastUpdated",
        "_sort",
        "_count",
    } <= names
    assert "birthdate" not in names


async def test_a_stored_resource_has_the_form_that_the_document_describes(
    http: httpx.AsyncClient, document: dict[str, Any]
) -> None:
    await http.put("/fhir/Patient/a", json=patient("a", active=True, name=[{"family": "x"}]), headers=JSON)
    found = (await http.get("/fhir/Patient/a")).json()
    schema = document["components"]["schemas"]["Patient"]
    assert set(schema["required"]) <= found.keys() <= schema["properties"].keys()
    assert schema["properties"]["resourceType"]["enum"] == ["Patient"]
    assert schema["additionalProperties"] is False


async def test_it_is_compressed_for_those_who_take_it(http: httpx.AsyncClient) -> None:
    packed = await http.get("/openapi.json", headers={"accept-encoding": "gzip"})
    plain = await http.get("/openapi.json", headers={"accept-encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < 300_000
    assert packed.json() == plain.json()


async def test_swagger_ui_works_without_the_internet(http: httpx.AsyncClient) -> None:
    page = await http.get("/docs")
    assert page.status_code == 200
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(links) == 3
    for link in links:
        assert "//" not in link
        assert (await http.get(f"/{link}")).status_code == 200
    assert "openapi.json" in page.text


async def test_the_first_page_leads_on(http: httpx.AsyncClient) -> None:
    page = await http.get("/")
    assert page.headers["content-type"].startswith("text/html")
    for link in re.findall(r'href="([^":]+)"', page.text):
        assert (await http.get("/" + link.replace("&amp;", "&"), follow_redirects=True)).status_code == 200


async def test_health_is_told(http: httpx.AsyncClient) -> None:
    assert (await http.get("/health/live")).json() == {"status": "live"}
    ready = (await http.get("/health/ready")).json()
    assert ready.pop("status") == "ready"
    states = {name: each["state"] for name, each in ready.pop("checks").items()}
    assert states.pop("writes", "ok") == "ok"  # of the embedded engine alone
    assert states == {"store": "ok", "feed": "ok"}
    assert set(ready) <= {"plugins"}

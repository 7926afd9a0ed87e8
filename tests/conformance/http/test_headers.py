"""Headers of requests and answers, sentence by sentence.

Spec: https://hl7.org/fhir/R4/http.html
"""

from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import pytest

from tests.builders import patient
from tests.conformance.http.over_http import BASE, JSON, over_asgi


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with over_asgi(tmp_path) as client:
        yield client


async def put(http: httpx.AsyncClient, id_: str = "a", **elements: object) -> httpx.Response:
    answer = await http.put(f"/fhir/Patient/{id_}", json=patient(id_, **elements), headers=JSON)
    assert answer.status_code in (200, 201), answer.text
    return answer


async def test_a_created_resource_has_location_etag_and_last_modified(http: httpx.AsyncClient) -> None:
    """'The server returns a 201 Created ... and SHALL also return a Location header which contains the new Logical Id
    and Version Id'."""
    answer = await http.post("/fhir/Patient", json=patient(), headers=JSON)
    id_ = answer.json()["id"]
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{BASE}/Patient/{id_}/_history/1"
    assert answer.headers["etag"] == 'W/"1"'
    assert parsedate_to_datetime(answer.headers["last-modified"]).tzinfo is not None


async def test_the_etag_is_the_version_of_the_body(http: httpx.AsyncClient) -> None:
    """'The ETag header ... the versionId'."""
    await put(http, active=True)
    updated = await put(http, active=False)
    read = await http.get("/fhir/Patient/a")
    for answer in (updated, read):
        assert answer.headers["etag"] == 'W/"2"'
        assert answer.json()["meta"]["versionId"] == "2"
    vread = await http.get("/fhir/Patient/a/_history/1")
    assert vread.headers["etag"] == 'W/"1"'


async def test_update_as_create_is_created_and_update_is_not(http: httpx.AsyncClient) -> None:
    assert (await put(http)).status_code == 201
    again = await put(http, active=True)
    assert again.status_code == 200
    assert "location" not in again.headers
    assert again.headers["content-location"] == f"{BASE}/Patient/a/_history/2"


async def test_if_match_of_another_version_fails_the_update(http: httpx.AsyncClient) -> None:
    """'If the version id given in the If-Match header does not match, the server returns a 412'."""
    await put(http)
    stale = await http.put("/fhir/Patient/a", json=patient("a", active=True), headers=JSON | {"if-match": 'W/"7"'})
    assert stale.status_code == 412
    right = await http.put("/fhir/Patient/a", json=patient("a", active=True), headers=JSON | {"if-match": 'W/"1"'})
    assert (right.status_code, right.headers["etag"]) == (200, 'W/"2"')


@pytest.mark.parametrize("header", ["if-none-match", "if-modified-since"])
async def test_a_conditional_read_is_304_with_its_etag_and_nothing_else(http: httpx.AsyncClient, header: str) -> None:
    first = await put(http)
    value = first.headers["etag" if header == "if-none-match" else "last-modified"]
    answer = await http.get("/fhir/Patient/a", headers={header: value})
    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["etag"] == 'W/"1"'


async def test_metadata_can_be_cached_too(http: httpx.AsyncClient) -> None:
    first = await http.get("/fhir/metadata")
    again = await http.get("/fhir/metadata", headers={"if-none-match": first.headers["etag"]})
    assert (first.status_code, again.status_code) == (200, 304)


async def test_a_deletion_has_its_etag(http: httpx.AsyncClient) -> None:
    await put(http)
    answer = await http.delete("/fhir/Patient/a")
    assert answer.status_code in (200, 204)
    assert answer.headers["etag"] == 'W/"2"'


async def test_head_answers_as_get_without_a_body(http: httpx.AsyncClient) -> None:
    await put(http)
    for url in ("/fhir/Patient/a", "/fhir/Patient?_id=a", "/fhir/metadata", "/fhir/Patient/a/_history", "/fhir/Foo"):
        get, head = await http.get(url), await http.head(url)
        assert (head.status_code, head.content) == (get.status_code, b"")
        assert head.headers["content-type"] == get.headers["content-type"]


async def test_prefer_return_decides_on_the_body(http: httpx.AsyncClient) -> None:
    for preference, type_ in (
        ("minimal", None),
        ("representation", "Patient"),
        ("OperationOutcome", "OperationOutcome"),
    ):
        answer = await http.post("/fhir/Patient", json=patient(), headers=JSON | {"prefer": f"return={preference}"})
        assert answer.status_code == 201
        assert "location" in answer.headers
        assert (answer.json()["resourceType"] if answer.content else None) == type_


async def test_the_request_id_comes_back(http: httpx.AsyncClient) -> None:
    """'The client can assign an id to the request, and send that in the X-Request-Id header.'"""
    assert (await http.get("/fhir/Foo", headers={"x-request-id": "abc"})).headers["x-request-id"] == "abc"
    assert (await http.get("/fhir/Foo")).headers["x-request-id"]


async def test_links_and_locations_follow_a_trusted_proxy(http: httpx.AsyncClient) -> None:
    forwarded = {"x-forwarded-proto": "https", "x-forwarded-host": "ehr.example", "x-forwarded-prefix": "/r4"}
    created = await http.post("/fhir/Patient", json=patient(), headers=JSON | forwarded)
    assert created.headers["location"].startswith("https://ehr.example/r4/fhir/Patient/")
    found = await http.get("/fhir/Patient", headers=forwarded)
    assert found.json()["link"][0]["url"].startswith("https://ehr.example/r4/fhir/Patient")


async def test_browsers_are_let_in_and_see_what_they_need(http: httpx.AsyncClient) -> None:
    asked = {"origin": "https://app.example", "access-control-request-method": "DELETE"}
    preflight = await http.options("/fhir/Patient/a", headers=asked)
    assert preflight.status_code == 204
    assert "DELETE" in preflight.headers["access-control-allow-methods"]
    answer = await http.post("/fhir/Patient", json=patient(), headers=JSON | {"origin": "https://app.example"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "Location" in answer.headers["access-control-expose-headers"]


async def test_compression_goes_both_ways(http: httpx.AsyncClient) -> None:
    import gzip

    body = gzip.compress(b'{"resourceType":"Patient","id":"z","name":[{"family":"' + b"x" * 3_000 + b'"}]}')
    put_ = await http.put("/fhir/Patient/z", content=body, headers=JSON | {"content-encoding": "gzip"})
    assert put_.status_code == 201
    got = await http.get("/fhir/Patient/z", headers={"accept-encoding": "gzip"})
    assert got.headers["content-encoding"] == "gzip"
    assert got.json()["name"] == [{"family": "x" * 3_000}]


async def test_answers_are_neither_sniffed_nor_shared(http: httpx.AsyncClient) -> None:
    await put(http)
    answer = await http.get("/fhir/Patient/a")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "private" in answer.headers["cache-control"]
    assert "Accept" in answer.headers["vary"]

"""The search index as users of a server meet it: found at once, erased at once, built again after a kill."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any

import httpx
import pytest

from fhir_server.testing.server import TestServer, serving
from tests.integration.running import running, start
from tests.servers.elasticsearch import elasticsearch_url

PREFIX = f"t{token_hex(6)}"
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">{}</div>'


def note(id_: str, words: str) -> dict[str, Any]:
    text = {"status": "generated", "div": DIV.format(words)}
    return {
        "resourceType": "Observation", "id": id_, "status": "final", "text": text, "code": {"text": words},
        "subject": {"reference": "Patient/p"},
    }  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[TestServer]:
    """A server in memory with an index, which is removed afterwards."""
    url = elasticsearch_url()
    chosen = {"search_index": "elasticsearch", "elasticsearch_url": url, "elasticsearch_index": PREFIX}
    with serving(real_time=True, elasticsearch_pause=0.01, **chosen) as made:
        yield made
    for name in _indexes(PREFIX):
        httpx.delete(f"{url}/{name}").raise_for_status()


def _indexes(prefix: str) -> list[str]:
    return sorted(httpx.get(f"{elasticsearch_url()}/{prefix}.*/_alias").json())


def _held(prefix: str, tenant: str = "default", *, settled: bool = True) -> dict[str, int]:
    """Return the current versions that an index holds, by id; while it is fed old and new stand side by side."""
    url = f"{elasticsearch_url()}/{prefix}.{tenant}"
    httpx.post(f"{url}/_refresh")
    body = {"size": 5_000, "query": {"range": {"to": {"gt": 1 << 61}}}, "_source": ["i", "x"]}
    found = httpx.post(f"{url}/_search", json=body).json().get("hits", {"hits": []})["hits"]
    held = {hit["_source"]["i"]: hit["_source"]["x"] for hit in found}
    assert len(held) == len(found) or not settled
    return held


def _until(holds: Callable[[], Any]) -> Any:
    until = time.monotonic() + 30
    while not (found := holds()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return found


def _ids(client: httpx.Client, url: str) -> list[str]:
    found = client.get(url).raise_for_status().json()
    entries = found.get("entry", [])
    assert not [each for each in entries if each["resource"]["resourceType"] == "OperationOutcome"], found
    return [each["resource"]["id"] for each in entries]


def _settled(server: TestServer) -> None:
    """Wait until the index has what was written."""
    path = "/health/ready"
    _until(lambda: _check(server.client.get(path).json()) == {"behind": 0, "building": 0})


def _check(health: dict[str, Any]) -> dict[str, int]:
    found = health["checks"]["search_index"]
    return {name: found.get(name) for name in ("behind", "building")}


def test_what_is_written_is_found_by_its_words_and_everybody_is_told_of_the_index(server: TestServer) -> None:
    client = server.client
    client.put("/fhir/Patient/p", json={"resourceType": "Patient", "id": "p"}).raise_for_status()
    _settled(server)
    client.put("/fhir/Observation/a", json=note("a", "crackles at the left base")).raise_for_status()
    assert _ids(client, "/fhir/Observation?_content=crackles base") == ["a"]
    _settled(server)
    assert _ids(client, '/fhir/Observation?_text="left base"') == ["a"]
    assert _ids(client, "/fhir/Observation?_content=crackles&_sort=-date&_total=accurate") == ["a"]
    assert "search index" in client.get("/fhir/metadata").json()["rest"][0]["documentation"]
    assert client.get("/health/ready").json()["checks"]["search_index"]["state"] == "ok"
    assert "fhir_server_search_index_lag_seconds" in client.get("/metrics").text


def test_a_new_search_parameter_is_searched_by_the_index_when_its_job_is_done(server: TestServer) -> None:
    client = server.client
    client.put("/fhir/Observation/b", json=note("b", "wheezing")).raise_for_status()
    _settled(server)
    parameter = {
        "resourceType": "SearchParameter", "id": "words", "url": "http://example.org/words", "name": "Words",
        "status": "active", "description": "words of the code", "code": "words", "base": ["Observation"],
        "type": "string", "expression": "Observation.code.text",
    }  # fmt: skip
    client.put("/fhir/SearchParameter/words", json=parameter).raise_for_status()
    _until(lambda: client.get("/fhir/Observation?words:contains=heez").json().get("total") == 1)
    assert _ids(client, "/fhir/Observation?words:contains=heez") == ["b"]


def test_an_erased_patient_is_gone_from_the_index(server: TestServer) -> None:
    client, prefix = server.client, PREFIX
    client.put("/fhir/Patient/gone", json={"resourceType": "Patient", "id": "gone"}).raise_for_status()
    erased = note("erased", "stridor") | {"subject": {"reference": "Patient/gone"}}
    client.put("/fhir/Observation/erased", json=erased).raise_for_status()
    _settled(server)
    assert {"gone", "erased"} <= _held(prefix).keys()
    asked = {"resourceType": "Parameters", "parameter": [{"name": "dryRun", "valueBoolean": False}]}
    found = client.post("/fhir/Patient/gone/$erase", json=asked).raise_for_status().json()
    assert [value for each in found["parameter"] if each["name"] == "residue" for value in each.values()][1:] == [0]
    everything = httpx.post(f"{elasticsearch_url()}/{prefix}.default/_search", json={"size": 5_000}).text
    assert "stridor" not in everything and "Patient/gone" not in everything
    assert not _held(prefix).keys() & {"gone", "erased"}


@pytest.mark.long
def test_a_server_that_is_killed_while_it_feeds_goes_on_where_it_was(tmp_path: Path) -> None:
    prefix = f"t{token_hex(6)}"
    flags = ["--search-index", "elasticsearch", "--elasticsearch-url", elasticsearch_url()]
    flags += ["--elasticsearch-index", prefix, "--elasticsearch-batch", "20", "--elasticsearch-pause", "0"]
    server = start(tmp_path / "data", *flags)
    try:
        with httpx.Client(base_url=server.base, timeout=60) as client:
            for version in range(3):
                entries = [_entry(f"n{number}", f"râle {version}") for number in range(100)]
                client.post("", json={"resourceType": "Bundle", "type": "batch", "entry": entries}).raise_for_status()
                _until(lambda version=version: _held(prefix, settled=False) if version < 2 else True)
    finally:
        server.kill()
    with running(tmp_path / "data", *flags) as server, httpx.Client(base_url=server.base, timeout=60) as client:
        root = server.base.removesuffix("/fhir")
        _until(lambda: _check(client.get(f"{root}/health/ready").json()) == {"behind": 0, "building": 0})
        assert len(_held(prefix)) == client.get("/Observation?_summary=count").json()["total"] == 100
        found = client.get("/Observation?_content=rale 2&_total=accurate&_count=1").json()
        assert found["total"] == 100
    for name in _indexes(prefix):
        httpx.delete(f"{elasticsearch_url()}/{name}").raise_for_status()


def _entry(id_: str, words: str) -> dict[str, Any]:
    resource = note(id_, words)
    del resource["subject"]
    return {"resource": resource, "request": {"method": "PUT", "url": f"Observation/{id_}"}}

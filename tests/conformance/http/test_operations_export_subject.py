"""`$export-subject`: all of one patient, nothing of another."""

import io
import json
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.builders import observation, patient, resource
from tests.conformance.http.operated import operated


def ref(key: str) -> dict[str, str]:
    return {"reference": key}


RECORD = (
    patient("a", name=[{"family": "Quastenflosser", "given": ["<b>Zyglinde"]}], birthDate="1970-01-02"),
    patient("b", name=[{"family": "Muster"}], link=[{"other": ref("Patient/a"), "type": "seealso"}]),
    observation("o", subject="Patient/a", valueQuantity={"value": 7.10, "unit": "mmol/l"}),
    observation("ob", subject="Patient/b", performer=[ref("Patient/a")]),
    resource("Provenance", "p", target=[ref("Observation/o")], recorded="2020-01-01T00:00:00Z",
             agent=[{"who": {"display": "Dr. X"}}]),
    resource("Binary", "bin", contentType="text/plain", data="Wnln", securityContext=ref("Patient/a")),
    resource("Group", "g", type="person", actual=True, member=[
        {"entity": ref("Patient/a")}, {"entity": ref("Patient/b")}]),
)  # fmt: skip
OWN = {"Patient/a", "Observation/o", "Provenance/p", "Binary/bin", "Group/g"}


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with operated(tmp_path, audit="on") as client:
        for one in RECORD:
            answer = await client.put(f"{one['resourceType']}/{one['id']}", json=one)
            assert answer.status_code == 201, answer.text
        await client.put("Observation/o", json=observation("o", subject="Patient/a", valueString="newer"))
        yield client


async def entries(http: httpx.AsyncClient, query: str) -> list[dict[str, Any]]:
    answer = await http.get(f"Patient/a/$export-subject?{query}")
    assert answer.status_code == 200, answer.text
    return [entry["resource"] for entry in answer.json()["entry"]]


async def test_all_that_is_linked_comes_with_the_patient_first(http: httpx.AsyncClient) -> None:
    found = await entries(http, "audit=false")
    assert {f"{each['resourceType']}/{each['id']}" for each in found} == OWN
    assert found[0]["resourceType"] == "Patient"


async def test_other_patients_are_not_named(http: httpx.AsyncClient) -> None:
    found = await entries(http, "audit=false&history=true")
    assert "Patient/b" not in json.dumps(found)
    assert "Muster" not in json.dumps(found)
    (group,) = [each for each in found if each["resourceType"] == "Group"]
    assert group["member"] == [{"entity": ref("Patient/a")}]


async def test_history_brings_the_versions_before(http: httpx.AsyncClient) -> None:
    answer = await http.get("Patient/a/$export-subject?history=true&audit=false")
    urls = [entry["fullUrl"].rpartition("/fhir/")[2] for entry in answer.json()["entry"]]
    assert "Observation/o" in urls
    assert "Observation/o/_history/1" in urls
    assert len(urls) == len(OWN) + 1
    assert '"value":7.1' in answer.text


async def test_what_was_done_with_the_data_is_part_of_it(http: httpx.AsyncClient) -> None:
    await http.get("Patient/a")
    events = [each for each in await entries(http, "") if each["resourceType"] == "AuditEvent"]
    assert len(events) >= 2
    assert "Patient/b" not in json.dumps(events)


async def test_a_page_for_people_shows_it_and_runs_nothing(http: httpx.AsyncClient) -> None:
    answer = await http.get("Patient/a/$export-subject?format=html")
    assert answer.headers["content-type"].startswith("text/html")
    assert "Health record of &lt;b&gt;Zyglinde Quastenflosser" in answer.text
    assert "<script" not in answer.text and "<b>" not in answer.text


async def test_a_zip_has_a_file_for_each_type(http: httpx.AsyncClient) -> None:
    answer = await http.get("Patient/a/$export-subject?format=zip")
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        names = set(archive.namelist())
        manifest = json.loads(archive.read("manifest.json"))
        assert json.loads(archive.read("Observation.ndjson"))["id"] == "o"
    assert {"index.html", "manifest.json", "Patient.ndjson", "AuditEvent.ndjson"} <= names
    assert manifest["withheld"] == 2


async def test_of_nobody_there_is_nothing(http: httpx.AsyncClient) -> None:
    assert (await http.get("Patient/nobody/$export-subject")).status_code == 404
    assert (await http.get("Patient/a/$export-subject?format=pdf")).status_code == 400
    await http.delete("Observation/o")

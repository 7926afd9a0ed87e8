"""`$de-identify` over HTTP: of a resource, a Bundle, a patient and a type."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.builders import identifier, observation, patient
from tests.conformance.http.operated import operated, parameters, said


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with operated(tmp_path) as client:
        await client.put("Patient/jane", json=jane())
        await client.put("Observation/o", json=observation("o", subject="Patient/jane", effectiveDateTime="2020-02-03"))
        yield client


def jane() -> Any:
    return patient("jane", gender="female", name=[{"family": "Smithers"}], identifier=identifier("4711-0815"))


def checked(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    assert "Smithers" not in answer.text and "4711" not in answer.text and "jane" not in answer.text
    return answer.json()


async def test_a_stored_patient_comes_with_all_that_is_linked(http: httpx.AsyncClient) -> None:
    found = checked(await http.get("Patient/jane/$de-identify"))
    resources = {entry["resource"]["resourceType"]: entry["resource"] for entry in found["entry"]}
    assert resources["Patient"]["gender"] == "female"
    assert resources["Observation"]["subject"] == {"reference": f"Patient/{resources['Patient']['id']}"}
    assert resources["Observation"]["effectiveDateTime"] == "2020"


async def test_the_same_patient_has_the_same_pseudonym_everywhere(http: httpx.AsyncClient) -> None:
    one = checked(await http.post("$de-identify", json=jane()))["id"]
    assert one == checked(await http.post("$de-identify", json=jane()))["id"]
    observed = checked(await http.get("Observation/o/$de-identify"))
    assert observed["subject"] == {"reference": f"Patient/{one}"}
    other = checked(await http.post("$de-identify", json=parameters(resource=jane(), project__string="x")))
    assert other["id"] != one


async def test_all_of_a_type_are_lines_of_json(http: httpx.AsyncClient) -> None:
    answer = await http.get("Observation/$de-identify")
    assert answer.headers["content-type"].startswith("application/fhir+ndjson")
    (line,) = answer.text.splitlines()
    assert json.loads(line)["resourceType"] == "Observation"
    assert "jane" not in line


async def test_rules_of_ones_own(http: httpx.AsyncClient) -> None:
    rules = json.dumps({"rules": [{"path": "Patient.gender", "method": "keep"}]})
    found = checked(await http.post("$de-identify", json=parameters(resource=jane(), rules__string=rules)))
    assert set(found) == {"resourceType", "meta", "gender"}
    bad = json.dumps({"rules": [{"path": "Patient.sex", "method": "keep"}]})
    refused = await http.post("$de-identify", json=parameters(resource=jane(), rules__string=bad))
    assert refused.status_code == 400
    assert "rule 0: Patient has no element 'sex'" in said(refused)


async def test_dates_are_moved_by_the_other_profile(http: httpx.AsyncClient) -> None:
    found = checked(await http.get("Observation/o/$de-identify?profile=shifted-dates"))
    assert found["effectiveDateTime"] != "2020-02-03"
    assert len(found["effectiveDateTime"]) == 10


async def test_it_needs_something_to_work_on(http: httpx.AsyncClient) -> None:
    assert (await http.post("$de-identify")).status_code == 400
    assert (await http.get("Patient/nobody/$de-identify")).status_code == 404
    assert (await http.get("Patient/jane/$de-identify?profile=none")).status_code == 400


async def test_as_a_job_it_answers_lines_too(http: httpx.AsyncClient) -> None:
    started = await http.get("Observation/$de-identify", headers={"prefer": "respond-async"})
    assert started.status_code == 202
    while (answer := await http.get(started.headers["content-location"])).status_code == 202:
        await asyncio.sleep(0.05)
    assert answer.headers["content-type"].startswith("application/fhir+ndjson")
    assert json.loads(answer.text)["resourceType"] == "Observation"

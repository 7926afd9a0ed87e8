"""A kill -9 of all processes: a group's job goes on where it was, pregnancies have one alert each."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.running import Running, start
from tests.plugins.fhir_ai.patients import UCUM

pytestmark = [pytest.mark.timeout(900), pytest.mark.long]
MEMBERS = 6_000
MOTHERS = 40
_SNOMED = {"coding": [{"system": "http://snomed.info/sct", "code": "77386006"}]}


def _post(client: httpx.Client, entries: list[dict[str, Any]]) -> None:
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    answer = client.post("", json=bundle)
    assert answer.status_code == 200, answer.text


def _put(resource: dict[str, Any]) -> dict[str, Any]:
    return {"resource": resource, "request": {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"}}


def _client(server: Running) -> httpx.Client:
    return httpx.Client(base_url=server.base, timeout=120)


def _person(id_: str) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": id_, "gender": "female", "birthDate": "1990-01-01"}


def _again(server: Running) -> Running:
    server.kill()
    return start(server.folder, "--workers", "2")


def test_a_groups_job_goes_on_and_has_each_member_once(tmp_path: Path) -> None:
    server = start(tmp_path / "data", "--workers", "2")
    try:
        ids = [f"m{number:05}" for number in range(MEMBERS)]
        with _client(server) as client:
            for at in range(0, MEMBERS, 1_000):
                _post(client, [_put(_person(id_)) for id_ in ids[at : at + 1_000]])
            members = [{"entity": {"reference": f"Patient/{id_}"}} for id_ in ids]
            group = {"resourceType": "Group", "id": "g", "type": "person", "actual": True, "member": members}
            assert client.put("/Group/g", json=group).is_success
            asked = client.get("/Group/g/$risk-assess?model=news2", headers={"prefer": "respond-async"})
            job = asked.headers["content-location"].rpartition("/")[2]
            done = 0
            while not 1_000 < done < MEMBERS:
                said = client.get(f"/$job/{job}")
                assert said.status_code == 202, "the job was over before it could be cut off"
                done = int(said.headers.get("x-progress", "0/0").partition("/")[0])
                time.sleep(0.02)
        server = _again(server)
        with _client(server) as client:
            deadline = time.monotonic() + 120
            while (said := client.get(f"/$job/{job}")).status_code == 202 and time.monotonic() < deadline:
                time.sleep(0.2)
            assert said.status_code == 200, said.text
            found = [line.split('"reference":"Patient/')[1].split('"')[0] for line in said.text.splitlines()]
            assert found == ids
    finally:
        server.kill()


def test_pregnancies_have_one_alert_each_whatever_dies(tmp_path: Path) -> None:
    server = start(tmp_path / "data", "--workers", "2")
    try:
        for round_ in range(3):
            with _client(server) as client:
                for number in range(MOTHERS):
                    _post(client, _mother(f"mother-{round_}-{number}"))
            time.sleep(0.05 * round_)
            server = _again(server)
        with _client(server) as client:
            deadline = time.monotonic() + 120
            while _count(client, "Flag") < 3 * MOTHERS and time.monotonic() < deadline:
                time.sleep(0.3)
            time.sleep(2)
            assert _count(client, "Flag") == _count(client, "CommunicationRequest") == 3 * MOTHERS
            flags = client.get("/Flag?_count=1000&_elements=subject").json()["entry"]
            assert len({each["resource"]["subject"]["reference"] for each in flags}) == 3 * MOTHERS
    finally:
        server.kill()


def _mother(id_: str) -> list[dict[str, Any]]:
    patient = {"reference": f"Patient/{id_}"}
    at = (datetime.now(UTC) - timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    episode = {"resourceType": "EpisodeOfCare", "id": f"e-{id_}", "status": "active", "type": [_SNOMED]}
    pressure = {
        "resourceType": "Observation", "id": f"o-{id_}", "status": "final", "subject": patient, "effectiveDateTime": at,
        "code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]},
        "valueQuantity": {"value": 172, "unit": "mm[Hg]", "system": UCUM, "code": "mm[Hg]"},
    }  # fmt: skip
    return [_put(_person(id_)), _put({**episode, "patient": patient}), _put(pressure)]


def _count(client: httpx.Client, type_: str) -> int:
    return int(client.get(f"/{type_}?_summary=count").json()["total"])

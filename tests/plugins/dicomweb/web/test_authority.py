"""Who sees which study by DICOMweb: whoever may read its ImagingStudy; and what the audit says of it."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from fhir_server.auth.clients import Client, save_client
from fhir_server.auth.desk import Desk
from fhir_server.auth.grants import new_grant, stored
from fhir_server.auth.tokens import new_tokens
from fhir_server.testing.server import TestServer, serving
from tests.plugins.dicomweb.web.conftest import SETTINGS, multipart, slices
from tests.plugins.only import but

_ALL = "system/*.cruds"
ORIGINS = ("https://viewer.example",)


class Guarded:
    """A server that asks for tokens, with a study of each of two patients."""

    def __init__(self, server: TestServer) -> None:
        self.server, self.client = server, server.client
        server.call(self._registered)
        self.all = self.token(_ALL, "auditor")
        self.patients = {name: self._patient(name) for name in ("A1", "A2")}
        for number, name in enumerate(self.patients):
            assert self.store(*slices(f"1.5.{number + 1}", 2, patient=name)).status_code == 200

    async def _desk(self) -> Desk:
        assert self.server.app.running is not None
        return await self.server.app.running.desk_of("default", "http://testserver/fhir")

    async def _registered(self) -> None:
        await save_client(await self._desk(), Client("viewer", "viewer", "asymmetric", scopes=_ALL))

    def token(self, scopes: str, *roles: str, **more: Any) -> dict[str, str]:
        async def made() -> str:
            desk = await self._desk()
            grant = new_grant(desk, "viewer", scopes, roles=roles, **more)
            pair = new_tokens(desk, grant, refreshing=False)
            await desk.put(stored(grant), *pair.changes)
            return pair.access

        return {"authorization": f"Bearer {self.server.call(made)}"}

    def _patient(self, name: str) -> str:
        patient = self.server.patient(
            identifier=[{"system": "urn:hosp", "value": name}], name=[{"family": "Lovelace"}], birthDate="1815-12-10",
            gender="female",
        )  # fmt: skip
        return str(self.client.post("/fhir/Patient", json=patient, headers=self.all).json()["id"])

    def store(self, *objects: bytes, token: dict[str, str] | None = None) -> httpx.Response:
        kind = {"content-type": 'multipart/related; type="application/dicom"; boundary=b'}
        return self.client.post("/dicomweb/studies", content=multipart(*objects), headers=kind | (token or self.all))

    def events(self) -> list[str]:
        """Return what the audit says, as text."""
        found = self.client.get("/fhir/AuditEvent?_count=1000", headers=self.all).json()
        return [str(each["resource"]) for each in found["entry"]]

    def later(self, seconds: float) -> None:
        """Let time go on, and what is done by the clock be done."""
        self.server.clock.go_on(seconds)
        time.sleep(1.2)

    def get(self, path: str, token: dict[str, str], accept: str = "*/*") -> httpx.Response:
        return self.client.get(f"/dicomweb{path}", headers={"accept": accept, **token})


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    with serving(
        plugins_disabled=but("dicomweb"), plugins={"dicomweb": SETTINGS}, auth="smart", cors_origins=ORIGINS
    ) as server:
        yield Guarded(server)


def uids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return sorted(row["0020000D"]["Value"][0] for row in answer.json())


PLACES = ("", "/metadata", "/series", "/instances", "/series/{0}.1", "/series/{0}.1/metadata", "/rendered",
          "/series/{0}.1/instances/{0}.1.1", "/series/{0}.1/instances/{0}.1.1/frames/1", "/thumbnail",
          "/series/{0}.1/instances/{0}.1.1/bulkdata/7FE00010", "/series/{0}.1/instances/{0}.1.1/metadata",
          "/series/{0}.1/instances/{0}.1.1/rendered", "/series/{0}.1/instances", "/series/{0}.1/rendered",
          "/series/{0}.1/thumbnail", "/series/{0}.1/instances/{0}.1.1/thumbnail", "?deidentify=shift",
          "/series/{0}.1/instances/{0}.1.1/frames/1/rendered",
          "/series/{0}.1/instances/{0}.1.1?deidentify=")  # fmt: skip


def test_without_a_token_nothing_is_answered(guarded: Guarded) -> None:
    assert guarded.get("/studies", {}).status_code == 401
    assert guarded.client.post("/dicomweb/studies", content=b"").status_code == 401
    assert guarded.client.options("/dicomweb").status_code == 200


def test_an_app_of_one_patient_sees_their_study_alone(guarded: Guarded) -> None:
    token = guarded.token("patient/ImagingStudy.rs", patient=guarded.patients["A1"])
    assert uids(guarded.get("/studies", token)) == ["1.5.1"]
    assert uids(guarded.get("/studies?PatientID=A2", token)) == []
    assert uids(guarded.get("/series", token)) == ["1.5.1"]
    assert uids(guarded.get("/instances?SOPInstanceUID=1.5.2.1.1", token)) == []
    assert guarded.get("/studies/count", token).json() == {"count": 1}
    for place in PLACES:
        assert guarded.get(f"/studies/1.5.1{place.format('1.5.1')}", token).status_code == 200, place
        other, never = (guarded.get(f"/studies/{uid}{place.format(uid)}", token) for uid in ("1.5.2", "1.5.9"))
        if place.endswith(("/series", "/instances")):
            assert other.json() == never.json() == []
        else:
            assert (other.status_code, other.json()) == (404, never.json()), place
    uri = "/wado?requestType=WADO&studyUID=1.5.2&seriesUID=1.5.2.1&objectUID=1.5.2.1.1"
    assert guarded.client.get(uri, headers=token).status_code == 404


def test_a_scope_of_other_types_sees_no_study(guarded: Guarded) -> None:
    token = guarded.token("system/Observation.rs")
    assert uids(guarded.get("/studies", token)) == []
    assert guarded.get("/studies/1.5.1", token).status_code == 404
    assert guarded.store(*slices("1.5.3"), token=token).status_code == 403


def test_who_may_only_read_stores_and_deletes_nothing(guarded: Guarded) -> None:
    token = guarded.token("system/ImagingStudy.rs")
    assert guarded.store(*slices("1.5.4"), token=token).status_code == 403
    assert guarded.client.delete("/dicomweb/studies/1.5.1", headers=token).status_code == 403
    assert guarded.get("/studies/1.5.1", token).status_code == 200


def test_an_app_of_one_patient_adds_nothing_to_the_study_of_another(guarded: Guarded) -> None:
    token = guarded.token("patient/ImagingStudy.cruds", patient=guarded.patients["A1"])
    answer = guarded.store(*slices("1.5.2", 3, patient="A2"), token=token)
    assert answer.status_code == 409
    assert {item["00081197"]["Value"][0] for item in answer.json()["00081198"]["Value"]} == {0x0124}
    assert len(guarded.get("/studies/1.5.2/instances", guarded.all).json()) == 2
    stranger = guarded.store(*slices("1.5.5", patient="A2"), token=token)
    assert stranger.status_code == 409
    assert uids(guarded.get("/studies?StudyInstanceUID=1.5.5", guarded.all)) == []


def test_a_study_without_a_patient_is_seen_by_who_sees_all(guarded: Guarded) -> None:
    guarded.store(*slices("1.5.6", patient="NOBODY"))
    token = guarded.token("patient/ImagingStudy.rs", patient=guarded.patients["A1"])
    assert guarded.get("/studies/1.5.6/metadata", token).status_code == 404
    assert guarded.get("/studies/1.5.6/metadata", guarded.all).status_code == 200


def test_a_patient_who_opted_out_is_seen_by_nobody(guarded: Guarded) -> None:
    patient = guarded._patient("A7")
    guarded.store(*slices("1.5.7", patient="A7"))
    doctor = guarded.token("user/ImagingStudy.rs", "practitioner")
    assert guarded.get("/studies/1.5.7/metadata", doctor).status_code == 200
    consent = {
        "resourceType": "Consent", "status": "active", "patient": {"reference": f"Patient/{patient}"},
        "scope": {"coding": [{"code": "patient-privacy"}]}, "category": [{"text": "privacy"}],
        "policyRule": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTOUT"}]},
    }  # fmt: skip
    assert guarded.client.post("/fhir/Consent", json=consent, headers=guarded.all).status_code == 201
    guarded.server.clock.go_on(1)
    for place in PLACES:
        answer = guarded.get(f"/studies/1.5.7{place.format('1.5.7')}", doctor)
        assert answer.status_code == 404 or answer.json() == [], place
    assert "1.5.7" not in uids(guarded.get("/studies", doctor))


def test_a_look_at_a_study_is_one_event_with_counts(guarded: Guarded) -> None:
    token = guarded.token("system/ImagingStudy.rs", "radiologist")
    frame = "/studies/1.5.1/series/1.5.1.1/instances/1.5.1.1.1/frames/1"
    for _ in range(5):
        assert guarded.get(frame, token).status_code == 200
    guarded.get("/studies/1.5.1", token, 'multipart/related; type="application/dicom"')
    guarded.later(400)
    found = [each for each in guarded.events() if "5 frames" in each]
    assert len(found) == 1
    assert "2 instances, 5 frames" in found[0]
    assert f"Patient/{guarded.patients['A1']}" in found[0]
    assert "are named" not in found[0], "objects are no patients"
    refused = guarded.get("/studies/1.5.1", guarded.token("system/Observation.rs"))
    assert refused.status_code == 404


def test_a_search_is_an_event_that_names_the_patients_found(guarded: Guarded) -> None:
    assert uids(guarded.get("/studies?PatientID=A2", guarded.all)) == ["1.5.2"]
    guarded.later(1)
    patient = f"Patient/{guarded.patients['A2']}"
    assert [each for each in guarded.events() if patient in each and "search-type" in each]


def test_pages_of_strange_origins_may_not_ask(guarded: Guarded) -> None:
    for origin, told in (*((each, each) for each in ORIGINS), ("https://evil.example", None)):
        answer = guarded.client.get("/dicomweb/studies", headers={"origin": origin, **guarded.all})
        assert answer.headers.get("access-control-allow-origin") == told
        asks = {"origin": origin, "access-control-request-method": "GET"}
        answer = guarded.client.options("/dicomweb/studies", headers=asks)
        assert answer.headers.get("access-control-allow-origin") == told

"""Emergency access: who may open what, for how long, and that it is told."""

import logging
import time
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from fhir_server.auth.users import save_user
from tests.conformance.smart.conftest import Ehr, observation, record, started

REASON = "unconscious, no relatives"


async def _open(ehr: Ehr, token: str, patient: str = "ann", reason: str = REASON) -> httpx.Response:
    headers = {"authorization": f"Bearer {token}"}
    return await ehr.http.post("/auth/emergency", json={"patient": patient, "reason": reason}, headers=headers)


@pytest.fixture
async def filled(ehr: Ehr) -> Ehr:
    token = await ehr.bearer("user/*.cruds", user=ehr.doctor)
    for resource in (
        record("Patient", "ann"),
        record("Patient", "bob"),
        observation("a", "ann"),
        observation("b", "bob"),
    ):
        await ehr.fhir(f"{resource['resourceType']}/{resource['id']}", token, "PUT", resource)
    return ehr


async def test_a_clinician_reads_one_patient_and_the_alert_is_logged(
    filled: Ehr, caplog: pytest.LogCaptureFixture
) -> None:
    ehr = filled
    narrow = await ehr.bearer("user/Patient.rs", user=ehr.doctor)
    with caplog.at_level(logging.WARNING, "fhir_server.alerts"):
        answer = await _open(ehr, narrow)
    body = answer.json()
    assert answer.status_code == 200, answer.text
    assert (body["patient"], body["scope"]) == ("ann", "patient/*.rs")
    assert 3_500 < body["expires_in"] <= 3_600
    assert "Practitioner/doc opened Patient/ann" in caplog.text and REASON not in caplog.text
    token = body["access_token"]
    assert body["access_token"] not in caplog.text
    assert (await ehr.fhir("Observation/a", token)).status_code == 200
    assert (await ehr.fhir("Observation/b", token)).status_code == 404
    assert (await ehr.fhir("Observation/a", token, "DELETE")).status_code == 403


async def test_others_and_those_without_a_reason_are_refused(filled: Ehr) -> None:
    ehr = filled
    doctor = await ehr.bearer("user/Patient.rs", user=ehr.doctor)
    assert (await _open(ehr, doctor, reason="hm")).status_code == 400
    assert (await _open(ehr, doctor, patient="nobody")).status_code == 403
    assert (await _open(ehr, doctor, patient="../x")).status_code == 400
    assert (await _open(ehr, await ehr.bearer("user/*.rs", user=ehr.ann))).status_code == 403
    assert (await _open(ehr, await ehr.bearer("system/*.rs"))).status_code == 403
    assert (await _open(ehr, "nonsense")).status_code == 401


async def test_it_ends_by_itself_and_with_the_role(tmp_path: Path) -> None:
    async with started(tmp_path, break_glass_life=2) as ehr:
        full = await ehr.bearer("user/*.cruds", user=ehr.doctor)
        await ehr.fhir("Patient/ann", full, "PUT", record("Patient", "ann"))
        first = (await _open(ehr, full)).json()["access_token"]
        assert (await ehr.fhir("Patient/ann", first)).status_code == 200
        await save_user(ehr.desk, replace(ehr.doctor, roles=("nurse",)))
        time.sleep(1.1)
        assert (await ehr.fhir("Patient/ann", first)).status_code == 401
        await save_user(ehr.desk, ehr.doctor)
        second = (await _open(ehr, full)).json()["access_token"]
        time.sleep(2.1)
        assert (await ehr.fhir("Patient/ann", second)).status_code == 401

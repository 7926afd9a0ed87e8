"""What the authorization server does is recorded too: sign-ins, tokens, and what it refused."""

from typing import Any

import pytest

from tests.conformance.audit.conftest import Audited
from tests.conformance.consent.test_consent import consent


def who(event: dict[str, Any]) -> list[str]:
    found = [agent["who"] for agent in event["agent"]]
    return [each.get("identifier", {}).get("value", each.get("reference", "")) for each in found]


async def test_a_sign_in_and_the_token_that_follows_are_recorded(audited: Audited) -> None:
    await audited.ehr.granted("launch/patient patient/*.rs", find="Able", patient="ann")
    sign_in = (await audited.events("subtype=110122"))[0]
    assert sign_in["outcome"] == "0"
    assert audited.ehr.doctor.id in who(sign_in)
    token = (await audited.events("subtype=ITI-71"))[0]
    assert token["outcome"] == "0"
    assert "public-app" in who(token)


async def test_failed_sign_ins_are_recorded_with_the_name_that_was_tried(audited: Audited) -> None:
    answer = await audited.ehr.asked("launch/patient patient/*.rs")
    location = answer.headers["location"]
    page = await audited.ehr.http.get(location)
    for _ in range(3):
        form = {"name": "mallory", "password": "x", "request": location.rpartition("=")[2]}
        page = await audited.ehr.http.post("/auth/sign-in", data=form)
    assert page.status_code == 403
    found = await audited.events("subtype=110122&outcome=4")
    assert [who(event)[2] for event in found] == ["mallory"]


async def test_a_refused_token_request_is_recorded(audited: Audited) -> None:
    answer = await audited.ehr.token({"grant_type": "authorization_code", "code": "no", "client_id": "public-app"})
    assert answer.status_code == 400
    event = (await audited.events("subtype=ITI-71&outcome=4"))[0]
    assert "public-app" in who(event)


async def test_emergency_access_is_recorded_with_the_patient_and_so_is_what_follows(audited: Audited) -> None:
    token = await audited.ehr.bearer("user/*.rs", user=audited.ehr.doctor)
    asked = {"patient": "bob", "reason": "found unconscious in the street"}
    headers = {"authorization": f"Bearer {token}"}
    answer = await audited.ehr.http.post("/auth/emergency", json=asked, headers=headers)
    assert answer.status_code == 200, answer.text
    await audited.ehr.fhir("Observation/bob-pulse", answer.json()["access_token"])
    opened = (await audited.events("subtype=110127"))[0]
    assert opened["entity"][0]["what"]["reference"] == "Patient/bob"
    assert "Practitioner/doc" in str(opened["agent"])
    read = (await audited.events("subtype=read&entity=Observation/bob-pulse&_count=1"))[0]
    assert read["agent"][2]["purposeOfUse"][0]["coding"][0]["code"] == "BTG"
    assert "unconscious" not in str(opened) + str(read)


async def test_a_consent_hides_from_no_auditor_who_opened_the_record_of_who_opted_out(
    audited: Audited, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fhir_server.auth.consents.CHECK_EVERY", 0)
    doctor = await audited.ehr.bearer("user/*.cruds", user=audited.ehr.doctor)
    assert (await audited.ehr.fhir("Observation/ann-lab", doctor)).status_code == 200
    (before,) = await audited.events("subtype=read&entity=Observation/ann-lab")
    assert (await audited.ehr.fhir("Consent/c1", doctor, "PUT", consent("OPTOUT"))).status_code == 201
    assert (await audited.ehr.fhir("Observation/ann-lab", doctor)).status_code == 404
    assert before["id"] in [each["id"] for each in await audited.events("subtype=read&patient=Patient/ann")]
    url = f"AuditEvent/{before['id']}"
    assert (await audited.ehr.fhir(url, await audited.token())).status_code == 200
    assert await audited.events("subtype=read&patient=Patient/ann", doctor) == []

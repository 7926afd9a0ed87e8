"""What a caller may not see is not used: data are required then, and nothing in the answer tells of it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fhir_server.auth.users import new_user, save_user
from tests.conformance.consent.test_consent import consent
from tests.conformance.smart.conftest import Ehr, record, started
from tests.plugins.fhir_ai.patients import UCUM, condition, outputs, vitals
from tests.plugins.only import but

ICD10 = "http://hl7.org/fhir/sid/icd-10"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
EVERYTHING = "user/*.rs"


def _now(hours: float = 0.5) -> str:
    return (datetime.now(UTC) - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _signs(**other: Any) -> list[dict[str, Any]]:
    return [
        {**each, "id": f"sign-{number}", "effectiveDateTime": _now()}
        for number, each in enumerate(vitals("Patient/eve", **other))
    ]


@pytest.fixture
async def ehr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ehr]:
    monkeypatch.setattr("fhir_server.auth.consents.CHECK_EVERY", 0)
    async with started(tmp_path, validation="off", plugins_disabled=but("fhir_ai")) as ehr:
        eve = record("Patient", "eve", birthDate="1950-01-01", gender="female")
        fibrillation = {**condition("Patient/eve", ICD10, "I48.0"), "id": "af"}
        await _put(ehr, record("Practitioner", "doc"), eve, *_signs(_8867_4=(135, "/min")), fibrillation)
        yield ehr


async def _put(ehr: Ehr, *resources: dict[str, Any]) -> None:
    token = await ehr.bearer("user/*.cruds", user=ehr.doctor)
    for each in resources:
        answer = await ehr.fhir(f"{each['resourceType']}/{each['id']}", token, "PUT", each)
        assert answer.is_success, answer.text


async def _called(ehr: Ehr, operation: str, scopes: str = EVERYTHING, **more: Any) -> dict[str, list[Any]]:
    token = await ehr.bearer(scopes, user=ehr.doctor, **more)
    answer = await ehr.fhir(f"Patient/eve/{operation}", token)
    assert answer.status_code == 200, answer.text
    return outputs(answer.json())


async def test_with_all_scopes_the_vital_signs_decide(ehr: Ehr) -> None:
    assert (await _called(ehr, "$triage"))["acuity"] == [3]
    risks = {each["method"]["coding"][0]["code"] for each in (await _called(ehr, "$risk-assess"))["risk"]}
    assert risks >= {"news2", "cha2ds2_vasc"}


async def test_without_the_scope_for_observations_data_are_required(ehr: Ehr) -> None:
    found = await _called(ehr, "$triage", "user/Patient.rs user/Condition.rs")
    assert found["status"] == ["data-required"]
    assert "acuity" not in found
    assert all("you may not see Observations" in each["because"] for each in found["missing"])


async def test_diagnoses_that_may_not_be_seen_do_not_count_as_absent(ehr: Ehr) -> None:
    found = await _called(ehr, "$risk-assess?model=cha2ds2_vasc&model=news2", "user/Patient.rs user/Observation.rs")
    assert [each["method"]["coding"][0]["code"] for each in found["risk"]] == ["news2"]
    (left,) = found["not-computed"]
    assert left["model"] == "cha2ds2_vasc"
    assert any("may not see" in note for note in found["note"])


async def test_a_scope_for_some_observations_shows_those_alone(ehr: Ehr) -> None:
    secret = [{"coding": [{"system": "urn:x", "code": "secret"}]}]
    await _put(ehr, {**_signs(_8867_4=(135, "/min"))[4], "category": secret})
    found = await _called(ehr, "$triage", "user/Patient.rs user/Condition.rs user/Observation.rs?category=urn:x|open")
    assert found["status"] == ["data-required"]
    assert "135" not in str(found)


async def test_what_a_label_restricts_is_not_used(ehr: Ehr) -> None:
    fast = _signs(_8867_4=(135, "/min"))[4]
    await _put(ehr, {**fast, "meta": {"security": [{"system": CONFIDENTIALITY, "code": "R"}]}})
    provision = {"provision": [{"type": "deny", "securityLabel": [{"system": CONFIDENTIALITY, "code": "R"}]}]}
    await _put(ehr, consent("OPTIN", provision, patient="eve"))
    found = await _called(ehr, "$triage")
    assert [each["name"] for each in found["missing"]] == ["heart_rate"]
    assert [each["state"] for each in found["missing"]] == ["missing"]
    assert "135" not in str(found)


async def test_who_opted_out_is_not_there_at_all(ehr: Ehr) -> None:
    assert (await _called(ehr, "$triage"))["acuity"] == [3]  # what was kept of this call must not be shown now
    await _put(ehr, consent("OPTOUT", patient="eve"))
    token = await ehr.bearer(EVERYTHING, user=ehr.doctor)
    for operation in ("$triage", "$risk-assess", "$maternal-assess"):
        assert (await ehr.fhir(f"Patient/eve/{operation}", token)).status_code == 404


async def test_what_is_masked_is_not_used(ehr: Ehr) -> None:
    assert (await _called(ehr, "$triage"))["acuity"] == [3]
    chief = replace(new_user("chief", roles=("admin",)), password=ehr.doctor.password)
    await save_user(ehr.desk, chief)
    token = await ehr.bearer("user/*.cruds", user=chief)
    rules = {"rules": [{"path": "Observation.value"}, {"path": "Observation.component"}]}
    headers = {"authorization": f"Bearer {token}"}
    answer = await ehr.http.put("/auth/admin/masks/clinician", json=rules, headers=headers)
    assert answer.is_success, answer.text
    found = await _called(ehr, "$triage")
    assert found["status"] == ["data-required"]
    assert "135" not in str(found)


async def test_another_patients_app_is_told_nothing(ehr: Ehr) -> None:
    await _put(ehr, record("Patient", "ann", birthDate="1980-01-01"))
    token = await ehr.bearer("patient/*.rs", user=ehr.ann, patient="ann")
    assert (await ehr.fhir("Patient/eve/$triage", token)).status_code == 404
    assert (await ehr.fhir("Patient/eve/$triage", "")).status_code == 401


async def test_nothing_is_stored_by_who_may_not_write(ehr: Ehr) -> None:
    token = await ehr.bearer(EVERYTHING, user=ehr.doctor)
    body = {"resourceType": "Parameters", "parameter": [{"name": "persist", "valueBoolean": True}]}
    assert (await ehr.fhir("Patient/eve/$triage", token, "POST", body)).status_code == 403
    assert (await ehr.fhir("Flag?_summary=count", token)).json()["total"] == 0


async def test_a_group_with_somebody_who_opted_out_is_not_there(ehr: Ehr) -> None:
    member = {"entity": {"reference": "Patient/eve"}}
    await _put(ehr, record("Group", "g", type="person", actual=True, member=[member]))
    token = await ehr.bearer(EVERYTHING, user=ehr.doctor)
    assert "Patient/eve" in (await ehr.fhir("Group/g/$risk-assess?model=news2", token)).text
    await _put(ehr, consent("OPTOUT", patient="eve"))
    answer = await ehr.fhir("Group/g/$risk-assess?model=news2", token)
    assert answer.status_code == 404
    assert "Patient/eve" not in answer.text


async def test_growth_over_visits_is_for_who_may_see_them(ehr: Ehr) -> None:
    snomed = {"coding": [{"system": "http://snomed.info/sct", "code": "77386006"}]}
    await _put(ehr, record("EpisodeOfCare", "e", status="active", type=[snomed], patient={"reference": "Patient/eve"}))
    quantity = {"value": 172, "unit": "mm[Hg]", "system": UCUM, "code": "mm[Hg]"}
    pressure = {**_signs()[3], "id": "high", "valueQuantity": quantity, "effectiveDateTime": _now(0.1)}
    await _put(ehr, pressure)
    found = await _called(ehr, "$maternal-assess", "user/Patient.rs user/EpisodeOfCare.rs")
    assert "172" not in str(found)
    assert "alert" not in found


async def test_what_users_say_of_cards_is_written_about_nobody_whom_the_call_could_not_see(tmp_path: Path) -> None:
    settings = {"fhir_cds_hooks": {"authentication": "none"}}
    async with started(tmp_path, validation="off", plugins_disabled=but("fhir_ai", "fhir_cds_hooks"),
                       plugins=settings) as ehr:  # fmt: skip
        people = [record("Patient", name, birthDate="1940-01-01", gender="female") for name in ("eve", "far")]
        await _put(ehr, record("Practitioner", "doc"), *people)
        token = await ehr.bearer("patient/*.rs", user=ehr.doctor, patient="eve")
        for about in people:
            whose = about["id"]
            ill = {**condition(f"Patient/{whose}", ICD10, "I48.0", 3000), "id": "af"}
            known = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": ill}]}
            sent = {"patient": about, "conditions": known, "medicines": None, "observations": None}
            body = {
                "hook": "patient-view", "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea", "prefetch": sent,
                "context": {"userId": "Practitioner/doc", "patientId": whose}, "fhirServer": "http://ehr.example/fhir",
                "fhirAuthorization": {"access_token": token, "token_type": "Bearer"},
            }  # fmt: skip
            service = "/cds-services/fhir-ai-patient-view"
            card, *_ = (await ehr.http.post(service, json=body)).json()["cards"]
            given = {"card": card["uuid"], "outcome": "overridden", "outcomeTimestamp": "2026-11-22T10:00:00Z"}
            assert (await ehr.http.post(f"{service}/feedback", json={"feedback": [given]})).status_code == 200
        all_ = await ehr.bearer("user/*.rs", user=ehr.doctor)
        tasks = (await ehr.fhir("Task", all_)).json()["entry"]
        assert [each["resource"]["for"]["reference"] for each in tasks] == ["Patient/eve"]

"""What a caller may not see speaks neither for nor against, and cards are read under the token of the call."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.smart.conftest import Ehr, record, started
from tests.plugins.fhir_ai.patients import condition, measured, observed, outputs
from tests.plugins.only import but

ICD10 = "http://hl7.org/fhir/sid/icd-10"
INSTANCE = "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea"


def now(resource: dict[str, Any], id_: str) -> dict[str, Any]:
    at = datetime.now(UTC) - timedelta(hours=1)
    return {**resource, "id": id_, "effectiveDateTime": at.strftime("%Y-%m-%dT%H:%M:%SZ")}


@pytest.fixture
async def ehr(tmp_path: Path) -> AsyncIterator[Ehr]:
    plugins = {"fhir_cds_hooks": {"authentication": "none"}}
    off = but("fhir_ai", "fhir_cds_hooks")
    async with started(tmp_path, validation="off", plugins=plugins, plugins_disabled=off) as ehr:
        token = await ehr.bearer("user/*.cruds", user=ehr.doctor)
        cough = {**observed("Patient/eve", "x"), "code": {"coding": [{"system": "http://snomed.info/sct",
                 "code": "267036007"}]}, "valueBoolean": True}  # fmt: skip
        for each in (
            record("Practitioner", "doc"), record("Patient", "eve", birthDate="1950-01-01", gender="female"),
            now(cough, "dyspnoea"), now(measured("Patient/eve", "98979-8", 20, "mL/min/{1.73_m2}"), "rate"),
            {**condition("Patient/eve", ICD10, "I50.9"), "id": "failure"},
        ):  # fmt: skip
            answer = await ehr.fhir(f"{each['resourceType']}/{each['id']}", token, "PUT", each)
            assert answer.is_success, answer.text
        yield ehr


def speaks(found: dict[str, list[Any]]) -> list[str]:
    return [each["name"] for each in found.get("candidate", [])]


async def test_types_that_may_not_be_seen_are_not_known_and_said_so(ehr: Ehr) -> None:
    async def called(scopes: str) -> dict[str, list[Any]]:
        answer = await ehr.fhir("Patient/eve/$diagnose-support", await ehr.bearer(scopes, user=ehr.doctor))
        assert answer.status_code == 200, answer.text
        return outputs(answer.json())

    whole = await called("user/*.rs")
    assert whole["candidate"][0]["name"] == "heart-failure"
    assert whole["candidate"][0]["ratio"] == 5.8
    without = await called("user/Patient.rs user/Observation.rs")
    failure = next(each for each in without["candidate"] if each["name"] == "heart-failure")
    assert failure["ratio"] == 1
    assert any("You may not see Condition" in each for each in without["note"])
    assert speaks(await called("user/Patient.rs user/Condition.rs")) == []


async def test_a_result_of_somebody_who_may_not_be_seen_is_judged_without_age(ehr: Ehr) -> None:
    token = await ehr.bearer("user/Observation.rs", user=ehr.doctor)
    answer = await ehr.fhir("Observation/rate/$lab-anomaly", token)
    assert answer.status_code == 200, answer.text
    assert "no analyte that is known here" in str(outputs(answer.json())["note"])
    refused = await ehr.fhir("Observation/rate/$lab-anomaly", await ehr.bearer("user/Condition.rs", user=ehr.doctor))
    assert refused.status_code == 403


async def test_cards_rest_on_what_the_token_of_the_call_may_see(ehr: Ehr) -> None:
    coding = {"system": "http://www.whocc.no/atc", "code": "M01AE01"}
    order = {"resourceType": "MedicationRequest", "id": "o", "status": "draft", "intent": "order",
             "subject": {"reference": "Patient/eve"}, "medicationCodeableConcept": {"coding": [coding]}}  # fmt: skip
    drafts = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": order}]}

    async def signed(scopes: str) -> list[str]:
        access = await ehr.bearer(scopes, user=ehr.doctor)
        body = {
            "hook": "order-sign", "hookInstance": INSTANCE, "fhirServer": "https://ehr.example/fhir",
            "fhirAuthorization": {"access_token": access},
            "context": {"userId": "Practitioner/doc", "patientId": "eve", "draftOrders": drafts},
        }  # fmt: skip
        body["fhirServer"] = str(ehr.http.base_url).rstrip("/") + "/fhir"
        answer = await ehr.http.post("/cds-services/fhir-ai-order-sign", json=body)
        assert answer.status_code == 200, answer.text
        return [each["summary"] for each in answer.json()["cards"]]

    assert len(await signed("user/*.rs")) == 2
    assert await signed("user/Patient.rs user/Observation.rs") == [
        "NSAID at a filtration rate under 30: acute kidney injury"
    ]
    assert await signed("user/Patient.rs user/Condition.rs") == ["NSAID in heart failure may worsen it"]

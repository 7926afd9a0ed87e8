"""Matches and merges go no further than the caller may see and write; what is done is in the audit."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fhir_server.auth.users import new_user, save_user
from tests.conformance.smart.conftest import PUBLIC, SERVICE, Ehr, observation, record, started
from tests.plugins.fhir_match.conftest import patient

MATCH = {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": patient()}]}
PAIR = {
    "resourceType": "Parameters",
    "parameter": [
        {"name": "source-patient", "valueReference": {"reference": "Patient/one"}},
        {"name": "target-patient", "valueReference": {"reference": "Patient/two"}},
    ],
}
WHOLE = replace(SERVICE, scopes="system/*.cruds")
FOR_AUDITORS = {"system": "http://fhir-server.org/CodeSystem/security-label", "code": "BREACH"}


@pytest.fixture
async def ehr(tmp_path: Path) -> AsyncIterator[Ehr]:
    """Two records of one patient, and one observation of each."""
    async with started(tmp_path) as ehr:
        token = await ehr.bearer("system/*.cruds", client=WHOLE)
        for resource in (
            record("Practitioner", "doc", name=[{"family": "Grey"}]), {**patient(), "id": "one"},
            {**patient("Mayer"), "id": "two"}, observation("of-one", "one"), observation("of-two", "two"),
        ):  # fmt: skip
            await put(ehr, token, resource)
        yield ehr


async def put(ehr: Ehr, token: str, resource: dict[str, Any]) -> None:
    answer = await ehr.fhir(f"{resource['resourceType']}/{resource['id']}", token, "PUT", resource)
    assert answer.is_success, answer.text


async def subject_of(ehr: Ehr, id_: str) -> str:
    token = await ehr.bearer("system/*.cruds", client=WHOLE)
    return str((await ehr.fhir(f"Observation/{id_}", token)).json()["subject"]["reference"])


async def test_an_app_for_one_patient_matches_nobody_else(ehr: Ehr) -> None:
    token = await ehr.bearer("patient/Patient.rs", user=ehr.doctor, patient="two")
    answer = (await ehr.fhir("Patient/$match", token, "POST", MATCH)).json()
    assert [each["resource"]["id"] for each in answer["entry"]] == ["two"]


async def test_without_the_scope_to_search_patients_there_is_no_match(ehr: Ehr) -> None:
    token = await ehr.bearer("user/Observation.rs", user=ehr.doctor)
    assert (await ehr.fhir("Patient/$match", token, "POST", MATCH)).status_code == 403
    assert (await ehr.fhir("Patient/$match", "", "POST", MATCH)).status_code == 401


@pytest.mark.parametrize(
    "scopes", ["system/*.rs", "system/Patient.crus system/Provenance.c", "system/*.rs system/Patient.u"]
)
async def test_who_may_not_write_all_of_it_merges_nothing(ehr: Ehr, scopes: str) -> None:
    token = await ehr.bearer(scopes, client=replace(SERVICE, scopes=scopes))
    answer = await ehr.fhir("Patient/$merge", token, "POST", PAIR)
    assert answer.status_code == 403, answer.text
    assert await subject_of(ehr, "of-one") == "Patient/one"


async def test_an_app_for_the_source_cannot_push_it_into_another_patient(ehr: Ehr) -> None:
    token = await ehr.bearer("patient/*.cruds", user=ehr.doctor, patient="one")
    answer = await ehr.fhir("Patient/$merge", token, "POST", PAIR)
    assert answer.status_code in (403, 422)
    assert await subject_of(ehr, "of-one") == "Patient/one"


async def test_who_may_write_nothing_is_told_what_to_ask_for(ehr: Ehr) -> None:
    token = await ehr.bearer("system/*.rs", client=replace(SERVICE, scopes="system/*.rs"))
    [issue] = (await ehr.fhir("Patient/$merge", token, "POST", PAIR)).json()["issue"]
    assert issue["diagnostics"] == (
        "$merge changes Patient, and your access allows no change of it: ask for a token with a scope that writes"
    )


async def test_what_a_label_hides_from_the_caller_stops_the_merge(ehr: Ehr) -> None:
    auditor = new_user("auditor", roles=("auditor", "admin"))
    await save_user(ehr.desk, auditor)
    flag = record("Flag", "hidden", status="active", code={"text": "x"}, subject={"reference": "Patient/one"})
    await put(ehr, await ehr.bearer("user/*.cruds", user=auditor), {**flag, "meta": {"security": [FOR_AUDITORS]}})
    doctor = await ehr.bearer("user/*.cruds", client=PUBLIC, user=ehr.doctor)
    assert (await ehr.fhir("Flag/hidden", doctor)).status_code in (403, 404)
    answer = await ehr.fhir("Patient/$merge", doctor, "POST", PAIR)
    assert (answer.status_code, "more refers to the source" in answer.text) == (403, True), answer.text
    assert await subject_of(ehr, "of-one") == "Patient/one"


async def test_the_consent_of_the_source_holds_for_the_merged_record(ehr: Ehr) -> None:
    token = await ehr.bearer("system/*.cruds", client=WHOLE)
    coding = {"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}
    category = {"system": "http://loinc.org", "code": "59284-0"}
    rule = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTOUT"}
    await put(ehr, token, record(
        "Consent", "no", status="active", scope={"coding": [coding]}, category=[{"coding": [category]}],
        patient={"reference": "Patient/one"}, dateTime="2020-01-01", policyRule={"coding": [rule]},
        provision={"type": "deny"},
    ))  # fmt: skip
    doctor = await ehr.bearer("user/*.rs", user=ehr.doctor)
    assert (await ehr.fhir("Observation/of-two", doctor)).status_code == 200
    assert (await ehr.fhir("Patient/$merge", token, "POST", PAIR)).status_code == 200
    await asyncio.sleep(1.1)  # a Consent takes effect within a second
    assert (await ehr.fhir("Observation/of-two", doctor)).status_code in (403, 404)


async def test_a_merge_is_in_the_audit_with_every_resource_that_it_changed(ehr: Ehr) -> None:
    token = await ehr.bearer("system/*.cruds", client=WHOLE)
    assert (await ehr.fhir("Patient/$merge", token, "POST", PAIR)).status_code == 200
    assert await subject_of(ehr, "of-one") == "Patient/two"
    user = new_user("auditor", roles=("auditor",))
    await save_user(ehr.desk, user)
    auditor = await ehr.bearer("user/*.rs", user=user)
    events = (await ehr.fhir("AuditEvent?_count=100", auditor)).json()["entry"]
    told = [each["resource"] for each in events if each["resource"]["action"] == "U"]
    named = str([entity.get("what") for each in told for entity in each.get("entity", [])])
    for key in ("Observation/of-one", "Patient/one", "Patient/two"):
        assert key in named
    assert (await ehr.fhir("Patient/$unmerge", token, "POST", PAIR)).status_code == 200
    assert await subject_of(ehr, "of-one") == "Patient/one"

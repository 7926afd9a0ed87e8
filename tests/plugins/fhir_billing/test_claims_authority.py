"""Who may claim, see and cancel what; what is done is in the audit."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fhir_server.auth.users import new_user, save_user
from tests.conformance.smart.conftest import SERVICE, Ehr, record, started
from tests.plugins.fhir_billing.insurance import cover
from tests.plugins.only import but

TODAY = datetime.now(UTC).date().isoformat()
WHOLE = replace(SERVICE, scopes="system/*.cruds")


def claim(patient: str, coverage: str, code: str = "99213", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Claim", "status": "active", "use": "claim", "type": {"coding": [{"code": "professional"}]},
        "patient": {"reference": f"Patient/{patient}"}, "created": TODAY,
        "provider": {"reference": "Organization/clinic"},
        "priority": {"coding": [{"code": "normal"}]},
        "insurance": [{"sequence": 1, "focal": True, "coverage": {"reference": f"Coverage/{coverage}"}}],
        "item": [{
            "sequence": 1, "productOrService": {"coding": [{"code": code}]}, "servicedDate": TODAY,
            "net": {"value": 130, "currency": "USD"},
        }],
        **more,
    }  # fmt: skip


@pytest.fixture
async def ehr(tmp_path: Path) -> AsyncIterator[Ehr]:
    """Two patients with a coverage each, and a claim of each."""
    async with started(tmp_path, plugins_disabled=but("fhir_billing", "fhir_subscriptions")) as ehr:
        token = await ehr.bearer("system/*.cruds", client=WHOLE)
        for resource in (
            record("Practitioner", "doc", name=[{"family": "Grey"}]), record("Organization", "clinic", name="Clinic"),
            record("Organization", "payer", name="Payer"), record("Patient", "one"), record("Patient", "two"),
            {**cover("Patient/one", "Organization/payer", "us-ppo"), "id": "cover-one"},
            {**cover("Patient/two", "Organization/payer", "us-ppo"), "id": "cover-two"},
        ):  # fmt: skip
            answer = await ehr.fhir(f"{resource['resourceType']}/{resource['id']}", token, "PUT", resource)
            assert answer.is_success, answer.text
        yield ehr


async def submitted(ehr: Ehr, token: str, *args: str, **more: Any) -> Any:
    return await ehr.fhir("Claim/$submit", token, "POST", claim(*args, **more))


async def test_patients_see_their_own_explanations_and_nobody_elses(ehr: Ehr) -> None:
    whole = await ehr.bearer("system/*.cruds", client=WHOLE)
    for who in ("one", "two"):
        assert (await submitted(ehr, whole, who, f"cover-{who}")).status_code == 200
    own = await ehr.bearer("patient/ExplanationOfBenefit.rs patient/ClaimResponse.rs", user=ehr.doctor, patient="two")
    found = (await ehr.fhir("ExplanationOfBenefit", own)).json()
    assert [each["resource"]["patient"]["reference"] for each in found["entry"]] == ["Patient/two"]
    answers = (await ehr.fhir("ClaimResponse", own)).json()
    assert [each["resource"]["patient"]["reference"] for each in answers["entry"]] == ["Patient/two"]
    ids = {each["resource"]["id"] for each in (await ehr.fhir("ExplanationOfBenefit", whole)).json()["entry"]}
    other = next(iter(ids - {found["entry"][0]["resource"]["id"]}))
    assert (await ehr.fhir(f"ExplanationOfBenefit/{other}", own)).status_code == 404
    asked = {"resourceType": "Claim", "patient": {"reference": "Patient/one"}}
    inquiry = (await ehr.fhir("Claim/$inquire", own, "POST", asked)).json()
    assert not inquiry.get("entry"), inquiry


async def test_an_app_for_one_patient_claims_on_nobody_elses_coverage(ehr: Ehr) -> None:
    scopes = "patient/Claim.crus patient/Coverage.rs patient/Patient.rs patient/ClaimResponse.rs"
    token = await ehr.bearer(scopes, user=ehr.doctor, patient="two")
    answer = await submitted(ehr, token, "two", "cover-one")
    assert answer.status_code == 422
    assert answer.json()["issue"][0]["diagnostics"] == "there is no such Coverage that you may see"
    answer = await submitted(ehr, token, "one", "cover-one")
    assert answer.json()["issue"][0]["expression"] == ["Claim.patient"]
    assert (await submitted(ehr, token, "two", "cover-two")).status_code == 200


@pytest.mark.parametrize("scopes", ["system/*.rs", "system/Patient.rs system/Coverage.rs system/ClaimResponse.cruds"])
async def test_who_may_not_make_claims_submits_none(ehr: Ehr, scopes: str) -> None:
    token = await ehr.bearer(scopes, client=replace(SERVICE, scopes=scopes))
    for path in ("Claim/$submit", "Claim/$estimate"):
        answer = await ehr.fhir(path, token, "POST", claim("one", "cover-one"))
        assert answer.status_code == 403, answer.text
    assert (await ehr.fhir("Claim/$follow-up", token, "POST", {"resourceType": "Parameters"})).status_code == 403
    assert (await ehr.fhir("Claim/$submit", "", "POST", claim("one", "cover-one"))).status_code == 401


async def test_another_patients_claim_can_be_neither_cancelled_nor_decided(ehr: Ehr) -> None:
    whole = await ehr.bearer("system/*.cruds", client=WHOLE)
    answer = (await submitted(ehr, whole, "one", "cover-one", "64999")).json()
    assert answer["outcome"] == "queued"
    scopes = "patient/Claim.crus patient/Coverage.rs patient/Patient.rs patient/ClaimResponse.rs"
    token = await ehr.bearer(scopes, user=ehr.doctor, patient="two")
    for name in ("cancel", "decide"):
        path = f"{answer['request']['reference']}/${name}"
        assert (await ehr.fhir(path, token, "POST", {"resourceType": "Parameters"})).status_code == 404
    own = await ehr.bearer(scopes, user=ehr.doctor, patient="one")
    path = f"{answer['request']['reference']}/$decide"
    refused = await ehr.fhir(path, own, "POST", {"resourceType": "Parameters"})
    assert refused.status_code == 403, "who claims does not decide"
    assert (await ehr.fhir(path, whole, "POST", {"resourceType": "Parameters"})).json()["outcome"] == "complete"


async def test_the_routes_of_payers_ask_for_a_token(ehr: Ehr) -> None:
    weak = await ehr.bearer("system/*.rs", client=replace(SERVICE, scopes="system/*.rs"))
    for path in ("/billing/x12", "/billing/payers/notifications"):
        assert (await ehr.http.post(path, content=b"{}")).status_code == 401
        headers = {"authorization": f"Bearer {weak}"}
        assert (await ehr.http.post(path, content=b"{}", headers=headers)).status_code == 403


async def test_all_that_a_submission_writes_is_in_the_audit_with_its_patient(ehr: Ehr) -> None:
    whole = await ehr.bearer("system/*.cruds", client=WHOLE)
    await submitted(ehr, whole, "one", "cover-one")
    user = new_user("auditor", roles=("auditor",))
    await save_user(ehr.desk, user)
    auditor = await ehr.bearer("user/*.rs", user=user)
    events = (await ehr.fhir("AuditEvent?_count=200", auditor)).json()["entry"]
    told = [str(each["resource"]) for each in events]
    for type_ in ("Claim/", "ClaimResponse/", "ExplanationOfBenefit/"):
        assert any(type_ in each and "Patient/one" in each and "service" in each for each in told), type_

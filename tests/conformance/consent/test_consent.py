"""Consents and security labels, as everybody but the patient meets them."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fhir_server.auth.users import new_user, save_user
from tests.conformance.smart.conftest import SYMMETRIC, Ehr, filled, observation, record, started

ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
TYPES = "http://hl7.org/fhir/resource-types"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
STAFF = "user/*.cruds"
BOTH = "Observation?subject=Patient/ann,Patient/bob"
OF_ANN = ["ann-lab", "ann-pulse"]


def consent(policy: str = "", provision: Any = None, id_: str = "c1", patient: str = "ann", **more: Any) -> Any:
    rule = {"policyRule": {"coding": [{"system": ACT, "code": policy}]}} if policy else {}
    said = {"provision": provision} if provision is not None else {}
    scope = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]}
    given = {"status": "active", "patient": {"reference": f"Patient/{patient}"}, "scope": scope, **rule, **said}
    return record("Consent", id_, category=[{"text": "privacy"}], **{**given, **more})


def exception(type_: str, **narrowing: Any) -> Any:
    return {"provision": [{"type": type_, **narrowing}]}


def actor(reference: str) -> Any:
    return [{"role": {"text": "reader"}, "reference": {"reference": reference}}]


class Staff:
    """The doctor, and what they see."""

    def __init__(self, ehr: Ehr, token: str) -> None:
        self.ehr, self.token = ehr, token

    async def put(self, *resources: Any) -> None:
        for resource in resources:
            answer = await self.ehr.fhir(f"{resource['resourceType']}/{resource['id']}", self.token, "PUT", resource)
            assert answer.status_code in (200, 201), answer.text

    async def status(self, url: str) -> int:
        return (await self.ehr.fhir(url, self.token)).status_code

    async def found(self, url: str) -> list[str]:
        answer = await self.ehr.fhir(url, self.token)
        assert answer.status_code == 200, answer.text
        return sorted(entry["resource"]["id"] for entry in answer.json().get("entry", []))

    async def decision(self, query: str = "", token: str = "") -> dict[str, Any]:
        answer = await self.ehr.fhir(f"Patient/ann/$consent-decision?{query}", token or self.token)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = {}
        for part in answer.json()["parameter"]:
            value = next((each for name, each in part.items() if name.startswith("value")), part.get("part"))
            found.setdefault(part["name"], value)
        return found


@pytest.fixture
async def staff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Staff]:
    monkeypatch.setattr("fhir_server.auth.consents.CHECK_EVERY", 0)
    async with started(tmp_path, validation="off") as ehr:
        await filled(ehr)
        yield Staff(ehr, await ehr.bearer(STAFF, user=ehr.doctor))


async def test_without_a_consent_care_goes_on(staff: Staff) -> None:
    assert await staff.found("Observation?subject=Patient/ann") == OF_ANN


async def test_who_opted_out_is_invisible_with_all_that_is_linked_to_them(staff: Staff) -> None:
    await staff.put(
        record("DocumentReference", "d", status="current", subject={"reference": "Patient/ann"},
               content=[{"attachment": {"url": "Binary/scan"}}]),
        record("Binary", "scan", contentType="text/plain", data="aGk="),
        record("Task", "t", status="requested", intent="order", focus={"reference": "Observation/ann-lab"}),
        consent("OPTOUT"),
    )  # fmt: skip
    for url in ("Patient/ann", "Observation/ann-lab", "Provenance/of-ann", "Task/t", "Binary/scan", "Consent/c1",
                "Patient/ann/_history", "Observation/ann-lab/_history/1", "Patient/ann/$everything"):  # fmt: skip
        assert await staff.status(url) == 404, url
    assert await staff.found(BOTH) == ["bob-pulse"]
    assert await staff.found("Provenance") == []
    assert await staff.found("Patient?_has:Observation:subject:code=2345-7") == []
    assert await staff.found("Binary?_id=scan,of-bob") == ["of-bob"]
    answer = await staff.ehr.fhir(f"{BOTH}&_total=accurate", staff.token)
    assert answer.json()["total"] == 1
    assert "ann" not in (await staff.ehr.fhir("_history?_count=1000", staff.token)).text.replace("annot", "")


async def test_what_is_hidden_cannot_be_changed(staff: Staff) -> None:
    await staff.put(consent("OPTOUT"))
    for method in ("PUT", "DELETE"):
        body = observation("ann-lab", "bob")
        answer = await staff.ehr.fhir("Observation/ann-lab", staff.token, method, body)
        assert answer.status_code == (403 if method == "PUT" else 204)
    token = await staff.ehr.bearer("patient/*.rs", user=staff.ehr.ann, patient="ann")
    assert (await staff.ehr.fhir("Observation/ann-lab", token)).json()["subject"]["reference"] == "Patient/ann"


async def test_patients_see_their_own_record_whatever_they_forbid(staff: Staff) -> None:
    await staff.put(consent("OPTOUT"))
    token = await staff.ehr.bearer("user/*.rs", user=staff.ehr.ann)
    assert (await staff.ehr.fhir("Patient/ann", token)).status_code == 200
    assert (await staff.ehr.fhir("Consent/c1", token)).status_code == 200


async def test_services_are_bound_by_consents_too(staff: Staff) -> None:
    await staff.put(consent("OPTOUT"))
    token = await staff.ehr.bearer("system/*.rs", SYMMETRIC)
    assert (await staff.ehr.fhir("Patient/ann", token)).status_code == 404


async def test_an_emergency_goes_before_consents_even_broken_ones(staff: Staff) -> None:
    await staff.put(consent("nonsense"))
    assert await staff.status("Patient/ann") == 404
    token = await staff.ehr.bearer("patient/*.rs", user=staff.ehr.doctor, patient="ann", emergency="unconscious")
    assert (await staff.ehr.fhir("Patient/ann", token)).status_code == 200


@pytest.mark.parametrize(
    "unreadable",
    [
        {},
        {"policy": "nonsense"},
        {"policy": "OPTIN", "provision": exception("deny", **{"class": [{"system": "urn:x", "code": "y"}]})},
        {"policy": "OPTIN", "provision": {"provision": [{"code": [{"text": "x"}]}]}},
        {"policy": "OPTIN", "provision": exception("perhaps")},
        {"policy": "OPTIN", "provision": exception("deny", period={"start": "yesterday"})},
        {"policy": "OPTIN", "provision": "deny"},
    ],
)
async def test_an_unreadable_consent_denies_and_says_so(
    staff: Staff, unreadable: Any, caplog: pytest.LogCaptureFixture
) -> None:
    await staff.put(consent(**unreadable))
    assert await staff.status("Patient/ann") == 404
    assert "Consent/c1 cannot be read and denies all" in caplog.text


async def test_a_type_at_the_root_goes_before_the_policy(staff: Staff) -> None:
    await staff.put(consent("OPTIN", {"type": "deny"}))
    assert await staff.status("Patient/ann") == 404


@pytest.mark.parametrize("status", ["draft", "rejected", "inactive", "entered-in-error"])
async def test_only_active_consents_count(staff: Staff, status: str) -> None:
    await staff.put(consent("OPTOUT", status=status))
    assert await staff.status("Patient/ann") == 200


async def test_a_consent_counts_within_its_period(staff: Staff) -> None:
    await staff.put(consent("OPTOUT", {"period": {"end": "2020-01-01"}}))
    assert await staff.status("Patient/ann") == 200
    await staff.put(consent("OPTOUT", {"period": {"start": "2020-01-01", "end": "2999-01-01"}}))
    assert await staff.status("Patient/ann") == 404


async def test_a_consent_to_research_says_nothing_about_care(staff: Staff) -> None:
    await staff.put(consent("OPTOUT", scope={"coding": [{"code": "research"}]}))
    assert await staff.status("Patient/ann") == 200


async def test_an_exception_denies_an_actor(staff: Staff) -> None:
    await staff.put(consent("OPTIN", exception("deny", actor=actor("Practitioner/other"))))
    assert await staff.status("Patient/ann") == 200
    await staff.put(consent("OPTIN", exception("deny", actor=actor("Practitioner/doc"))))
    assert await staff.status("Patient/ann") == 404


async def test_an_exception_permits_those_who_work_for_an_organization(staff: Staff) -> None:
    only = consent("OPTOUT", exception("permit", actor=actor("Organization/ward")))
    await staff.put(only)
    assert await staff.status("Observation/ann-lab") == 404
    await staff.put(
        record("PractitionerRole", "r", practitioner={"reference": "Practitioner/doc"},
               organization={"reference": "Organization/ward"}))  # fmt: skip
    assert await staff.status("Observation/ann-lab") == 200
    assert await staff.found("Observation?subject=Patient/ann") == OF_ANN


async def test_an_exception_denies_a_class_and_what_belongs_to_it(staff: Staff) -> None:
    of_type = [{"system": TYPES, "code": "Observation"}]
    await staff.put(consent("OPTIN", exception("deny", **{"class": of_type})))
    assert await staff.status("Patient/ann") == 200
    assert await staff.found(BOTH) == ["bob-pulse"]
    assert await staff.status("Provenance/of-ann") == 404


async def test_exceptions_are_nested(staff: Staff) -> None:
    sugar = {"type": "permit", "code": [{"coding": [{"system": "http://loinc.org", "code": "2345-7"}]}]}
    of_type = [{"system": TYPES, "code": "Observation"}]
    await staff.put(consent("OPTIN", exception("deny", provision=[sugar], **{"class": of_type})))
    assert await staff.found(BOTH) == ["ann-lab", "bob-pulse"]
    assert await staff.status("Observation/ann-pulse") == 404
    assert (await staff.decision("type=Observation"))["decision"] == "depends"
    assert (await staff.decision("resource=Observation/ann-lab"))["decision"] == "permit"


async def test_an_exception_is_for_some_purposes(staff: Staff) -> None:
    await staff.put(consent("OPTIN", exception("deny", purpose=[{"system": REASON, "code": "HMARKT"}])))
    assert await staff.status("Patient/ann") == 200
    await staff.put(consent("OPTIN", exception("deny", purpose=[{"system": REASON, "code": "TREAT"}])))
    assert await staff.status("Patient/ann") == 404


async def test_an_exception_is_about_data_of_a_time(staff: Staff) -> None:
    old = observation("old", "ann") | {"effectiveDateTime": "2019-05-01"}
    new = observation("new", "ann") | {"effectiveDateTime": "2025-05-01"}
    await staff.put(old, new, consent("OPTIN", exception("deny", dataPeriod={"end": "2020-01-01"})))
    assert await staff.found("Observation?subject=Patient/ann") == ["ann-lab", "ann-pulse", "new"]
    assert await staff.status("Observation/old") == 404


async def test_an_exception_is_about_labelled_data(staff: Staff) -> None:
    label = {"system": CONFIDENTIALITY, "code": "R"}
    secret = observation("secret", "ann") | {"meta": {"security": [label]}}
    await staff.put(secret, consent("OPTIN", exception("deny", securityLabel=[label])))
    assert await staff.found("Observation?subject=Patient/ann") == OF_ANN


async def test_a_denial_goes_before_the_permission_of_another_consent(staff: Staff) -> None:
    await staff.put(
        consent("OPTOUT", exception("permit", actor=actor("Practitioner/doc")), id_="c1"),
        consent("OPTIN", exception("deny", actor=actor("Practitioner/doc")), id_="c2"),
    )
    assert await staff.status("Patient/ann") == 404


async def test_the_setting_decides_where_nobody_has_said_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fhir_server.auth.consents.CHECK_EVERY", 0)
    async with started(tmp_path / "deny", validation="off", consent_default="deny") as ehr:
        await filled(ehr)
        staff = Staff(ehr, await ehr.bearer(STAFF, user=ehr.doctor))
        await staff.put(consent("OPTIN"))
        assert await staff.found("Patient") == ["ann"]
        assert await staff.found("Observation") == OF_ANN
        assert await staff.status("Patient/bob") == 404
        assert await staff.status("Practitioner/doc") == 200
    async with started(tmp_path / "off", validation="off", consent="off") as ehr:
        await filled(ehr)
        staff = Staff(ehr, await ehr.bearer(STAFF, user=ehr.doctor))
        await staff.put(consent("OPTOUT"))
        assert await staff.status("Patient/ann") == 200


async def test_a_consent_takes_effect_within_a_second_and_so_does_its_end(tmp_path: Path) -> None:
    async with started(tmp_path, validation="off") as ehr:
        await filled(ehr)
        staff = Staff(ehr, await ehr.bearer(STAFF, user=ehr.doctor))
        mine = await ehr.bearer("patient/*.cruds", user=ehr.ann, patient="ann")
        for status, expected in (("active", 404), ("inactive", 200)):
            answer = await ehr.fhir("Consent/c1", staff.token if status == "active" else mine, "PUT",
                                    consent("OPTOUT", status=status))  # fmt: skip
            assert answer.status_code in (200, 201), answer.text
            await asyncio.sleep(0.9)
            assert await staff.status("Patient/ann") == expected


async def test_a_decision_is_explained(staff: Staff) -> None:
    await staff.put(consent("OPTIN", exception("deny", actor=actor("Practitioner/other"))))
    found = await staff.decision()
    assert found["decision"] == "permit"
    texts = [next(iter(v for k, v in part.items() if k != "name")) for part in found["consent"]]
    assert texts == ["Consent/c1", "permit", "provision[0]: deny; it does not apply"]
    mine = await staff.ehr.bearer("patient/*.rs", user=staff.ehr.ann, patient="ann")
    assert (await staff.decision("actor=Practitioner/other", mine))["decision"] == "deny"
    answer = await staff.ehr.fhir("Patient/ann/$consent-decision?actor=Practitioner/other", staff.token)
    assert answer.status_code == 403
    assert (await staff.decision("purpose=TREAT&resource=Observation/ann-lab", mine))["decision"] == "permit"


async def test_labelled_data_are_seen_by_the_roles_that_may(staff: Staff) -> None:
    label = {"system": CONFIDENTIALITY, "code": "R"}
    await staff.put(
        observation("secret", "ann") | {"meta": {"security": [label]}},
        record("DocumentReference", "d", status="current", subject={"reference": "Patient/ann"},
               meta={"security": [label]}, content=[{"attachment": {"url": "Binary/scan"}}]),
        record("Binary", "scan", contentType="text/plain", data="aGk="),
    )  # fmt: skip
    assert await staff.status("Observation/secret") == 200
    service = await staff.ehr.bearer("system/*.rs", SYMMETRIC)
    for url in ("Observation/secret", "Observation/secret/_history/1", "DocumentReference/d", "Binary/scan"):
        assert (await staff.ehr.fhir(url, service)).status_code == 404, url
    assert (await staff.ehr.fhir("Observation?_id=secret&_total=accurate", service)).json()["total"] == 0
    mine = await staff.ehr.bearer("patient/*.rs", user=staff.ehr.ann, patient="ann")
    assert (await staff.ehr.fhir("Observation/secret", mine)).status_code == 200


async def test_a_put_or_patch_does_not_take_labels_off(staff: Staff) -> None:
    label, tag = {"system": CONFIDENTIALITY, "code": "R"}, {"system": "urn:x", "code": "y"}
    await staff.put(observation("secret", "ann") | {"meta": {"security": [label], "tag": [tag]}})
    await staff.put(observation("secret", "ann", "1-8"))
    after = (await staff.ehr.fhir("Observation/secret", staff.token)).json()
    assert after["meta"]["security"] == [label]
    assert after["code"]["coding"][0]["code"] == "1-8"
    assert await staff.found("Observation?_security=R") == ["secret"]
    patching = [{"op": "remove", "path": "/meta/security"}]
    headers = {"authorization": f"Bearer {staff.token}", "content-type": "application/json-patch+json"}
    answer = await staff.ehr.http.patch("/fhir/Observation/secret", json=patching, headers=headers)
    assert answer.json()["meta"]["security"] == [label]


async def test_labels_are_taken_off_by_who_is_trusted_with_that(staff: Staff) -> None:
    label = {"system": CONFIDENTIALITY, "code": "R"}
    await staff.put(observation("secret", "ann") | {"meta": {"security": [label]}})
    body = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"security": [label]}}]}
    refused = await staff.ehr.fhir("Observation/secret/$meta-delete", staff.token, "POST", body)
    assert refused.status_code == 403
    admin = await staff.ehr.bearer("system/*.cruds", SYMMETRIC, roles=("admin",))
    done = await staff.ehr.fhir("Observation/secret/$meta-delete", admin, "POST", body)
    assert done.status_code == 200, done.text
    after = (await staff.ehr.fhir("Observation/secret", staff.token)).json()
    assert "security" not in after["meta"]


async def test_an_unreadable_consent_tells_the_auditors(staff: Staff) -> None:
    """From the Consent to the DetectedIssue, by way of the alarm, the audit and its plugin."""
    auditor = replace(new_user("audrey", roles=("auditor",)), password=staff.ehr.doctor.password)
    await save_user(staff.ehr.desk, auditor)
    token = await staff.ehr.bearer("user/*.rs", user=auditor)
    await staff.put(consent("WHATEVER", id_="unreadable"))
    assert await staff.status("Patient/ann") == 404
    found: list[Any] = []
    for _ in range(100):
        answer = await staff.ehr.fhir("DetectedIssue?_count=50", token)
        assert answer.status_code == 200, answer.text
        found = [entry["resource"] for entry in answer.json().get("entry", [])]
        if any(issue["code"]["coding"][0]["code"] == "unreadable-consent" for issue in found):
            break
        await asyncio.sleep(0.1)
    assert "unreadable-consent" in [issue["code"]["coding"][0]["code"] for issue in found]
    assert await staff.found("DetectedIssue?_count=50") == [], "staff are told nothing"
    assert (await staff.ehr.fhir("Observation", token)).status_code == 403


async def test_silence_denies_what_is_of_two_patients_where_one_is_silent(tmp_path: Path) -> None:
    async with started(tmp_path, validation="off", consent_default="deny") as ehr:
        await filled(ehr)
        staff = Staff(ehr, await ehr.bearer(STAFF, user=ehr.doctor))
        actors = [{"actor": {"reference": f"Patient/{id_}"}, "status": "accepted"} for id_ in ("ann", "bob")]
        await staff.put(
            record("Appointment", "both", status="proposed", participant=actors),
            record("Appointment", "one", status="proposed", participant=actors[:1]),
            record("Task", "of-both", status="requested", intent="order", focus={"reference": "Appointment/both"}),
            consent("OPTIN"),
        )
        await asyncio.sleep(1)
        assert await staff.found("Appointment") == ["one"]
        assert await staff.status("Appointment/both") == 404
        assert await staff.status("Appointment/both/_history/1") == 404
        assert await staff.status("Task/of-both") == 404
        await staff.put(consent("OPTIN", id_="c2", patient="bob"))
        await asyncio.sleep(1)
        assert await staff.found("Appointment") == ["both", "one"]
        assert await staff.status("Appointment/both") == 200
        assert await staff.status("Task/of-both") == 200

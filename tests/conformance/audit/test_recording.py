"""What is recorded: an event for each request and each entry of a Bundle, with who, what, whose, from where, how."""

import asyncio
from base64 import b64decode
from typing import Any

from fhir_server.alerts import Alert, raise_alert
from tests.conformance.audit.conftest import Audited
from tests.conformance.smart.conftest import BASE, observation

BALP = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."


def subtype(event: dict[str, Any]) -> str:
    return str(event["subtype"][0]["code"])


def whats(event: dict[str, Any]) -> list[str]:
    return [entity["what"]["reference"] for entity in event.get("entity", []) if "reference" in entity.get("what", {})]


def user_of(event: dict[str, Any]) -> dict[str, Any]:
    return next(agent for agent in event["agent"] if agent["requestor"])


async def test_a_read_names_user_client_resource_patient_and_address(audited: Audited) -> None:
    token = await audited.ehr.bearer("user/*.rs", user=audited.ehr.doctor)
    answer = await audited.ehr.http.get(
        "/fhir/Observation/ann-pulse",
        headers={"authorization": f"Bearer {token}", "x-request-id": "r-7", "x-purpose-of-use": "TREAT",
                 "x-forwarded-for": "203.0.113.9"},
    )  # fmt: skip
    assert answer.status_code == 200
    event = (await audited.events("subtype=read&_count=1"))[0]
    assert event["meta"]["profile"] == [f"{BALP}PatientRead"]
    assert (event["action"], event["outcome"]) == ("R", "0")
    assert whats(event) == ["Observation/ann-pulse/_history/1", "Patient/ann"]
    user = user_of(event)
    assert user["who"] == {"reference": "Practitioner/doc", "identifier": {"value": audited.ehr.doctor.id}}
    assert user["role"] == [{"text": "clinician"}]
    assert user["purposeOfUse"][0]["coding"][0]["code"] == "TREAT"
    client = event["agent"][0]
    assert client["who"]["identifier"]["value"] == "public-app"
    assert client["network"] == {"address": "203.0.113.9", "type": "2"}
    assert {"what": {"identifier": {"value": "r-7"}}}.items() <= event["entity"][-1].items()


async def test_a_search_has_its_url_and_those_whom_the_answer_is_about(audited: Audited) -> None:
    token = await audited.ehr.bearer("user/*.rs", user=audited.ehr.doctor)
    await audited.ehr.fhir("Observation?code=8867-4", token)
    event = (await audited.events("subtype=search-type&entity=Patient/bob&_count=1"))[0]
    assert event["action"] == "E"
    query = next(entity["query"] for entity in event["entity"] if "query" in entity)
    assert b64decode(query).decode() == f"{BASE}/Observation?code=8867-4"
    assert set(whats(event)) == {"Patient/ann", "Patient/bob", "Patient/cay"}


async def test_a_write_is_recorded_with_the_version_that_it_made(audited: Audited) -> None:
    token = await audited.ehr.bearer("user/*.cruds", user=audited.ehr.doctor)
    await audited.ehr.fhir("Observation/bob-pulse", token, "PUT", observation("bob-pulse", "bob", "2345-7"))
    await audited.ehr.fhir("Observation/bob-pulse", token, "DELETE")
    found = await audited.events("entity=Observation/bob-pulse")
    assert [(subtype(event), whats(event)) for event in found] == [
        ("delete", ["Observation/bob-pulse/_history/3", "Patient/bob"]),
        ("update", ["Observation/bob-pulse/_history/2", "Patient/bob"]),
        ("create", ["Observation/bob-pulse/_history/1", "Patient/bob"]),
    ]
    assert [event["action"] for event in found] == ["D", "U", "C"]


async def test_each_entry_of_a_bundle_is_recorded(audited: Audited) -> None:
    since = await audited.since()
    token = await audited.ehr.bearer("user/*.cruds", user=audited.ehr.doctor)
    for kind in ("batch", "transaction"):
        entries = [
            {"request": {"method": "GET", "url": "Patient/ann"}},
            {"request": {"method": "PUT", "url": f"Observation/{kind}"}, "resource": observation(kind, "bob")},
            {"request": {"method": "DELETE", "url": "Observation/ann-lab"}},
        ]
        answer = await audited.ehr.fhir("", token, "POST", {"resourceType": "Bundle", "type": kind, "entry": entries})
        assert answer.status_code == 200, answer.text
    found = [subtype(event) for event in await audited.events(since)]
    assert sorted(found) == sorted(
        ["batch", "read", "create", "delete", "transaction", "read", "create", "delete", "search-type"]
    )


async def test_refused_requests_are_recorded(audited: Audited) -> None:
    token = await audited.ehr.bearer("patient/Observation.rs", user=audited.ehr.ann, patient="ann")
    assert (await audited.ehr.fhir("Observation/bob-pulse", token)).status_code == 404
    assert (await audited.ehr.fhir("Condition", token)).status_code == 403
    found = await audited.events("outcome=4&_count=2")
    assert [(subtype(event), event["outcomeDesc"]) for event in found] == [
        ("search-type", "HTTP 403"),
        ("read", "HTTP 404"),
    ]
    assert user_of(found[1])["who"]["reference"] == "Patient/ann"
    assert "profile" not in found[1].get("meta", {})


async def test_a_flood_of_requests_without_a_token_makes_few_rows(audited: Audited) -> None:
    before = await audited.ehr.desk.store.audit.size()
    for _ in range(50):
        assert (await audited.ehr.fhir("Patient/ann")).status_code == 401
    found = await audited.events("subtype=110132")
    assert [event["outcomeDesc"] for event in found] == ["HTTP 401"]
    assert await audited.ehr.desk.store.audit.size() - before <= 2


async def test_what_is_public_is_not_recorded(audited: Audited) -> None:
    before = await audited.ehr.desk.store.audit.size()
    assert (await audited.ehr.fhir("metadata")).status_code == 200
    assert await audited.ehr.desk.store.audit.size() == before


async def test_nothing_of_the_content_is_recorded(audited: Audited) -> None:
    rows = await audited.ehr.desk.store.audit.span(1, 1000)
    assert rows
    assert not any(b"Able" in row.body or b"8867-4" in row.body for row in rows)


async def test_an_alarm_of_the_server_is_recorded_once_with_its_patient(audited: Audited) -> None:
    alert = Alert("unreadable-consent", "default", "a consent cannot be read, and denies", "Consent/broken", "ann")
    await asyncio.to_thread(raise_alert, alert)
    raise_alert(alert)
    (event,) = await audited.events("type=110113&subtype=alarm&patient=Patient/ann")
    assert event["outcomeDesc"] == "unreadable-consent: a consent cannot be read, and denies"
    assert event["outcome"] == "8"
    assert event["entity"][0]["what"]["reference"] == "Consent/broken"


async def test_an_alarm_of_a_tenant_that_cannot_be_opened_is_recorded_with_the_default_one(audited: Audited) -> None:
    raise_alert(Alert("wrong-key", "gone", "the key does not fit"))
    (event,) = await audited.events("subtype=alarm")
    assert event["outcomeDesc"] == "wrong-key: the key does not fit (in tenant gone)"

"""AuditEvent over the FHIR API: found, read, reported, never changed; and who sees what of it."""

from typing import Any
from urllib.parse import urlsplit

import pytest

from fhir_server.interactions.conformance import Conformance
from fhir_server.settings import Settings
from tests.conformance.audit.conftest import Audited

REPORT = {
    "resourceType": "AuditEvent",
    "type": {"system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest"},
    "action": "R",
    "recorded": "2026-01-01T00:00:00Z",
    "agent": [{"who": {"reference": "Practitioner/doc"}, "requestor": True}],
    "source": {"observer": {"display": "an app"}},
    "entity": [{"what": {"reference": "Patient/bob"}}],
}


@pytest.fixture
async def busy(audited: Audited) -> Audited:
    """A server on which a little of everything has happened."""
    token = await audited.ehr.bearer("user/*.cruds", user=audited.ehr.doctor)
    for url in (
        "Patient/ann",
        "Observation?patient=ann",
        "Observation/bob-pulse",
        "Patient/nobody",
        "Patient/ann/_history",
    ):
        await audited.ehr.fhir(url, token)
    await audited.ehr.fhir("Observation/bob-pulse", token, "DELETE")
    await audited.ehr.fhir("Patient/ann")
    return audited


async def test_every_event_is_a_valid_resource(busy: Audited) -> None:
    settings = Settings()
    found = await busy.events("_count=1000")
    assert len(found) > 15

    conformance = Conformance(settings)
    _, validator = conformance.made_of(conformance.base)
    for event in found:
        issues = validator.check(event, "AuditEvent")
        assert [issue.diagnostics for issue in issues if issue.severity in ("error", "fatal")] == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("patient=Patient/bob", 4),
        ("patient=bob&action=D", 1),
        ("entity=Observation/bob-pulse", 3),
        ("entity=Patient/nobody", 1),
        ("action=R&outcome=4", 1),
        ("agent=Practitioner/doc&subtype=read", 3),
        ("agent=Practitioner/nobody", 0),
        ("subtype=http://hl7.org/fhir/restful-interaction|vread", 0),
        ("type=110113", 1),
        ("address=127.0.0.1&type=110113", 1),
        ("address=10.0.0.1", 0),
        ("date=lt2000", 0),
        ("date=ge2000&subtype=delete", 1),
        ("entity:missing=true&type=110113", 1),
        ("policy:missing=false&subtype=delete", 1),
    ],
)
async def test_events_are_found_by(busy: Audited, query: str, expected: int) -> None:
    assert len(await busy.events(query)) == expected


async def test_events_of_a_patient_are_found_through_the_compartment(busy: Audited) -> None:
    await busy.events()
    answer = await busy.ehr.fhir("Patient/ann/AuditEvent?subtype=read", await busy.token())
    assert answer.json()["total"] >= 1


async def test_pages_stay_as_they_are_while_events_are_added(busy: Audited) -> None:
    token = await busy.token()
    first = await busy.events("_count=1000")
    seen: list[str] = []
    url = "AuditEvent?_count=4"
    while url:
        bundle = (await busy.ehr.fhir(url, token)).json()
        seen += [entry["resource"]["id"] for entry in bundle.get("entry", [])]
        url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), "")
        url = url and f"AuditEvent?{urlsplit(url).query}"
    ids = [event["id"] for event in first]
    assert seen[-len(ids) :] == ids
    assert len(seen) == len(set(seen))


async def test_oldest_first(busy: Audited) -> None:
    found = await busy.events("_sort=date&_count=5")
    assert [event["id"] for event in found] == ["1", "2", "3", "4", "5"]


async def test_counting(busy: Audited) -> None:
    token = await busy.token()
    whole = await busy.events("_count=1000&subtype=create")
    answer = (await busy.ehr.fhir("AuditEvent?_summary=count&subtype=create", token)).json()
    assert answer["total"] == len(whole)
    assert "entry" not in answer


@pytest.mark.parametrize(
    "query", ["_sort=agent", "_include=AuditEvent:patient", "agent:Practitioner.name=x", "nonsense=1"]
)
async def test_what_the_audit_does_not_offer_is_refused(busy: Audited, query: str) -> None:
    assert (await busy.ehr.fhir(f"AuditEvent?{query}", await busy.token())).status_code == 400


async def test_events_are_not_counted_by_group_for_their_number_would_be_none(busy: Audited) -> None:
    answer = await busy.ehr.fhir("AuditEvent/$count-by?by=action", await busy.token())
    assert (answer.status_code, "beside the record" in answer.text) == (400, True)


async def test_an_event_is_read_with_its_one_version(busy: Audited) -> None:
    token = await busy.token()
    event = (await busy.ehr.fhir("AuditEvent/1", token)).json()
    assert (await busy.ehr.fhir("AuditEvent/1/_history/1", token)).json() == event
    assert (await busy.ehr.fhir("AuditEvent/1/_history", token)).json()["entry"][0]["resource"] == event
    for url in ("AuditEvent/1/_history/2", "AuditEvent/99999", "AuditEvent/01", "AuditEvent/x"):
        assert (await busy.ehr.fhir(url, token)).status_code == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_nobody_changes_what_was_recorded(busy: Audited, method: str) -> None:
    token = await busy.ehr.bearer("user/*.cruds", user=busy.ehr.doctor)
    answer = await busy.ehr.fhir("AuditEvent/1", token, method, REPORT | {"id": "1"})
    assert answer.status_code == 405


async def test_an_app_reports_its_own_events(busy: Audited) -> None:
    token = await busy.ehr.bearer("user/AuditEvent.c", user=busy.ehr.doctor)
    answer = await busy.ehr.fhir("AuditEvent", token, "POST", REPORT)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert answer.headers["location"].endswith(f"/AuditEvent/{made['id']}/_history/1")
    assert {name: made[name] for name in REPORT} == REPORT
    assert made["id"] in [event["id"] for event in await busy.events("patient=bob&agent=Practitioner/doc")]
    assert (await busy.ehr.fhir("AuditEvent", token, "POST", REPORT | {"recorded": "soon"})).status_code == 422


async def test_a_report_without_the_scope_is_refused(busy: Audited) -> None:
    token = await busy.ehr.bearer("user/AuditEvent.rs", user=busy.ehr.doctor)
    assert (await busy.ehr.fhir("AuditEvent", token, "POST", REPORT)).status_code == 403


async def test_an_app_of_one_patient_reports_nothing_about_another(busy: Audited) -> None:
    token = await busy.ehr.bearer("patient/AuditEvent.c", user=busy.ehr.ann, patient="ann")
    assert (await busy.ehr.fhir("AuditEvent", token, "POST", REPORT)).status_code == 403


def patients(event: dict[str, Any]) -> set[str]:
    references = [entity["what"].get("reference", "") for entity in event.get("entity", []) if "what" in entity]
    return {reference for reference in references if reference.startswith("Patient/")}


async def test_a_patient_sees_what_was_done_with_their_data_and_nobody_elses(busy: Audited) -> None:
    doctor = await busy.ehr.bearer("user/*.rs", user=busy.ehr.doctor)
    await busy.ehr.fhir("Observation?code=8867-4", doctor)  # an answer about several patients
    token = await busy.ehr.bearer("patient/*.rs", user=busy.ehr.ann, patient="ann")
    found = await busy.events("_count=1000", token)
    assert found
    for event in found:
        assert {each.split("/_history")[0] for each in patients(event)} <= {"Patient/ann"}
        assert not any("query" in entity for entity in event.get("entity", []))
        assert (await busy.ehr.fhir(f"AuditEvent/{event['id']}", token)).status_code == 200
    others = await busy.events("entity=Observation/bob-pulse")
    assert await busy.events("entity=Observation/bob-pulse", token) == []
    assert (await busy.ehr.fhir(f"AuditEvent/{others[0]['id']}", token)).status_code == 404


async def test_staff_without_the_role_see_their_own_acts(busy: Audited) -> None:
    await busy.events()
    token = await busy.ehr.bearer("user/*.rs", user=busy.ehr.doctor)
    found = await busy.events("_count=1000", token)
    assert found
    assert all(event["agent"][2]["who"]["reference"] == "Practitioner/doc" for event in found)


async def test_events_are_no_part_of_the_history_of_the_record(busy: Audited) -> None:
    token = await busy.ehr.bearer("user/*.rs system/*.rs", user=busy.ehr.doctor)
    bundle = (await busy.ehr.fhir("_history?_count=1000", token)).json()
    assert not any("AuditEvent" in entry["fullUrl"] for entry in bundle["entry"])


async def test_a_report_is_found_by_the_time_at_which_it_came(busy: Audited) -> None:
    token = await busy.ehr.bearer("user/AuditEvent.c", user=busy.ehr.doctor)
    made = (await busy.ehr.fhir("AuditEvent", token, "POST", REPORT)).json()
    found = await busy.events(f"date=ge{made['meta']['lastUpdated']}")
    assert made["id"] in [event["id"] for event in found]


async def test_metadata_says_what_can_be_done_with_events(busy: Audited) -> None:
    rest = (await busy.ehr.fhir("metadata")).json()["rest"][0]
    found = next(resource for resource in rest["resource"] if resource["type"] == "AuditEvent")
    assert {each["code"] for each in found["interaction"]} == {
        "read", "vread", "history-instance", "history-type", "create", "search-type",
    }  # fmt: skip
    assert {"tree-head", "consistency-proof"} <= {each["name"] for each in found["operation"]}


async def test_the_history_of_all_events_is_paged_newest_first_and_bounded_in_time(busy: Audited) -> None:
    token = await busy.token()
    newest = (await busy.events("_count=1"))[0]
    url, seen = f"AuditEvent/_history?_count=3&_at={newest['recorded']}", list[str]()
    for _ in range(40):
        bundle = (await busy.ehr.fhir(url, token)).json()
        assert bundle["type"] == "history"
        for entry in bundle["entry"]:
            assert entry["request"] == {"method": "POST", "url": "AuditEvent"}
            assert entry["response"]["status"] == "201 Created"
            seen.append(entry["resource"]["id"])
        link = {link["relation"]: link["url"] for link in bundle["link"]}
        if "next" not in link:
            break
        url = "AuditEvent/_history?" + urlsplit(link["next"]).query
    assert seen == [str(number) for number in range(int(newest["id"]), 0, -1)]
    since = (await busy.ehr.fhir(f"AuditEvent/_history?_since={newest['recorded']}&_count=999", token)).json()
    times = {entry["resource"]["recorded"] for entry in since["entry"]}
    assert min(times) >= newest["recorded"]


async def test_the_history_of_events_takes_what_a_history_takes_and_shows_what_one_may_see(busy: Audited) -> None:
    assert (await busy.ehr.fhir("AuditEvent/_history?outcome=0", await busy.token())).status_code == 400
    assert (await busy.ehr.fhir("AuditEvent/_history?_since=x", await busy.token())).status_code == 400
    own = await busy.ehr.bearer("patient/*.rs", user=busy.ehr.ann, patient="ann")
    bundle = (await busy.ehr.fhir("AuditEvent/_history?_count=999", own)).json()
    named = {each.split("/_history")[0] for entry in bundle["entry"] for each in patients(entry["resource"])}
    assert named == {"Patient/ann"}

"""Subscriptions on topics (R5 backport): handshake, numbers without gaps, content, filters, $status and $events."""

import time
from typing import Any

import pytest

from fhir_server.testing.server import TestServer
from tests.plugins.fhir_subscriptions.conftest import subscription
from tests.plugins.fhir_subscriptions.receiver import Receiver

URL = "http://example.org/SubscriptionTopic/admission"
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"


def topic(**trigger: Any) -> dict[str, Any]:
    """A topic: an encounter comes to be in progress."""
    query = {"previous": "Encounter?status:not=in-progress", "resultForCreate": "test-passes",
             "current": "Encounter?status=in-progress", "requireBoth": True}  # fmt: skip
    made = {"resource": "Encounter", "supportedInteraction": ["create", "update"], "queryCriteria": query, **trigger}
    return {
        "resourceType": "SubscriptionTopic", "url": URL, "status": "active", "title": "Admission",
        "resourceTrigger": [{name: value for name, value in made.items() if value}],
        "canFilterBy": [{"resource": "Encounter", "filterParameter": "patient"}],
        "notificationShape": [{"resource": "Encounter", "include": ["Encounter:patient"]}],
    }  # fmt: skip


def on_topic(receiver: Receiver, content: str = "id-only", *, filters: tuple[str, ...] = (), **extensions: int) -> Any:
    """A Subscription on it."""
    resource = subscription(receiver, URL, channel={"payload": "application/fhir+json"})
    resource["channel"]["_payload"] = {
        "extension": [{"url": f"{BACKPORT}/backport-payload-content", "valueCode": content}]
    }
    if extensions:
        resource["channel"]["extension"] = [
            {"url": f"{BACKPORT}/backport-{name.replace('_', '-')}",
             "valuePositiveInt" if name == "max_count" else "valueUnsignedInt": value}
            for name, value in extensions.items()
        ]  # fmt: skip
    if filters:
        resource["_criteria"] = {
            "extension": [{"url": f"{BACKPORT}/backport-filter-criteria", "valueString": each} for each in filters]
        }
    return resource


@pytest.fixture
def admissions(server: TestServer) -> TestServer:
    assert server.client.post("/fhir/SubscriptionTopic", json=topic()).status_code == 201
    for id_ in ("1", "2"):
        assert server.client.put(f"/fhir/Patient/{id_}", json=server.patient(id=id_)).status_code == 201
    return server


def admit(server: TestServer, patient: str = "1", status: str = "in-progress") -> str:
    reference = {"reference": f"Patient/{patient}"}
    answer = server.client.post("/fhir/Encounter", json=server.build("Encounter", status=status, subject=reference))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def subscribe(server: TestServer, resource: dict[str, Any]) -> str:
    answer = server.client.post("/fhir/Subscription", json=resource)
    assert answer.status_code == 201, answer.text
    id_ = str(answer.json()["id"])
    until = time.monotonic() + 10
    while server.client.get(f"/fhir/Subscription/{id_}").json()["status"] != "active":
        assert time.monotonic() < until
        time.sleep(0.05)
    return id_


def test_hands_are_shaken_before_it_is_active(admissions: TestServer, receiver: Receiver) -> None:
    id_ = subscribe(admissions, on_topic(receiver))
    [got] = receiver.got
    assert (got.kind, got.json["type"]) == ("handshake", "history")
    assert got.parameters["subscription"] == [{"reference": f"http://testserver/fhir/Subscription/{id_}"}]
    assert got.parameters["topic"] == [URL]
    assert got.parameters["events-since-subscription-start"] == ["0"]


def test_events_are_numbered_from_one_without_gaps(admissions: TestServer, receiver: Receiver) -> None:
    admit(admissions)
    subscribe(admissions, on_topic(receiver))
    made = [admit(admissions) for _ in range(4)]
    admit(admissions, status="planned")
    receiver.wait(lambda got: len(got) == 5)
    assert [each.numbers for each in receiver.got[1:]] == [[1], [2], [3], [4]]
    urls = [each.json["entry"][1]["fullUrl"].rpartition("/")[2] for each in receiver.got[1:]]
    assert urls == made
    assert "resource" not in receiver.got[1].json["entry"][1]


def test_an_update_into_the_state_is_an_event_and_one_within_it_is_not(
    admissions: TestServer, receiver: Receiver
) -> None:
    id_ = admit(admissions, status="planned")
    subscribe(admissions, on_topic(receiver))
    found = admissions.client.get(f"/fhir/Encounter/{id_}").json()
    for changes in ({"status": "in-progress"}, {"priority": {"text": "soon"}}):
        found = admissions.client.put(f"/fhir/Encounter/{id_}", json={**found, **changes}).json()
    admissions.settle()
    receiver.wait(lambda got: len(got) == 2)
    time.sleep(0.4)
    assert len(receiver.got) == 2
    assert receiver.got[1].json["entry"][1]["request"] == {"method": "PUT", "url": f"Encounter/{id_}"}


def test_full_resources_come_with_what_the_topic_includes(admissions: TestServer, receiver: Receiver) -> None:
    subscribe(admissions, on_topic(receiver, "full-resource"))
    id_ = admit(admissions)
    receiver.wait(lambda got: len(got) == 2)
    resources = [entry["resource"] for entry in receiver.got[1].json["entry"]]
    assert [each["resourceType"] for each in resources] == ["Parameters", "Encounter", "Patient"]
    assert resources[1]["id"] == id_


def test_empty_notifications_name_nothing(admissions: TestServer, receiver: Receiver) -> None:
    subscribe(admissions, on_topic(receiver, "empty"))
    id_ = admit(admissions)
    receiver.wait(lambda got: len(got) == 2)
    assert len(receiver.got[1].json["entry"]) == 1
    assert id_ not in receiver.got[1].body.decode()


def test_a_filter_narrows_it_and_one_that_the_topic_lacks_is_refused(
    admissions: TestServer, receiver: Receiver
) -> None:
    subscribe(admissions, on_topic(receiver, filters=("Encounter?patient=Patient/2",)))
    admit(admissions, "1")
    wanted = admit(admissions, "2")
    receiver.wait(lambda got: len(got) == 2)
    assert receiver.got[1].json["entry"][1]["fullUrl"].endswith(wanted)
    assert receiver.got[1].numbers == [1]
    refused = admissions.client.post("/fhir/Subscription", json=on_topic(receiver, filters=("Encounter?class=AMB",)))
    assert refused.status_code == 422
    assert "class" in refused.text


def test_several_events_go_in_one_notification(admissions: TestServer, receiver: Receiver) -> None:
    subscribe(admissions, on_topic(receiver, max_count=10))
    receiver.status = 500
    for _ in range(6):
        admit(admissions)
    admissions.settle()
    receiver.status = 200
    receiver.wait(lambda got: any(each.numbers[-1:] == [6] for each in got))
    assert max(len(each.numbers) for each in receiver.got) > 1


def test_a_quiet_subscription_has_a_heartbeat(admissions: TestServer, receiver: Receiver) -> None:
    subscribe(admissions, on_topic(receiver, heartbeat_period=1))
    receiver.wait(lambda got: [each.kind for each in got].count("heartbeat") >= 2)


def test_status_and_events_of_the_past_can_be_asked_for(admissions: TestServer, receiver: Receiver) -> None:
    id_ = subscribe(admissions, on_topic(receiver))
    made = [admit(admissions) for _ in range(3)]
    receiver.wait(lambda got: len(got) == 4)
    status = admissions.client.get(f"/fhir/Subscription/{id_}/$status").json()
    parts = {p["name"]: p for p in status["entry"][0]["resource"]["parameter"]}
    assert parts["type"]["valueCode"] == "query-status"
    assert parts["events-since-subscription-start"]["valueString"] == "3"
    query = {"eventsSinceNumber": "2", "eventsUntilNumber": "3", "content": "full-resource"}
    events = admissions.client.get(f"/fhir/Subscription/{id_}/$events", params=query).json()
    ids = [e["resource"]["id"] for e in events["entry"] if e["resource"]["resourceType"] == "Encounter"]
    assert ids == made[1:]
    assert admissions.client.get("/fhir/Subscription/nobody/$events").status_code == 404


def test_a_topic_that_cannot_be_used_is_refused_with_its_place(server: TestServer) -> None:
    for trigger, place in (
        ({"queryCriteria": {"current": "Encounter?nothing=1"}}, "queryCriteria.current"),
        ({"fhirPathCriteria": "Encounter.status ="}, "fhirPathCriteria"),
    ):
        answer = server.client.post("/fhir/SubscriptionTopic", json=topic(**trigger))
        assert answer.status_code == 422
        assert place in str(answer.json()["issue"])


def test_fhirpath_sees_what_was_and_what_is(server: TestServer, receiver: Receiver) -> None:
    criteria = "%previous.status = 'planned' and %current.status = 'in-progress'"
    server.client.post("/fhir/SubscriptionTopic", json=topic(queryCriteria={}, fhirPathCriteria=criteria))
    server.client.put("/fhir/Patient/1", json=server.patient(id="1"))
    id_ = admit(server, status="planned")
    subscribe(server, on_topic(receiver))
    admit(server)
    found = server.client.get(f"/fhir/Encounter/{id_}").json()
    server.client.put(f"/fhir/Encounter/{id_}", json={**found, "status": "in-progress"})
    receiver.wait(lambda got: len(got) == 2)
    assert receiver.got[1].json["entry"][1]["fullUrl"].endswith(id_)


def test_notifications_name_the_server_as_clients_do_and_not_as_local_commands(
    admissions: TestServer, receiver: Receiver
) -> None:
    admissions.client.get("http://local/fhir/Patient")
    admissions.client.post("/fhir/Subscription", json=on_topic(receiver))
    [got] = receiver.wait(lambda got: got)
    assert b"http://testserver/fhir/Subscription/" in got.body
    assert b"//local" not in got.body

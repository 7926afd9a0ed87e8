"""R4's own subscriptions by rest-hook, to a receiver that is really there."""

import time
from typing import Any

import pytest
from fhir_subscriptions.channels import NotDelivered, Parcel
from fhir_subscriptions.channels.rest_hook import RestHook
from fhir_subscriptions.settings import SubscriptionSettings
from fhir_subscriptions.wish import Wish

from fhir_server.testing.builders import build
from fhir_server.testing.server import TestServer
from tests.plugins.fhir_subscriptions.conftest import subscription
from tests.plugins.fhir_subscriptions.receiver import Receiver

JSON = {"payload": "application/fhir+json"}


def _subscribe(server: TestServer, resource: dict[str, Any], *, wait: str = "active") -> str:
    answer = server.client.post("/fhir/Subscription", json=resource)
    assert answer.status_code == 201, answer.text
    id_ = str(answer.json()["id"])
    _until(server, id_, wait)
    return id_


def _until(server: TestServer, id_: str, status: str) -> dict[str, Any]:
    until = time.monotonic() + 4
    while True:
        found: dict[str, Any] = server.client.get(f"/fhir/Subscription/{id_}").json()
        if found.get("status") == status:
            return found
        assert time.monotonic() < until, found
        time.sleep(0.05)


def test_a_bare_sign_is_posted_where_there_is_no_payload(server: TestServer, receiver: Receiver) -> None:
    _subscribe(server, subscription(receiver, "Patient?gender=female", channel={"header": ["Authorization: Bearer x"]}))
    server.client.post("/fhir/Patient", json=server.patient(gender="male"))
    server.client.post("/fhir/Patient", json=server.patient(gender="female"))
    [got] = receiver.wait(lambda got: got)
    assert (got.method, got.path, got.body) == ("POST", "/hook", b"")
    assert got.headers["authorization"] == "Bearer x"


@pytest.mark.parametrize(
    "channel",
    [
        {"header": ["X-Name: \u00fc"]},
        {"header": ["Host: inner.example"]},
        {"header": ["Transfer-Encoding: chunked"]},
        {"endpoint": "https://\u2460.\u24ea.\u24ea.\u2460/"},
        {"endpoint": "https://0177.0.0.1/"},
    ],
)
def test_what_could_never_be_sent_is_refused(server: TestServer, channel: dict[str, Any]) -> None:
    answer = server.client.post("/fhir/Subscription", json=subscription(None, "Patient?gender=female", channel=channel))
    assert answer.status_code == 422, answer.text


async def test_an_endpoint_that_cannot_be_sent_to_is_given_up_at_once() -> None:
    hook = RestHook(SubscriptionSettings())
    wish = Wish("1", endpoint="https://0177.0.0.1/")
    with pytest.raises(NotDelivered) as failed:
        await hook.send(wish, Parcel("1/1"))
    assert failed.value.final
    await hook.close()


def test_with_a_payload_the_resource_is_put_below_the_endpoint(server: TestServer, receiver: Receiver) -> None:
    _subscribe(server, subscription(receiver, "Patient?", channel=JSON))
    made = server.client.post("/fhir/Patient", json=server.patient(gender="other")).json()
    [got] = receiver.wait(lambda got: got)
    assert (got.method, got.path) == ("PUT", f"/hook/Patient/{made['id']}")
    assert got.json == made
    assert got.headers["content-type"] == "application/fhir+json"


def test_xml_goes_out_as_xml(server: TestServer, receiver: Receiver) -> None:
    _subscribe(server, subscription(receiver, "Patient?", channel={"payload": "application/fhir+xml"}))
    server.client.post("/fhir/Patient", json=server.patient())
    [got] = receiver.wait(lambda got: got)
    assert got.body.startswith(b"<?xml")
    assert b"<Patient" in got.body


def test_a_receiver_that_dies_and_comes_back_gets_all_in_order(server: TestServer, receiver: Receiver) -> None:
    _subscribe(server, subscription(receiver, "Patient?", channel=JSON))
    receiver.stop()
    made = [server.client.post("/fhir/Patient", json=server.patient()).json()["id"] for _ in range(5)]
    time.sleep(0.5)
    receiver.start()
    receiver.wait(lambda got: len(got) >= 5)
    assert [each.path.rpartition("/")[2] for each in receiver.got] == made


@pytest.mark.parametrize("status", [500, 400, 302])
def test_a_receiver_that_answers_wrongly_is_asked_again(server: TestServer, receiver: Receiver, status: int) -> None:
    _subscribe(server, subscription(receiver, "Patient?", channel=JSON))
    receiver.status = status
    server.client.post("/fhir/Patient", json=server.patient())
    receiver.wait(lambda got: len(got) >= 2)
    receiver.status = 200
    count = len(receiver.got)
    receiver.wait(lambda got: len(got) > count)
    time.sleep(0.8)
    assert len({each.headers["x-notification-id"] for each in receiver.got}) == 1
    assert all(each.path != "/elsewhere" for each in receiver.got)


def test_a_slow_receiver_does_not_hold_up_another(server: TestServer, receiver: Receiver) -> None:
    slow = Receiver(delay=3).start()
    try:
        _subscribe(server, subscription(slow, "Patient?", channel=JSON))
        _subscribe(server, subscription(receiver, "Patient?", channel=JSON))
        for _ in range(3):
            server.client.post("/fhir/Patient", json=server.patient())
        receiver.wait(lambda got: len(got) == 3, seconds=3)
    finally:
        slow.stop()


def test_one_that_fails_for_too_long_is_in_error_and_goes_on_when_asked(
    fhir_server_with: Any, receiver: Receiver
) -> None:
    settings = {"inside": True, "first_pause": 0.1, "longest_pause": 0.2, "give_up": 0.5}
    server = fhir_server_with(plugins={"fhir_subscriptions": settings}, real_time=True)
    id_ = _subscribe(server, subscription(receiver, "Patient?", channel=JSON))
    receiver.status = 503
    server.client.post("/fhir/Patient", json=server.patient())
    found = _until(server, id_, "error")
    assert "503" in found["error"]
    receiver.status = 200
    server.client.put(f"/fhir/Subscription/{id_}", json={**found, "status": "requested"})
    assert "error" not in _until(server, id_, "active")
    receiver.wait(lambda got: got[-1].method == "PUT" and receiver.status == 200)


def test_off_is_off(server: TestServer, receiver: Receiver) -> None:
    id_ = _subscribe(server, subscription(receiver, "Patient?", channel=JSON))
    found = server.client.get(f"/fhir/Subscription/{id_}").json()
    server.client.put(f"/fhir/Subscription/{id_}", json={**found, "status": "off"})
    server.settle()
    server.client.post("/fhir/Patient", json=server.patient())
    server.settle()
    time.sleep(0.5)
    assert receiver.got == []


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"criteria": "Patient?nothing=1"}, "Subscription.criteria"),
        ({"criteria": "Nothing?x=1"}, "Subscription.criteria"),
        ({"criteria": "http://example.org/no-topic"}, "Subscription.criteria"),
        ({"channel": {"type": "sms", "endpoint": "tel:1"}}, "Subscription.channel.type"),
        ({"channel": {"type": "rest-hook", "endpoint": "file:///etc/passwd"}}, "Subscription.channel.endpoint"),
        ({"channel": {"type": "rest-hook", "endpoint": "https://x.org", "header": ["A: b\r\nC: d"]}},
         "Subscription.channel.header[0]"),
        ({"channel": {"type": "rest-hook", "endpoint": "https://x.org", "payload": "text/html"}},
         "Subscription.channel.payload"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_with_its_place(server: TestServer, changes: dict[str, Any], place: str) -> None:
    answer = server.client.post("/fhir/Subscription", json={**subscription(None, "Patient?"), **changes})
    assert answer.status_code == 422
    assert place in [each for issue in answer.json()["issue"] for each in issue.get("expression", ())]


def test_endpoints_inside_are_refused_unless_the_setting_allows_them(fhir_server_app: TestServer) -> None:
    for endpoint in ("http://127.0.0.1:1/x", "http://[::1]/x", "http://169.254.169.254/x", "https://localhost/x"):
        resource = subscription(None, "Patient?", channel={"endpoint": endpoint})
        answer = fhir_server_app.client.post("/fhir/Subscription", json=resource)
        assert answer.status_code == 422, endpoint


def test_criteria_may_hold_urls(server: TestServer, receiver: Receiver) -> None:
    _subscribe(server, subscription(receiver, "Observation?code=http://loinc.org|8867-4"))
    coding = {"system": "http://loinc.org", "code": "8867-4"}
    server.client.post("/fhir/Observation", json=build("Observation", code={"coding": [coding]}))
    assert receiver.wait(lambda got: got)


def test_criteria_with_urls_are_checked_as_searches(server: TestServer) -> None:
    answer = server.client.post("/fhir/Subscription", json=subscription(None, "Observation?cod=http://loinc.org|1"))
    assert answer.status_code == 422
    assert "'cod'" in answer.json()["issue"][0]["diagnostics"]


def test_what_was_changed_while_the_plugin_was_off_is_under_nobodys_authority(
    server: TestServer, receiver: Receiver
) -> None:
    id_ = _subscribe(server, subscription(receiver, "Patient?"))
    _switch(server, on=False)
    elsewhere = subscription(receiver, "Patient?", id=id_, channel={"endpoint": f"{receiver.url}/elsewhere"})
    assert server.client.put(f"/fhir/Subscription/{id_}", json=elsewhere).status_code == 200
    _switch(server, on=True)
    server.client.post("/fhir/Patient", json=server.patient())
    _until(server, id_, "error")
    assert receiver.got == []
    assert server.client.put(f"/fhir/Subscription/{id_}", json=elsewhere).status_code == 200
    _until(server, id_, "active")


def _switch(server: TestServer, *, on: bool) -> None:
    parameters = [{"name": "name", "valueString": "fhir_subscriptions"}, {"name": "on", "valueBoolean": on}]
    body = {"resourceType": "Parameters", "parameter": parameters}
    assert server.client.post("/fhir/$plugin-switch", json=body).status_code == 200

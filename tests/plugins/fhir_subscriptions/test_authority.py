"""Whose eyes a subscription has: those of who made it, at the moment of each event."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fhir_server.auth.clients import save_client
from fhir_server.auth.grants import grants_of, revoke_grant
from tests.conformance.smart.conftest import PUBLIC, Ehr, filled, observation, started
from tests.plugins.fhir_subscriptions.conftest import FAST, subscription
from tests.plugins.fhir_subscriptions.receiver import Receiver
from tests.plugins.fhir_subscriptions.test_topics import on_topic, topic
from tests.plugins.only import but

_CODES = "http://terminology.hl7.org/CodeSystem"
_JSON = {"payload": "application/fhir+json"}


@pytest.fixture
async def ehr(tmp_path: Path) -> AsyncIterator[Ehr]:
    chosen: dict[str, Any] = {"plugins": {"fhir_subscriptions": FAST}, "plugins_disabled": but("fhir_subscriptions")}
    async with started(tmp_path, **chosen) as ehr:
        await filled(ehr)
        yield ehr


async def _subscribed(ehr: Ehr, token: str, resource: dict[str, Any], status: str = "active") -> str:
    answer = await ehr.fhir("Subscription", token, "POST", resource)
    assert answer.status_code == 201, answer.text
    id_ = str(answer.json()["id"])
    await _until(ehr, id_, status)
    return id_


async def _until(ehr: Ehr, id_: str, status: str) -> dict[str, Any]:
    reader = await ehr.bearer("user/Subscription.rs", user=ehr.doctor)
    until = time.monotonic() + 10
    while True:
        found: dict[str, Any] = (await ehr.fhir(f"Subscription/{id_}", reader)).json()
        if found.get("status") == status:
            return found
        assert time.monotonic() < until, found
        await asyncio.sleep(0.05)


async def _told(receiver: Receiver, count: int) -> list[str]:
    until = time.monotonic() + 10
    while len(receiver.got) < count:
        assert time.monotonic() < until, [each.path for each in receiver.got]
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)
    return [each.path.rpartition("/")[2] for each in receiver.got]


async def _observe(ehr: Ehr, id_: str, patient: str) -> None:
    token = await ehr.bearer("user/*.cruds", user=ehr.doctor)
    answer = await ehr.fhir(f"Observation/{id_}", token, "PUT", observation(id_, patient))
    assert answer.status_code in (200, 201), answer.text


async def test_nobody_subscribes_without_a_token(ehr: Ehr, receiver: Receiver) -> None:
    assert (await ehr.fhir("Subscription", "", "POST", subscription(receiver, "Patient?"))).status_code == 401


async def test_a_subscription_to_what_was_not_granted_is_refused(ehr: Ehr, receiver: Receiver) -> None:
    token = await ehr.bearer("user/Subscription.cruds user/Patient.rs", user=ehr.doctor)
    answer = await ehr.fhir("Subscription", token, "POST", subscription(receiver, "Observation?"))
    assert answer.status_code in (403, 422)
    assert "Observation" in answer.text


async def test_an_app_of_one_patient_is_told_of_that_patient_alone_and_numbers_have_no_gaps(
    ehr: Ehr, receiver: Receiver
) -> None:
    token = await ehr.bearer("user/Subscription.cruds patient/Observation.rs", user=ehr.doctor, patient="ann")
    id_ = await _subscribed(ehr, token, subscription(receiver, "Observation?", channel=_JSON))
    for number, patient in enumerate(("bob", "ann", "bob", "ann")):
        await _observe(ehr, f"o{number}", patient)
    assert await _told(receiver, 2) == ["o1", "o3"]
    status = (await ehr.fhir(f"Subscription/{id_}/$status", token)).json()
    parts = {p["name"]: p for p in status["entry"][0]["resource"]["parameter"]}
    assert parts["events-since-subscription-start"]["valueString"] == "2"


async def test_it_outlives_its_token_and_ends_when_the_user_revokes_the_app(ehr: Ehr, receiver: Receiver) -> None:
    token = await ehr.bearer("user/Subscription.cruds user/Observation.rs", user=ehr.doctor)
    before = {grant.id for grant in await grants_of(ehr.desk, ehr.doctor.id)}
    id_ = await _subscribed(ehr, token, subscription(receiver, "Observation?", channel=_JSON))
    grants = await grants_of(ehr.desk, ehr.doctor.id)
    [lasting] = [grant for grant in grants if grant.context.get("lasting")]
    [first] = [grant for grant in grants if grant.id in before and "Subscription.cruds" in grant.scopes]
    await revoke_grant(ehr.desk, first.id)
    await _observe(ehr, "still", "ann")
    assert await _told(receiver, 1) == ["still"]
    await revoke_grant(ehr.desk, lasting.id)
    await _observe(ehr, "no-more", "ann")
    found = await _until(ehr, id_, "error")
    assert "authority" in found["error"]
    assert len(receiver.got) == 1


async def test_it_ends_with_its_app(ehr: Ehr, receiver: Receiver) -> None:
    token = await ehr.bearer("user/Subscription.cruds user/Observation.rs", user=ehr.doctor)
    id_ = await _subscribed(ehr, token, subscription(receiver, "Observation?", channel=_JSON))
    await save_client(ehr.desk, replace(PUBLIC, active=False))
    await _observe(ehr, "no-more", "ann")
    await _until(ehr, id_, "error")
    assert receiver.got == []


async def test_who_opts_out_is_told_of_no_more(ehr: Ehr, receiver: Receiver) -> None:
    token = await ehr.bearer("user/Subscription.cruds user/Observation.rs", user=ehr.doctor)
    await _subscribed(ehr, token, subscription(receiver, "Observation?", channel=_JSON))
    await _observe(ehr, "before", "bob")
    assert await _told(receiver, 1) == ["before"]
    consent = {
        "resourceType": "Consent", "id": "out", "status": "active", "patient": {"reference": "Patient/bob"},
        "scope": {"coding": [{"system": f"{_CODES}/consentscope", "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "policyRule": {"coding": [{"system": f"{_CODES}/v3-ActCode", "code": "OPTOUT"}]},
    }  # fmt: skip
    writer = await ehr.bearer("user/*.cruds", user=ehr.doctor)
    assert (await ehr.fhir("Consent/out", writer, "PUT", consent)).status_code == 201
    await asyncio.sleep(1.2)
    admin = await ehr.bearer("system/Observation.cruds")
    await ehr.fhir("Observation/after", admin, "PUT", observation("after", "bob"))
    await _observe(ehr, "ann-later", "ann")
    assert await _told(receiver, 2) == ["before", "ann-later"]


async def test_who_may_read_a_subscription_is_shown_no_more_of_its_events_than_they_may_see(
    ehr: Ehr, receiver: Receiver
) -> None:
    owner = await ehr.bearer("user/*.cruds", user=ehr.doctor)
    every = topic(queryCriteria=None, resource="Observation")
    shape = {"resource": "Observation", "include": ["Observation:patient"]}
    every |= {"canFilterBy": [{"filterParameter": "patient"}], "notificationShape": [shape]}
    answer = await ehr.fhir("SubscriptionTopic", owner, "POST", every)
    assert answer.status_code == 201, answer.text
    id_ = await _subscribed(ehr, owner, on_topic(receiver, "full-resource"))
    await _observe(ehr, "seen", "ann")
    await _observe(ehr, "hidden", "bob")
    narrow = await ehr.bearer("user/Subscription.rs patient/Observation.rs", user=ehr.doctor, patient="ann")
    until = time.monotonic() + 10
    while '"event-number","valueString":"2"' not in (await ehr.fhir(f"Subscription/{id_}/$events", owner)).text:
        assert time.monotonic() < until
        await asyncio.sleep(0.05)
    mine = (await ehr.fhir(f"Subscription/{id_}/$events", owner)).text
    theirs = (await ehr.fhir(f"Subscription/{id_}/$events", narrow)).text
    assert "Observation/hidden" in mine and "Patient/bob" in mine
    assert "Observation/seen" in theirs
    assert '"resourceType":"Patient"' not in theirs
    assert "hidden" not in theirs and "bob" not in theirs

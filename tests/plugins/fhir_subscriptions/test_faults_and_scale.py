"""Power cuts, many subscriptions, tenants, and who may see what."""

import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.testing.builders import build
from tests.integration.running import running, start
from tests.plugins.fhir_subscriptions.conftest import FAST, subscription
from tests.plugins.fhir_subscriptions.receiver import Receiver
from tests.plugins.fhir_subscriptions.test_topics import on_topic, topic

_ROUNDS = 4
_MANY = 2_000
_JSON = {"payload": "application/fhir+json"}


@pytest.mark.slow
def test_kill_9_loses_no_event_and_numbers_none_twice(tmp_path: Path, receiver: Receiver) -> None:
    config = tmp_path / "config.toml"
    lines = [f"{name} = {json.dumps(value)}" for name, value in FAST.items()]
    config.write_text("[plugins.fhir_subscriptions]\n" + "\n".join(lines))
    flags = ("--config", str(config))
    written: list[str] = []
    server = start(tmp_path / "data", *flags)
    httpx.post(f"{server.base}/SubscriptionTopic", json=topic(), timeout=30)
    httpx.put(f"{server.base}/Patient/1", json=build("Patient", id="1"), timeout=30)
    made = httpx.post(f"{server.base}/Subscription", json=on_topic(receiver), timeout=30)
    assert made.status_code == 201, made.text
    receiver.wait(lambda got: got, seconds=20)
    for number in range(_ROUNDS):
        for _ in range(10):
            written.append(httpx.post(f"{server.base}/Encounter", json=build("Encounter"), timeout=30).json()["id"])
        time.sleep(0.07 * number)
        server.kill()
        server = start(tmp_path / "data", *flags)
    try:
        receiver.wait(lambda got: _numbers(got) >= set(range(1, len(written) + 1)), seconds=40)
        by_number: dict[int, set[str]] = {}
        for each in receiver.got:
            for number, entry in zip(each.numbers, each.json["entry"][1:], strict=True):
                by_number.setdefault(number, set()).add(entry["fullUrl"].rpartition("/")[2])
        assert [by_number[number] for number in sorted(by_number)] == [{id_} for id_ in written]
    finally:
        server.stop()


def _numbers(got: list[Any]) -> set[int]:
    return {number for each in got if each.body for number in each.numbers}


@pytest.mark.slow
def test_many_subscriptions_are_looked_up_not_evaluated_one_by_one(
    tmp_path: Path, receiver: Receiver, record_property: Any
) -> None:
    """All but one wait for other patients; half of them on a topic."""
    config = tmp_path / "config.toml"
    config.write_text("[plugins.fhir_subscriptions]\ninside = true\n")
    with (
        running(tmp_path / "data", "--config", str(config)) as running_one,
        httpx.Client(base_url=running_one.base, timeout=120) as http,
    ):
        http.post("/SubscriptionTopic", json=topic())
        http.put("/Patient/wanted", json=build("Patient", id="wanted"))
        wanted = subscription(receiver, "Observation?subject=Patient/wanted", channel=_JSON)
        assert http.post("/Subscription", json=wanted).status_code == 201
        quiet = _seconds_until_told(http, receiver)
        for first in range(0, _MANY, 1_000):
            entries = [_one(receiver, number) for number in range(first, first + 1_000)]
            bundle = {"resourceType": "Bundle", "type": "batch", "entry": entries}
            answer = http.post("/", json=bundle)
            assert {each["response"]["status"][:3] for each in answer.json()["entry"]} == {"201"}
        busy = _seconds_until_told(http, receiver)
        print(f"told after {quiet * 1000:.0f} ms alone, {busy * 1000:.0f} ms beside {_MANY} others")
        assert busy < 5 * quiet + 0.5


def _one(receiver: Receiver, number: int) -> dict[str, Any]:
    if number % 2:
        resource = subscription(receiver, f"Observation?subject=Patient/p{number}")
    else:
        resource = on_topic(receiver, filters=(f"Encounter?patient=Patient/p{number}",))
    resource["id"] = f"s{number}"
    return {"resource": resource, "request": {"method": "PUT", "url": f"Subscription/s{number}"}}


def _seconds_until_told(http: httpx.Client, receiver: Receiver) -> float:
    """Write observations until one is told of again; the first ones wait for what was there before."""
    took = []
    for _ in range(5):
        before = len([each for each in receiver.got if each.method == "PUT"])
        began = time.perf_counter()
        resource = build("Observation", subject={"reference": "Patient/wanted"})
        assert http.post("/Observation", json=resource).status_code == 201
        receiver.wait(lambda got, n=before: len([e for e in got if e.method == "PUT"]) > n, seconds=180)
        took.append(time.perf_counter() - began)
    return min(took)

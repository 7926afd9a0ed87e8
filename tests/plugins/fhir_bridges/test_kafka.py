"""Kafka, on librdkafka's own mock cluster of three brokers."""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer

from tests.plugins.fhir_bridges.world import World, put, there, until


@pytest.fixture
def brokers() -> Iterator[str]:
    """The addresses of a cluster that lives as long as the client that made it."""
    owner = Producer({"test.mock.num.brokers": 3, "bootstrap.servers": "none"})
    found = owner.list_topics(timeout=10).brokers.values()
    yield ",".join(f"{broker.host}:{broker.port}" for broker in found)
    del owner


def read(brokers: str, topic: str, count: int, within: float = 20) -> list[Any]:
    """Return so many messages of a topic."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "test", "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    found: list[Any] = []
    deadline = time.monotonic() + within
    while len(found) < count and time.monotonic() < deadline:
        found += [each for each in consumer.consume(100, 0.5) if each.error() is None]
    consumer.close()
    return found


def write(brokers: str, topic: str, *messages: tuple[bytes, list[tuple[str, bytes]]]) -> None:
    producer = Producer({"bootstrap.servers": brokers})
    for value, headers in messages:
        producer.produce(topic, value, key=b"one key, one partition", headers=headers)
    assert producer.flush(10) == 0


def out(brokers: str, **more: Any) -> dict[str, Any]:
    return {"name": "k", "kind": "kafka", "url": brokers, "topic": "out", "start": "beginning", **more}


def into(brokers: str) -> dict[str, Any]:
    return {"name": "k", "kind": "kafka", "url": brokers, "topic": "in"}


def patient(id_: str, family: str = "A") -> bytes:
    return json.dumps({"resourceType": "Patient", "id": id_, "name": [{"family": family}]}).encode()


async def test_changes_arrive_keyed_by_their_resource(brokers, tmp_path):
    world = World(tmp_path, out=[out(brokers)])
    async with world.server() as client:
        for number in range(20):
            await put(client, str(number % 4), f"F{number}")
        found = await asyncio.to_thread(read, brokers, "out", 20)
    assert len(found) == 20
    events = [json.loads(each.value()) for each in found]
    assert {each.key() for each in found} == {f"default:Patient/{number}".encode() for number in range(4)}
    for id_ in range(4):
        versions = [event["id"] for event in events if event["subject"] == f"Patient/{id_}"]
        assert versions == [f"Patient/{id_}/_history/{version}" for version in range(1, 6)]


async def test_the_binary_form_ends_a_resource_with_a_tombstone(brokers, tmp_path):
    world = World(tmp_path, out=[out(brokers, mode="binary")])
    async with world.server() as client:
        await put(client, "1")
        await client.delete("/fhir/Patient/1")
        found = await asyncio.to_thread(read, brokers, "out", 2)
    assert json.loads(found[0].value())["id"] == "1"
    headers = [dict(each.headers()) for each in found]
    assert headers[0]["ce_id"] == b"Patient/1/_history/1"
    assert headers[0]["content-type"] == b"application/fhir+json"
    assert found[1].value() is None
    assert headers[1]["ce_type"] == b"org.hl7.fhir.resource.deleted"


async def test_brokers_that_are_away_get_everything_later(tmp_path):
    world = World(tmp_path, out=[out("127.0.0.1:1", timeout=1)])
    async with world.server() as client:
        await put(client, "1")
        await asyncio.sleep(2)
    owner = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "none"})
    broker = next(iter(owner.list_topics(timeout=10).brokers.values()))
    again = World(tmp_path, out=[out(f"{broker.host}:{broker.port}")])
    again.stores = world.stores
    async with again.server():
        assert len(await asyncio.to_thread(read, f"{broker.host}:{broker.port}", "out", 1)) == 1


async def test_messages_come_in_once_even_when_they_come_twice(brokers, tmp_path):
    world = World(tmp_path, into=[into(brokers)])
    event = {"specversion": "1.0", "id": "e1", "source": "lab", "type": "org.hl7.fhir.resource.updated"}
    twice = (json.dumps({**event, "data": json.loads(patient("e", "Event"))}).encode(), [])
    made = json.dumps({"resourceType": "Patient", "name": [{"family": "Made"}]}).encode()
    binary = [("ce_specversion", b"1.0"), ("ce_id", b"e2"), ("ce_source", b"lab"), ("ce_type", b"x.created")]
    write(brokers, "in", (patient("a"), []), (made, binary), twice, (made, binary), twice)
    write(brokers, "in", (patient("last"), []))
    async with world.server() as client:
        await there(client, "last")
        assert (await there(client, "e"))["meta"]["versionId"] == "1"
        total = (await client.get("/fhir/Patient?family=Made&_summary=count")).json()["total"]
        assert total == 1
    async with world.server() as client:  # the group goes on where it was
        await asyncio.sleep(2)
        assert (await client.get("/fhir/Patient?family=Made&_summary=count")).json()["total"] == 1


async def test_a_deletion_comes_in_and_own_events_do_not(brokers, tmp_path):
    world = World(tmp_path, into=[into(brokers)])
    deleted = {
        "specversion": "1.0", "id": "e9", "source": "lab", "type": "org.hl7.fhir.resource.deleted",
        "subject": "Patient/a",
    }  # fmt: skip
    own = {"specversion": "1.0", "id": "x", "source": "http://fhir.example/fhir", "type": "a.updated"}
    own["data"] = json.loads(patient("own"))
    messages = [patient("a"), json.dumps(deleted).encode(), json.dumps(own).encode(), patient("last")]
    write(brokers, "in", *((each, []) for each in messages))
    async with world.server() as client:
        await there(client, "last")
        assert (await client.get("/fhir/Patient/a")).status_code == 410
        assert (await client.get("/fhir/Patient/own")).status_code == 404


async def test_what_is_no_resource_is_put_aside_and_the_next_is_taken(brokers, tmp_path):
    world = World(tmp_path, into=[into(brokers)])
    wrong = [b"no json", b"[]", b'{"resourceType":"Patient","id":"bad","birthDate":"yesterday"}', b""]
    write(brokers, "in", *((each, []) for each in wrong), (patient("last"), []))
    async with world.server() as client:
        await there(client, "last")
        store = await world.stores.open("default")
        refused = await store.records.find("fhir_bridges.refused", limit=10)
        assert len(refused) == 4
        assert {each.value["bridge"] for each in refused} == {"k"}
        assert any("birthDate" in str(each.value["reason"]) for each in refused)


async def test_a_loop_between_two_servers_ends(brokers, tmp_path):
    """What comes in goes out again with another source; the same content makes no new version, so it ends there."""
    first = World(tmp_path / "a", out=[out(brokers, topic="ab")], into=[{**into(brokers), "topic": "ba", "group": "a"}])
    second = World(
        tmp_path / "b", out=[out(brokers, topic="ba")], into=[{**into(brokers), "topic": "ab", "group": "b"}]
    )
    second.settings = second.settings.model_copy(update={"base_url": "http://other.example/fhir"})
    async with first.server() as one, second.server() as other:
        await put(one, "1", "Round")
        await there(other, "1")
        await asyncio.sleep(3)
        assert (await one.get("/fhir/Patient/1")).json()["meta"]["versionId"] == "1"
        assert (await other.get("/fhir/Patient/1")).json()["meta"]["versionId"] == "1"
    await until(lambda: True)

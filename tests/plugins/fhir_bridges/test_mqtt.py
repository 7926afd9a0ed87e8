"""MQTT, on a real mosquitto."""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from tests.integration.running import free_port
from tests.plugins.fhir_bridges.world import World, mosquitto, program, put, there

pytestmark = pytest.mark.skipif(not program("mosquitto"), reason="mosquitto is not installed")


def out(port: int, **more: Any) -> dict[str, Any]:
    return {
        "name": "m", "kind": "mqtt", "url": f"mqtt://127.0.0.1:{port}", "start": "beginning", "timeout": 3, **more,
    }  # fmt: skip


def into(port: int) -> dict[str, Any]:
    return {"name": "m", "kind": "mqtt", "url": f"mqtt://127.0.0.1:{port}", "topic": "lab/#", "group": "inbox"}


async def received(port: int, topic: str, count: int, ready: asyncio.Event) -> list[aiomqtt.Message]:
    found: list[aiomqtt.Message] = []
    async with aiomqtt.Client("127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5) as client:
        await client.subscribe(topic, qos=1)
        ready.set()
        async for message in client.messages:
            found.append(message)
            if len(found) == count:
                break
    return found


@pytest.mark.parametrize("mode", ["structured", "binary"])
async def test_changes_are_published_under_their_resource(tmp_path: Path, mode: str):
    with mosquitto(tmp_path / "broker") as port:
        ready = asyncio.Event()
        reading = asyncio.create_task(received(port, "fhir/#", 6, ready))
        await asyncio.wait_for(ready.wait(), 5)
        async with World(tmp_path / "a", out=[out(port, mode=mode)]).server() as client:
            for number in range(6):
                await put(client, str(number % 2), f"F{number}")
            found = await asyncio.wait_for(reading, 15)
    assert {str(each.topic) for each in found} == {"fhir/default/Patient/0", "fhir/default/Patient/1"}
    bodies = [json.loads(each.payload) for each in found]
    if mode == "structured":
        assert bodies[0]["id"] == "Patient/0/_history/1"
        assert bodies[0]["data"]["resourceType"] == "Patient"
    else:
        assert bodies[0]["resourceType"] == "Patient"
        assert dict(found[0].properties.UserProperty)["id"] == "Patient/0/_history/1"
        assert found[0].properties.ContentType == "application/fhir+json"


async def test_a_broker_that_comes_back_gets_what_was_written_meanwhile(tmp_path: Path):
    port = free_port()
    async with World(tmp_path / "a", out=[out(port)]).server() as client:
        await put(client, "1")
        await asyncio.sleep(0.5)
        with mosquitto(tmp_path / "broker", port):
            ready = asyncio.Event()
            reading = asyncio.create_task(received(port, "fhir/#", 1, ready))
            await ready.wait()
            found = await asyncio.wait_for(reading, 15)
    assert json.loads(found[0].payload)["id"] == "Patient/1/_history/1"


async def test_messages_come_in_also_those_of_the_time_away(tmp_path: Path):
    world = World(tmp_path / "a")
    with mosquitto(tmp_path / "broker") as port:
        world = World(tmp_path / "a", into=[into(port)])
        event = {"specversion": "1.0", "id": "1", "source": "lab", "type": "x.updated"}
        event["data"] = {"resourceType": "Patient", "name": [{"family": "Made"}]}
        async with aiomqtt.Client("127.0.0.1", port) as sender:
            async with world.server() as client:
                await sender_ready(sender, client)
                for _ in range(3):
                    await sender.publish("lab/x", json.dumps(event), qos=1)
                await sender.publish("lab/x", b'{"resourceType":"Patient","id":"a"}', qos=1)
                await there(client, "a")
                assert (await client.get("/fhir/Patient?family=Made&_summary=count")).json()["total"] == 1
            await sender.publish("lab/x", b'{"resourceType":"Patient","id":"away"}', qos=1)
            async with world.server() as client:
                await there(client, "away")


async def sender_ready(sender: aiomqtt.Client, client: Any) -> None:
    """Publish until the server has its session."""
    async with asyncio.timeout(15):
        while not (await client.get("/fhir/Patient/first")).is_success:
            await sender.publish("lab/x", b'{"resourceType":"Patient","id":"first"}', qos=1)
            await asyncio.sleep(0.2)

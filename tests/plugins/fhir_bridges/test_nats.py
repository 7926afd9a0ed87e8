"""NATS JetStream, on a real nats-server."""

import asyncio
import json
from pathlib import Path
from typing import Any

import nats
import pytest

from tests.plugins.fhir_bridges.world import World, nats_server, program, put, there

pytestmark = pytest.mark.skipif(not program("nats-server"), reason="nats-server is not installed")


def out(port: int, **more: Any) -> dict[str, Any]:
    return {
        "name": "n", "kind": "nats", "url": f"nats://127.0.0.1:{port}", "start": "beginning", "timeout": 3, **more,
    }  # fmt: skip


def into(port: int) -> dict[str, Any]:
    return {"name": "n", "kind": "nats", "url": f"nats://127.0.0.1:{port}", "topic": "lab.>", "group": "inbox"}


@pytest.mark.parametrize("mode", ["structured", "binary"])
async def test_changes_are_in_the_stream_once(tmp_path: Path, mode: str):
    with nats_server(tmp_path / "n") as port:
        connection = await nats.connect(f"nats://127.0.0.1:{port}")
        stream = connection.jetstream()
        await stream.add_stream(name="changes", subjects=["fhir.>"])
        world = World(tmp_path / "a", out=[out(port, mode=mode)])
        async with world.server() as client:
            for number in range(10):
                await put(client, str(number))
            await asyncio.sleep(0.5)
        store = await world.stores.open("default")
        from fhir_server.feed.records import CURSORS
        from fhir_server.storage.base import RecordChange

        # as if the server had been killed before it wrote how far it came
        await store.commit((), [RecordChange(CURSORS.name, "fhir_bridges.out.n", None)])
        async with world.server() as client:
            await put(client, "last")
            pulled = await stream.pull_subscribe("fhir.>", durable="test")
            found = []
            async with asyncio.timeout(15):
                while not any("last" in str(each.headers["Nats-Msg-Id"]) for each in found):
                    found += await pulled.fetch(1, timeout=10)
            assert (await stream.stream_info("changes")).state.messages == 11
        await connection.close()
    assert {each.subject for each in found} == {"fhir.default.Patient"}
    assert found[0].headers["Nats-Msg-Id"] == "default:Patient/0/_history/1"
    first = json.loads(found[0].data)
    assert (first["data"] if mode == "structured" else first)["resourceType"] == "Patient"


async def test_without_a_stream_the_changes_wait_and_the_reason_is_told(tmp_path: Path):
    with nats_server(tmp_path / "n") as port:
        world = World(tmp_path / "a", out=[out(port)])
        async with world.server() as client:
            for number in range(5):
                await put(client, str(number))
            await asyncio.sleep(0.5)
            from fhir_server.feed.desk import status

            told = (await status(await world.stores.open("default")))[0]
            assert "no stream" in told["failing"]["reason"]
            connection = await nats.connect(f"nats://127.0.0.1:{port}")
            await connection.jetstream().add_stream(name="changes", subjects=["fhir.>"])
            async with asyncio.timeout(15):
                while (await connection.jetstream().stream_info("changes")).state.messages < 5:
                    await asyncio.sleep(0.05)
            await connection.close()


async def test_messages_come_in_once_also_after_the_server_went_away(tmp_path: Path):
    with nats_server(tmp_path / "n") as port:
        connection = await nats.connect(f"nats://127.0.0.1:{port}")
        stream = connection.jetstream()
        await stream.add_stream(name="lab", subjects=["lab.>"])
        event = {"specversion": "1.0", "id": "1", "source": "lab", "type": "x.updated"}
        event["data"] = {"resourceType": "Patient", "name": [{"family": "Made"}]}
        for _ in range(3):
            await stream.publish("lab.x", json.dumps(event).encode())
        bundle = {
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": [
                {"resource": {"resourceType": "Patient", "id": "b"}, "request": {"method": "PUT", "url": "Patient/b"}}
            ],
        }
        await stream.publish("lab.x", json.dumps(bundle).encode())
        world = World(tmp_path / "a", into=[into(port)])
        async with world.server() as client:
            await there(client, "b")
            assert (await client.get("/fhir/Patient?family=Made&_summary=count")).json()["total"] == 1
        await stream.publish("lab.x", b'{"resourceType":"Patient","id":"away"}')
        async with world.server() as client:
            await there(client, "away")
        await connection.close()

"""WebSockets by a real client, on a real server with two workers; mails by a real mail server."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiosmtpd.controller import Controller
from websockets.asyncio.client import connect

from fhir_server.testing.builders import build
from tests.integration.running import Running, free_port, running
from tests.plugins.fhir_subscriptions.conftest import FAST, subscription
from tests.plugins.fhir_subscriptions.test_topics import on_topic, topic


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    config = tmp_path / "config.toml"
    lines = [f"{name} = {json.dumps(value)}" for name, value in FAST.items()]
    config.write_text("[plugins.fhir_subscriptions]\n" + "\n".join(lines))
    with running(tmp_path / "data", "--config", str(config), "--workers", "2") as server:
        yield server


async def _active(http: httpx.AsyncClient, resource: dict[str, Any]) -> str:
    answer = await http.post("/Subscription", json=resource)
    assert answer.status_code == 201, answer.text
    id_ = str(answer.json()["id"])
    until = time.monotonic() + 20
    while (await http.get(f"/Subscription/{id_}")).json()["status"] != "active":
        assert time.monotonic() < until
        await asyncio.sleep(0.05)
    return id_


@pytest.fixture
async def http(server: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.base, timeout=30) as client:
        yield client


def _address(statement: dict[str, Any]) -> str:
    [found] = [each["valueUri"] for each in statement["rest"][0]["extension"] if "websocket" in each["url"]]
    return str(found)


async def test_a_bound_socket_is_pinged(http: httpx.AsyncClient) -> None:
    id_ = await _active(http, subscription(None, "Patient?", channel={"type": "websocket"}))
    address = _address((await http.get("/metadata")).json())
    async with connect(address) as socket:
        await socket.send(f"bind {id_}")
        assert await asyncio.wait_for(socket.recv(), 10) == f"bound {id_}"
        await http.post("/Patient", json=build("Patient"))
        assert await asyncio.wait_for(socket.recv(), 10) == f"ping {id_}"
        await socket.send("bind nobody")
        assert "no subscription" in str(await asyncio.wait_for(socket.recv(), 10))
        await socket.send("nonsense")
        assert str(await asyncio.wait_for(socket.recv(), 10)).startswith("error")


async def test_a_token_binds_to_a_topic_and_several_sockets_have_all_events(http: httpx.AsyncClient) -> None:
    await http.post("/SubscriptionTopic", json=topic())
    await http.put("/Patient/1", json=build("Patient", id="1"))
    resource = on_topic(None, "id-only")  # type: ignore[arg-type]  # the endpoint is that of the conftest
    resource["channel"] |= {"type": "websocket"}
    del resource["channel"]["endpoint"]
    id_ = await _active(http, resource)
    parts = (await http.get(f"/Subscription/{id_}/$get-ws-binding-token")).json()["parameter"]
    said = {part["name"]: next(value for name, value in part.items() if name != "name") for part in parts}
    async with connect(said["websocket-url"]) as one, connect(said["websocket-url"]) as two:
        for socket in (one, two):
            await socket.send(f"bind-with-token {said['token']}")
            first = json.loads(await asyncio.wait_for(socket.recv(), 10))
            assert "handshake" in str(first["entry"][0])
        for _ in range(3):
            await http.post("/Encounter", json=build("Encounter"))
        for socket in (one, two):
            events = [json.loads(await asyncio.wait_for(socket.recv(), 10)) for _ in range(3)]
            numbers = [
                part["valueString"]
                for event in events
                for each in event["entry"][0]["resource"]["parameter"]
                for part in each.get("part", ())
                if part["name"] == "event-number"
            ]
            assert numbers == ["1", "2", "3"]
        await one.send("bind-with-token wrong")
        assert "not good" in str(await asyncio.wait_for(one.recv(), 10))


class _Box:
    def __init__(self) -> None:
        self.mails: list[Any] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.mails.append(envelope)
        return "250 OK"


def test_a_mail_names_nobody(fhir_server_with: Any) -> None:
    box = _Box()
    controller = Controller(box, hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        settings = {**FAST, "smtp": f"smtp://127.0.0.1:{controller.port}", "mail_from": "server@example.org"}
        server = fhir_server_with(plugins={"fhir_subscriptions": settings}, real_time=True)
        channel = {"type": "email", "endpoint": "mailto:nurse@example.org", "payload": "application/fhir+json"}
        made = server.client.post("/fhir/Subscription", json=subscription(None, "Patient?", channel=channel))
        assert made.status_code == 201, made.text
        server.client.post("/fhir/Patient", json=server.patient(name=[{"family": "Secretive"}]))
        until = time.monotonic() + 15
        while not box.mails:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert box.mails[0].rcpt_tos == ["nurse@example.org"]
        assert b"Secretive" not in box.mails[0].content
    finally:
        controller.stop()


def test_mail_is_refused_where_there_is_no_mail_server(fhir_server_app: Any) -> None:
    channel = {"type": "email", "endpoint": "mailto:nurse@example.org"}
    answer = fhir_server_app.client.post("/fhir/Subscription", json=subscription(None, "Patient?", channel=channel))
    assert answer.status_code == 422
    assert "no mail" in answer.text

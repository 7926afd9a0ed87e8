"""Webhooks: a real receiver that checks signatures, dies, and comes back."""

import asyncio
import hmac
import json
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.integration.running import free_port
from tests.plugins.fhir_bridges.world import SECRET, World, put, until


class Receiver:
    """An HTTP server that notes what it took; `status` is what it answers with."""

    def __init__(self) -> None:
        self.port = free_port()
        self.taken: list[tuple[dict[str, str], bytes]] = []
        self.status = 204
        self.refuses = ""

    @contextmanager
    def running(self) -> Iterator[None]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"] or 0))
                refused = receiver.refuses and receiver.refuses in self.headers["webhook-id"]
                status = 500 if refused else receiver.status
                if status < 300:
                    receiver.taken.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.taken]


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


def bridge(receiver: Receiver, **more: Any) -> dict[str, Any]:
    url = f"http://127.0.0.1:{receiver.port}/hook"
    return {"name": "hook", "kind": "webhook", "url": url, "secret": SECRET, "timeout": 2, **more}


async def test_each_change_is_posted_signed_as_a_cloudevent(receiver, tmp_path):
    world = World(tmp_path, out=[bridge(receiver, start="beginning")])
    with receiver.running():
        async with world.server() as client:
            await put(client, "1", "A")
            await put(client, "1", "B")
            await client.delete("/fhir/Patient/1")
            await until(lambda: len(receiver.taken) == 3)
    events = [json.loads(body) for _, body in receiver.taken]
    assert [event["type"].rpartition(".")[2] for event in events] == ["created", "updated", "deleted"]
    first = events[0]
    assert first["specversion"] == "1.0"
    assert (first["source"], first["subject"]) == ("http://fhir.example/fhir", "Patient/1")
    assert first["id"] == "Patient/1/_history/1"
    assert first["data"]["name"][0]["family"] == "A"
    assert first["data"]["meta"]["versionId"] == "1"
    assert "data" not in events[2]
    for headers, body in receiver.taken:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        expected = b64encode(hmac.new(SECRET.encode(), signed, sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{expected}"
        assert headers["content-type"].startswith("application/cloudevents+json")


async def test_the_binary_form_has_the_resource_as_body_and_attributes_as_headers(receiver, tmp_path):
    world = World(tmp_path, out=[bridge(receiver, mode="binary", authorization="Bearer x")])
    with receiver.running():
        async with world.server() as client:
            await asyncio.sleep(0.1)
            await put(client, "1")
            await until(lambda: receiver.taken)
    headers, body = receiver.taken[0]
    assert json.loads(body)["resourceType"] == "Patient"
    assert headers["content-type"] == "application/fhir+json"
    assert headers["ce-id"] == "Patient/1/_history/1"
    assert headers["ce-type"] == "org.hl7.fhir.resource.created"
    assert headers["authorization"] == "Bearer x"


async def test_only_names_go_out_where_that_is_wanted_and_only_of_some_types(receiver, tmp_path):
    world = World(tmp_path, out=[bridge(receiver, content="id", types=["Patient"], start="beginning")])
    with receiver.running():
        async with world.server() as client:
            (
                await client.post("/fhir/Organization", json={"resourceType": "Organization", "name": "x"})
            ).raise_for_status()
            await put(client, "1", "Secret")
            await until(lambda: receiver.taken)
            await asyncio.sleep(0.1)
    assert len(receiver.taken) == 1
    assert b"Secret" not in receiver.taken[0][1]


async def test_a_receiver_that_dies_and_comes_back_gets_everything_in_order(receiver, tmp_path):
    world = World(tmp_path, out=[bridge(receiver, start="beginning")])
    async with world.server() as client:
        with receiver.running():
            for number in range(10):
                await put(client, str(number), "1")
            await until(lambda: len(receiver.taken) == 10)
        for version in range(2, 5):
            for number in range(10):
                await put(client, str(number), str(version))
        await asyncio.sleep(0.5)
        with receiver.running():
            await until(lambda: len(set(receiver.ids)) == 40)
    in_order = list(dict.fromkeys(receiver.ids))
    for number in range(10):
        mine = [id_ for id_ in in_order if id_.startswith(f"default:Patient/{number}/")]
        assert mine == [f"default:Patient/{number}/_history/{version}" for version in range(1, 5)]


async def test_a_server_that_stops_in_an_outage_goes_on_after_its_start(receiver, tmp_path):
    world = World(tmp_path, out=[bridge(receiver, start="beginning")])
    async with world.server() as client:
        for number in range(5):
            await put(client, str(number))
        await asyncio.sleep(0.2)
    with receiver.running():
        async with world.server():
            await until(lambda: len(set(receiver.ids)) == 5)


async def test_what_a_receiver_never_takes_does_not_stop_the_rest(receiver, tmp_path):
    receiver.refuses = "Patient/3/"
    world = World(tmp_path, out=[bridge(receiver, start="beginning")])
    with receiver.running():
        async with world.server() as client:
            for number in range(10):
                await put(client, str(number))
            await until(lambda: len(set(receiver.ids)) == 9)
            receiver.refuses = ""
            await until(lambda: len(set(receiver.ids)) == 10)


async def test_a_receiver_that_does_not_answer_is_given_up_in_time(receiver, tmp_path):
    import socket

    with socket.create_server(("127.0.0.1", receiver.port)):
        world = World(tmp_path, out=[bridge(receiver, start="beginning", timeout=0.3)])
        async with world.server() as client:
            await put(client, "1")
            await asyncio.sleep(1)
            assert (await client.get("/fhir/Patient/1")).is_success


def test_a_webhook_without_a_good_secret_is_refused_at_the_start(receiver, tmp_path):
    from fhir_server.app import create_app
    from fhir_server.plugins import PluginFault

    with pytest.raises(PluginFault, match="a secret of at least 24 characters"):
        create_app(World(tmp_path, out=[{**bridge(receiver), "secret": "short"}]).settings)

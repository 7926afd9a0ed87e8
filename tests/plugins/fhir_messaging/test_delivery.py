"""Responses to asynchronous messages reach their endpoint, which may be away for a while; senders have authority."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from fhir_messaging.delivery import may_be_sent_to
from fhir_messaging.settings import MessagingSettings

from tests.conformance.smart.conftest import SERVICE, Ehr, started
from tests.plugins.fhir_messaging.conftest import INSTALLED, ORDER, code_of, message, patient, request

SENDER = replace(SERVICE, scopes="system/MessageHeader.c system/Task.cru")


class Receiver(BaseHTTPRequestHandler):
    """An endpoint that answers 503 as often as it is told to."""

    heard: list[tuple[str, dict[str, Any]]] = []
    failing = 0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        status = 200
        if Receiver.failing:
            Receiver.failing, status = Receiver.failing - 1, 503
        else:
            Receiver.heard.append((self.headers.get("authorization", ""), json.loads(body)))
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[str]:
    """The URL of a receiver on a real socket."""
    Receiver.heard, Receiver.failing = [], 0
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/in"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
async def ehr(tmp_path: Path, endpoint: str) -> AsyncIterator[Ehr]:
    plugins = {"fhir_messaging": {"endpoints": {endpoint: "the token"}}}
    async with started(tmp_path, plugins=plugins, plugins_dir=INSTALLED) as ehr:
        yield ehr


def asynchronous(url: str, bundle: dict[str, Any]) -> dict[str, Any]:
    parts = [
        {"name": "content", "resource": bundle}, {"name": "async", "valueBoolean": True},
        {"name": "response-url", "valueUrl": url},
    ]  # fmt: skip
    return {"resourceType": "Parameters", "parameter": parts}


async def heard(count: int) -> None:
    for _ in range(250):
        if len(Receiver.heard) >= count:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{len(Receiver.heard)} of {count} responses came")


async def test_a_response_is_delivered_to_its_endpoint(ehr: Ehr, endpoint: str) -> None:
    token = await ehr.bearer(SENDER.scopes, client=SENDER)
    sent = message(ORDER, request(), patient())
    answer = await ehr.fhir("$process-message", token, "POST", asynchronous(f"{endpoint}/responses", sent))
    assert (answer.status_code, "entry" in answer.json()) == (202, False)
    await heard(1)
    authorization, bundle = Receiver.heard[0]
    assert authorization == "Bearer the token"
    assert code_of(bundle) == "ok"
    assert bundle["entry"][0]["resource"]["response"]["identifier"] == sent["entry"][0]["resource"]["id"]


async def test_a_receiver_that_is_away_gets_it_when_it_is_back(ehr: Ehr, endpoint: str) -> None:
    Receiver.failing = 1
    token = await ehr.bearer(SENDER.scopes, client=SENDER)
    sent = asynchronous(endpoint, message(ORDER, request(), patient()))
    assert (await ehr.fhir("$process-message", token, "POST", sent)).status_code == 202
    await heard(1)
    assert Receiver.failing == 0


async def test_nothing_is_sent_to_other_endpoints(ehr: Ehr, endpoint: str) -> None:
    token = await ehr.bearer(SENDER.scopes, client=SENDER)
    for url in ("http://169.254.169.254/x", f"{endpoint}side", endpoint.replace("/in", "/out"), "file:///etc/passwd"):
        sent = asynchronous(url, message(ORDER, request(), patient()))
        answer = await ehr.fhir("$process-message", token, "POST", sent)
        assert (answer.status_code, "endpoints" in answer.text) == (400, True), url
    assert (await ehr.fhir("Task?_summary=count", await ehr.bearer("system/*.rs", client=SERVICE))).json()["total"] == 0


@pytest.mark.parametrize(
    ("url", "may"),
    [("https://a.example/fhir", True), ("https://a.example/fhir/x", True), ("https://a.example/fhirx", False),
     ("https://a.example/fhir/../admin", False), ("https://b@a.example/fhir", False), ("", False),
     ("https://a.example.evil.example/fhir", False), ("http://[", False)],
)  # fmt: skip
def test_an_endpoint_lies_below_one_of_the_settings(url: str, may: bool) -> None:
    settings = MessagingSettings(endpoints={"https://a.example/fhir": ""})  # type: ignore[dict-item]
    assert may_be_sent_to(settings, url) is may


async def test_a_message_does_no_more_than_its_sender_may(ehr: Ehr) -> None:
    sent = message(ORDER, request(), patient())
    for scopes in ("system/*.rs", "system/Task.cru", "system/MessageHeader.c"):
        client = replace(SERVICE, scopes=scopes)
        answer = await ehr.fhir("$process-message", await ehr.bearer(scopes, client=client), "POST", sent)
        assert answer.status_code == 403, (scopes, answer.text)
    assert (await ehr.fhir("$process-message", "", "POST", sent)).status_code == 401
    token = await ehr.bearer(SENDER.scopes, client=SENDER)
    assert code_of((await ehr.fhir("$process-message", token, "POST", sent)).json()) == "ok", "a refusal is not kept"


async def test_nobody_is_answered_what_was_for_another_sender(ehr: Ehr) -> None:
    sent = message(ORDER, request(), patient())
    first = await ehr.fhir("$process-message", await ehr.bearer(SENDER.scopes, client=SENDER), "POST", sent)
    other = replace(SENDER, id="signing-app")
    second = await ehr.fhir("$process-message", await ehr.bearer(SENDER.scopes, client=other), "POST", sent)
    assert second.json()["id"] != first.json()["id"]

"""Messages as the protocol has them, and what is no message."""

import json
from typing import Any

import httpx
import pytest

from tests.plugins.fhir_mcp.conftest import sent, told


@pytest.fixture
async def http(url: str) -> Any:
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        yield client


async def test_initialize_settles_on_a_version(http: httpx.AsyncClient) -> None:
    for wanted, given in (("2025-06-18", "2025-06-18"), ("2025-11-25", "2025-11-25"), ("1999-01-01", "2025-11-25")):
        params = {"protocolVersion": wanted, "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
        found = (await sent(http, "initialize", params)).json()["result"]
        assert (found["protocolVersion"], found["capabilities"]) == (given, {"tools": {"listChanged": False}})


async def test_ping_notifications_and_methods_that_there_are_not(http: httpx.AsyncClient) -> None:
    assert (await sent(http, "ping")).json() == {"jsonrpc": "2.0", "id": 1, "result": {}}
    told = await sent(http, "notifications/initialized", id=None)
    assert (told.status_code, told.content) == (202, b"")
    assert (await sent(http, "resources/list")).json()["error"]["code"] == -32601


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"{", -32700), (b"[]", -32600), (b"5", -32600), (b'{"jsonrpc":"1.0","id":1,"method":"ping"}', -32600),
     (b'{"jsonrpc":"2.0","id":{},"method":"ping"}', -32600), (b'{"jsonrpc":"2.0","id":1,"method":5}', -32600),
     (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}', -32600),
     (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600), (b"\xff\xfe", -32700)],
)  # fmt: skip
async def test_what_is_no_message_is_refused(http: httpx.AsyncClient, body: bytes, code: int) -> None:
    answer = await http.post("/mcp", content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [("nothing", {}, "no tool"), ("fhir_read", {"type": "Patient"}, "needs id"), ("fhir_read", [], "object"),
     ("fhir_read", {"type": "Patient", "id": 5}, "id"), ("fhir_search", {"type": "Patient", "count": 0}, "count"),
     ("fhir_search", {"type": "Patient", "count": True}, "count"), ("fhir_search", {"type": "x" * 100}, "type"),
     ("fhir_read", {"type": "Patient", "id": "a", "colour": "red"}, "colour"),
     ("fhir_create", {"resource": {}}, "no tool")],
)  # fmt: skip
async def test_wrong_arguments_are_named(http: httpx.AsyncClient, name: str, arguments: Any, said: str) -> None:
    answer = (await sent(http, "tools/call", {"name": name, "arguments": arguments})).json()
    if arguments == []:  # falsy: no arguments
        said = "needs"
    assert (answer["error"]["code"], said in answer["error"]["message"]) == (-32602, True)


async def test_other_methods_versions_formats_and_origins_are_refused(http: httpx.AsyncClient) -> None:
    assert (await http.get("/mcp")).status_code == 405
    assert (await http.delete("/mcp")).status_code == 405
    assert (await sent(http, "ping", headers={"mcp-protocol-version": "1999-01-01"})).status_code == 400
    assert (await sent(http, "ping", headers={"accept": "text/html"})).status_code == 406
    assert (await sent(http, "ping", headers={"origin": "https://evil.example"})).status_code == 403
    allowed = await sent(http, "ping", headers={"origin": "https://assistant.example"})
    assert allowed.headers["access-control-allow-origin"] == "https://assistant.example"
    asks = {"origin": "https://assistant.example", "access-control-request-method": "POST"}
    assert "Mcp-Session-Id" in (await http.options("/mcp", headers=asks)).headers["access-control-allow-headers"]


async def test_narratives_are_left_out(http: httpx.AsyncClient) -> None:
    assert "div" not in await told(http, "fhir_read", type="Patient", id="ann")
    assert json.loads(await told(http, "fhir_history", type="Patient", id="ann"))["entries"][0]["id"] == "ann"


@pytest.mark.parametrize("settings", [{"max_result": 1_500, "max_count": 15, "max_body": 5_000}], indirect=True)
async def test_results_and_requests_have_limits(http: httpx.AsyncClient) -> None:
    page = json.loads(await told(http, "fhir_search", type="Observation", query="_count=1000"))
    assert 0 < len(page["entries"]) < 15
    assert "do not fit" in page["cut"]
    summary = await told(http, "patient_summary", patient="ann")
    assert len(summary) <= 1_500
    too_large = await sent(http, "tools/call", {"name": "fhir_read", "arguments": {"type": "x" * 6_000}})
    assert too_large.status_code == 413


@pytest.mark.parametrize("settings", [{"summary_resources": 5, "summary_lines": 2}], indirect=True)
async def test_a_summary_says_what_it_leaves_out(http: httpx.AsyncClient) -> None:
    summary = await told(http, "patient_summary", patient="ann")
    assert "Observation (5, the newest 2):" in summary
    assert "more than 5 resources" in summary


@pytest.mark.parametrize("settings", [{"allow_writes": True}], indirect=True)
async def test_writes_are_there_where_the_setting_allows_them(http: httpx.AsyncClient) -> None:
    tools = {each["name"]: each for each in (await sent(http, "tools/list")).json()["result"]["tools"]}
    assert tools["fhir_delete"]["annotations"]["destructiveHint"] is True
    made = json.loads(
        await told(http, "fhir_create", resource={"resourceType": "Patient", "name": [{"family": "New"}]})
    )
    changed = json.loads(await told(http, "fhir_update", resource={**made, "active": True}, version="1"))
    assert changed["meta"]["versionId"] == "2"
    stale = await sent(http, "tools/call", {"name": "fhir_update", "arguments": {"resource": made, "version": "1"}})
    assert stale.json()["result"]["content"][0]["text"].startswith("412")
    wrong = {"name": "fhir_create", "arguments": {"resource": {"resourceType": "Patient", "gender": "blue"}}}
    assert (await sent(http, "tools/call", wrong)).json()["result"]["isError"] is True
    assert await told(http, "fhir_delete", type="Patient", id=made["id"]) == f"deleted Patient/{made['id']}"

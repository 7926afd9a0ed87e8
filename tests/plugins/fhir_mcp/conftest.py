"""A server on a socket with some records, and messages to its MCP endpoint."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from fhir_server.app import create_app
from fhir_server.settings import Settings

ANN = {
    "resourceType": "Patient", "id": "ann", "name": [{"family": "Able", "given": ["Ann"]}], "birthDate": "1980-03-12",
    "gender": "female", "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Ann</div>'},
}  # fmt: skip


def pulse(number: int, patient: str = "ann") -> dict[str, Any]:
    """Return an observation."""
    return {
        "resourceType": "Observation", "id": f"pulse-{number}", "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4", "display": "Heart rate"}]},
        "subject": {"reference": f"Patient/{patient}"}, "effectiveDateTime": f"2024-01-{number + 1:02d}",
        "valueQuantity": {"value": 60 + number, "unit": "/min"},
    }  # fmt: skip


@asynccontextmanager
async def on_socket(app: Any) -> AsyncIterator[str]:
    """Serve an application on a free port; give its URL."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on"))
        serving = asyncio.create_task(server.serve([listening]))
        while not server.started:
            assert not serving.done(), serving.exception()
            await asyncio.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


@pytest.fixture
def settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Settings of the plugin; a test gives its own by `@pytest.mark.parametrize("settings", [...], indirect=True)`."""
    return dict(getattr(request, "param", {}))


@pytest.fixture
async def url(tmp_path: Path, settings: dict[str, Any]) -> AsyncIterator[str]:
    """The URL of a server without authorization."""
    app = create_app(
        Settings(data_dir=tmp_path, durable=False, auth="none", demo=False, plugins={"fhir_mcp": settings},
                 cors_origins=("https://assistant.example",))
    )  # fmt: skip
    async with on_socket(app) as url, httpx.AsyncClient(base_url=url) as http:
        resources = [ANN, *(pulse(number) for number in range(20))]
        entries = [
            {"resource": each, "request": {"method": "PUT", "url": f"{each['resourceType']}/{each['id']}"}}
            for each in resources
        ]
        answer = await http.post("/fhir", json={"resourceType": "Bundle", "type": "transaction", "entry": entries})
        assert answer.status_code == 200, answer.text
        yield url


async def sent(http: httpx.AsyncClient, method: str, params: Any = None, **more: Any) -> httpx.Response:
    """Send one message."""
    headers = {"accept": "application/json, text/event-stream", **more.pop("headers", {})}
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params, **more}
    return await http.post(
        "/mcp", json={name: value for name, value in message.items() if value is not None}, headers=headers
    )


async def told(http: httpx.AsyncClient, tool: str, **arguments: Any) -> str:
    """Return the text of a tool's result."""
    answer = (await sent(http, "tools/call", {"name": tool, "arguments": arguments})).json()
    assert not answer["result"]["isError"], answer
    return str(answer["result"]["content"][0]["text"])

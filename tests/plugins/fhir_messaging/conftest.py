"""A server that processes messages, and messages."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from fhir_server.app import create_app
from fhir_server.settings import Settings

INSTALLED = Path(__file__).parent / "installed"
ORDER = {"eventCoding": {"system": "http://lab.example/events", "code": "order"}}
REFRESH = {"eventUri": "http://lab.example/refresh"}
ADMIT = {"eventCoding": {"system": "http://adt.example", "code": "A01"}}


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server without authorization."""
    plugins = {"fhir_messaging": {"handler_timeout": 1}}
    app = create_app(
        Settings(data_dir=tmp_path, durable=False, auth="none", plugins_dir=INSTALLED, demo=False, plugins=plugins)
    )
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test/fhir") as client:
            yield client


def patient(number: int = 1, **more: Any) -> dict[str, Any]:
    """Return a patient of another server."""
    identifier = [{"system": "http://adt.example/mrn", "value": str(number)}]
    return {
        "resourceType": "Patient",
        "id": f"p{number}",
        "identifier": identifier,
        "name": [{"family": "Able"}],
        **more,
    }


def request(note: str = "", id_: str = "r1") -> dict[str, Any]:
    """Return an order."""
    found = {"resourceType": "ServiceRequest", "id": id_, "status": "active", "intent": "order",
             "subject": {"reference": "Patient/p1"}}  # fmt: skip
    return {**found, "note": [{"text": note}]} if note else found


def message(event: dict[str, Any], *resources: dict[str, Any], id_: str = "", envelope: str = "") -> dict[str, Any]:
    """Return a message whose first resource is its focus."""
    base = "http://other.example/fhir"
    urls = [f"{base}/{each['resourceType']}/{each['id']}" for each in resources]
    header = {
        "resourceType": "MessageHeader", "id": id_ or str(uuid4()), **event,
        "source": {"endpoint": f"{base}/$process-message"},
        "focus": [{"reference": url} for url in urls[:1]],
    }  # fmt: skip
    if not urls:
        del header["focus"]
    entries = [(f"urn:uuid:{uuid4()}", header), *zip(urls, resources, strict=True)]
    return {
        "resourceType": "Bundle", "id": envelope or str(uuid4()), "type": "message",
        "timestamp": "2026-01-01T00:00:00Z",
        "entry": [{"fullUrl": url, "resource": resource} for url, resource in entries],
    }  # fmt: skip


async def processed(http: httpx.AsyncClient, bundle: dict[str, Any], status: int = 200) -> dict[str, Any]:
    """Send a message; return the answer."""
    answer = await http.post("/$process-message", json=bundle)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


def code_of(answer: dict[str, Any]) -> str:
    """Return the code of a response."""
    return str(answer["entry"][0]["resource"]["response"]["code"])


async def count(http: httpx.AsyncClient, what: str) -> int:
    """Return how many resources there are."""
    separator = "&" if "?" in what else "?"
    return int((await http.get(f"/{what}{separator}_summary=count")).json()["total"])

"""A server with bulk data, and a client of it that waits for its jobs."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.app import create_app
from fhir_server.settings import Settings
from tests.builders import bundle, entry

NEEDED = ("fhir_bulk", "fhir_match")
OTHERS = tuple(point.name for point in entry_points(group="fhir_server.plugins") if point.name not in NEEDED)
ASYNC = {"Prefer": "respond-async", "Accept": "application/fhir+json"}


@dataclass(frozen=True, slots=True)
class Bulk:
    """A client that exports and reads what came."""

    http: httpx.AsyncClient

    async def put(self, *resources: dict[str, Any]) -> None:
        """Write resources under their ids."""
        entries = [entry("PUT", f"{each['resourceType']}/{each['id']}", each) for each in resources]
        response = await self.http.post("/fhir", json=bundle("transaction", *entries))
        assert response.status_code == 200, response.text

    async def kick_off(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Ask for an export: by GET, or by POST of Parameters."""
        method = "GET" if body is None else "POST"
        return await self.http.request(method, f"/fhir/{path}", json=body, headers={**ASYNC, **headers})

    async def done(self, response: httpx.Response) -> httpx.Response:
        """Wait for the end of a job that was accepted."""
        assert response.status_code == 202, response.text
        for _ in range(400):
            found = await self.http.get(response.headers["content-location"])
            if found.status_code == 429:
                await asyncio.sleep(0.2)
            elif found.status_code != 202:
                return found
            await asyncio.sleep(0.06)
        raise AssertionError("the job does not end")

    async def manifest(self, path: str, body: Any = None, **headers: str) -> dict[str, Any]:
        """Export and return the manifest."""
        found = await self.done(await self.kick_off(path, body, **headers))
        assert found.status_code == 200, found.text
        assert found.headers["content-type"] == "application/json"
        manifest: dict[str, Any] = found.json()
        return manifest

    async def lines(self, url: str) -> list[dict[str, Any]]:
        """Return the resources of a file."""
        response = await self.http.get(url)
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == "application/fhir+ndjson"
        return [json.loads(line) for line in response.text.splitlines()]

    async def found(self, path: str, body: Any = None, **headers: str) -> dict[str, list[str]]:
        """Export and return the ids that came, by type."""
        manifest = await self.manifest(path, body, **headers)
        found: dict[str, list[str]] = {}
        for item in manifest["output"]:
            lines = await self.lines(item["url"])
            assert {line["resourceType"] for line in lines} == {item["type"]}
            assert len(lines) == item["count"]
            found.setdefault(item["type"], []).extend(line["id"] for line in lines)
        return {type_: sorted(ids) for type_, ids in found.items()}


def made(folder: Path, **bulk: Any) -> Any:
    """Return a server that is open to everybody, with settings of bulk data."""
    settings = Settings(
        data_dir=folder, durable=False, auth="none", demo=False, plugins={"fhir_bulk": bulk}, plugins_disabled=OTHERS
    )
    return create_app(settings)


@pytest.fixture
async def bulk(tmp_path: Path) -> AsyncIterator[Bulk]:
    """A client of a server without authorization, whose files and pages are small."""
    app = made(tmp_path, file_resources=7, page=5, patients_at_once=2, polls=0)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            yield Bulk(http)

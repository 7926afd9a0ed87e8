"""A server with the matcher, and small patients."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.app import create_app
from fhir_server.settings import Settings


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server without authorization."""
    app = create_app(Settings(data_dir=tmp_path, durable=False, auth="none", demo=False))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test/fhir") as client:
            yield client


def patient(family: str = "Meyer", given: str = "Anna", born: str = "1980-03-12", **more: Any) -> dict[str, Any]:
    """Return a Patient; what is empty is left out."""
    name = {key: value for key, value in (("family", family), ("given", [given] if given else None)) if value}
    found = {"resourceType": "Patient", "name": [name] if name else None, "birthDate": born or None, **more}
    return {key: value for key, value in found.items() if value is not None}


async def stored(http: httpx.AsyncClient, resource: dict[str, Any]) -> str:
    """Create a resource; return its id."""
    answer = await http.post(f"/{resource['resourceType']}", json=resource)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def found(http: httpx.AsyncClient, resource: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    """Return the matches of a patient: id, grade, score and contributions of each."""
    parts = [{"name": "resource", "resource": resource}]
    parts += [
        {"name": name, f"value{'Boolean' if isinstance(value, bool) else 'Integer'}": value}
        for name, value in more.items()
    ]
    answer = await http.post("/Patient/$match", json={"resourceType": "Parameters", "parameter": parts})
    assert answer.status_code == 200, answer.text
    entries = [each for each in answer.json().get("entry", []) if each["search"]["mode"] == "match"]
    return [_flat(each) for each in entries]


def _flat(entry: dict[str, Any]) -> dict[str, Any]:
    grade, *parts = entry["search"]["extension"]
    told = [{each["url"]: list(each.values())[1] for each in part["extension"]} for part in parts]
    return {
        "id": entry["resource"]["id"],
        "grade": grade["valueCode"],
        "score": entry["search"]["score"],
        "levels": {each["field"]: each["agreement"] for each in told},
        "weights": {each["field"]: each["weight"] for each in told},
    }

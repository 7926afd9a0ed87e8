"""A legal hold stops whatever would make something of the patient go, by whichever way."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.builders import bundle, entry, observation, patient, resource
from tests.conformance.http.operated import operated, parameters, parts_of


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with operated(tmp_path, integrity_on_delete=False) as client:
        for one in (
            patient("a"), patient("b"), observation("o", subject="Patient/a"), observation("ob", subject="Patient/b"),
            resource("Provenance", "p", target=[{"reference": "Observation/o"}], recorded="2020-01-01T00:00:00Z",
                     agent=[{"who": {"display": "x"}}]),
            observation("moved", subject="Patient/a"), observation("gone", subject="Patient/a"),
        ):  # fmt: skip
            answer = await client.put(f"{one['resourceType']}/{one['id']}", json=one)
            assert answer.status_code == 201, answer.text
        await client.put("Observation/moved", json=observation("moved", subject="Patient/b"))
        await client.delete("Observation/gone")
        await hold(client, "place", reason__string="case 7")
        yield client


async def hold(http: httpx.AsyncClient, action: str, **more: Any) -> None:
    answer = await http.post("Patient/a/$legal-hold", json=parameters(action__code=action, **more))
    assert answer.status_code == 200, answer.text


async def test_deletes_are_refused_until_it_is_released(http: httpx.AsyncClient) -> None:
    for url in ("Patient/a", "Observation/o", "Provenance/p", "Observation?_id=o", "Observation?subject=Patient/a",
                "Observation?_id=o,ob"):  # fmt: skip
        refused = await http.delete(url)
        assert refused.status_code == 409, url
        assert "legal hold" in refused.text
    for url in ("Patient/a", "Observation/o", "Observation/ob"):
        assert (await http.get(url)).status_code == 200
    assert (await http.delete("Observation/ob")).status_code == 204
    assert (await http.delete("Observation/never")).status_code == 204
    await hold(http, "release")
    assert (await http.delete("Observation/o")).status_code == 204


async def test_bundles_are_refused_too(http: httpx.AsyncClient) -> None:
    for kind in ("transaction", "batch"):
        asked = bundle(kind, entry("DELETE", "Observation/o"), entry("DELETE", "Observation/ob"))
        answer = await http.post("", json=asked)
        assert "legal hold" in answer.text
        assert (await http.get("Observation/o")).status_code == 200
        assert answer.status_code == (409 if kind == "transaction" else 200)
        if kind == "transaction":
            assert (await http.get("Observation/ob")).status_code == 200


async def test_nothing_is_purged(http: httpx.AsyncClient) -> None:
    for url in ("Patient/a", "Observation/o", "Observation/moved", "Observation/gone"):
        for wishes in ({}, {"history__boolean": True}, {"force__boolean": True}):
            refused = await http.post(f"{url}/$purge", json=parameters(**wishes))
            assert refused.status_code == 409, (url, wishes, refused.text)
            assert "legal hold" in refused.text
    assert (await http.get("Observation/moved/_history/1")).status_code == 200
    assert (await http.get("Observation/gone/_history/1")).status_code == 200
    assert (await http.post("Observation/ob/$purge")).status_code == 200


async def test_nothing_is_retained_too_short(http: httpx.AsyncClient) -> None:
    policy = {"name": "all", "type": "Observation", "days": 1, "action": "erase", "by": "date", "criteria": ""}
    for id_, subject in (("old", "a"), ("older", "b")):
        old = observation(id_, subject=f"Patient/{subject}", effectiveDateTime="2001-01-01")
        assert (await http.put(f"Observation/{id_}", json=old)).status_code == 201
    asked = parameters(policies__string=json.dumps([policy]), dryRun__boolean=True)
    answer = await http.post("$retention", json=asked)
    assert answer.status_code == 200, answer.text
    counts = parts_of(answer.json()["parameter"][-1])
    assert (counts["found"], counts["held"]) == (2, 1)


async def test_updates_go_on(http: httpx.AsyncClient) -> None:
    changed = observation("o", subject="Patient/a", note=[{"text": "more"}])
    assert (await http.put("Observation/o", json=changed)).status_code == 200

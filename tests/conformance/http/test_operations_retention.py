"""`$retention`: told first, then done; holds and references stay."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.builders import observation, patient, resource
from tests.conformance.http.operated import operated, parameters, parts_of


def seen(id_: str, subject: str, day: str, **more: Any) -> Any:
    return observation(id_, subject=subject, effectiveDateTime=day, **more)


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with operated(tmp_path) as client:
        for one in (
            patient("a"),
            patient("b"),
            seen("old", "Patient/a", "2001-02-03"),
            seen("held", "Patient/b", "2001-02-03"),
            seen("new", "Patient/a", "2999-01-01"),
            seen("used", "Patient/a", "2001-02-03"),
            resource("DiagnosticReport", "d", status="final", code={"text": "x"}, subject={"reference": "Patient/a"},
                     result=[{"reference": "Observation/used"}]),
        ):  # fmt: skip
            answer = await client.put(f"{one['resourceType']}/{one['id']}", json=one)
            assert answer.status_code == 201, answer.text
        await client.put("Observation/old", json=seen("old", "Patient/a", "2001-02-03", note=[{"text": "x"}]))
        hold = parameters(action__code="place", reason__string="case 7")
        assert (await client.post("Patient/b/$legal-hold", json=hold)).status_code == 200
        yield client


def policy(**more: Any) -> str:
    base = {"name": "old", "type": "Observation", "days": 3650, "by": "date", "criteria": "status=final"}
    return json.dumps([{**base, **more}])


async def told(http: httpx.AsyncClient, **inputs: Any) -> Any:
    answer = await http.post("$retention", json=parameters(**inputs))
    while answer.status_code == 202:
        await asyncio.sleep(0.05)
        answer = await http.get(answer.headers.get("content-location") or answer.request.url)
    assert answer.status_code == 200, answer.text
    return [parts_of(part) for part in answer.json()["parameter"] if part["name"] == "policy"]


async def test_a_dry_run_is_the_default_and_removes_nothing(http: httpx.AsyncClient) -> None:
    (found,) = await told(http, policies__string=policy(action="erase"))
    assert (found["found"], found["done"], found["held"]) == (3, 2, 1)
    assert (await http.get("Observation/old")).status_code == 200


async def test_what_is_too_old_is_erased_unless_it_is_held_or_used(http: httpx.AsyncClient) -> None:
    (found,) = await told(http, policies__string=policy(action="erase"), dryRun__boolean=False)
    assert (found["found"], found["done"], found["held"], found["referred"]) == (3, 1, 1, 1)
    assert (await http.get("Observation/old")).status_code == 410
    assert (await http.get("Observation/old/_history/1")).status_code == 404
    for kept in ("held", "new", "used"):
        assert (await http.get(f"Observation/{kept}")).status_code == 200


async def test_history_alone_may_go(http: httpx.AsyncClient) -> None:
    (found,) = await told(http, policies__string=policy(action="purge-history"), dryRun__boolean=False)
    assert found["versions"] == 1
    assert (await http.get("Observation/old")).status_code == 200
    assert (await http.get("Observation/old/_history/1")).status_code == 404


async def test_policies_are_kept(http: httpx.AsyncClient) -> None:
    await told(http, policies__string=policy())
    (found,) = await told(http)
    assert json.loads(found["rules"])["criteria"] == "status=final"
    assert (found["found"], found["done"]) == (3, 0)


@pytest.mark.parametrize(
    "bad",
    [
        policy(type="Patient", action="erase"),
        policy(type="Nothing"),
        policy(days=0),
        policy(action="shred"),
        policy(criteria="no-such=1"),
        policy(by="code"),
        policy(criteria="nonsense"),
        '[{"name": "x"}]',
        "{}",
    ],
)
async def test_a_policy_that_cannot_be_followed_is_refused(http: httpx.AsyncClient, bad: str) -> None:
    answer = await http.post("$retention", json=parameters(policies__string=bad))
    assert answer.status_code == 400, answer.text

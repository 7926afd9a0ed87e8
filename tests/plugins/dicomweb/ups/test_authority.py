"""Workitems under tokens: whoever may see the Task may see the workitem, and nobody else."""

from collections.abc import Iterator
from typing import Any

import pytest

from fhir_server.auth.clients import Client, save_client
from fhir_server.auth.desk import Desk
from fhir_server.auth.grants import new_grant, stored
from fhir_server.auth.tokens import new_tokens
from fhir_server.testing.server import TestServer, serving
from tests.plugins.dicomweb.ups.test_workitems import BASE, state, workitem
from tests.plugins.only import but


@pytest.fixture(scope="module")
def server() -> Iterator[TestServer]:
    with serving(real_time=True, plugins_disabled=but("dicomweb"), auth="smart") as found:
        yield found


def token(server: TestServer, scopes: str, client: str = "app") -> dict[str, str]:
    """Return the header of a client's own token."""

    async def desk() -> Desk:
        assert server.app.running is not None
        return await server.app.running.desk_of("default", "http://testserver/fhir")

    async def made() -> str:
        await save_client(await desk(), Client(client, client, "asymmetric", scopes=scopes))
        grant = new_grant(await desk(), client, scopes)
        pair = new_tokens(await desk(), grant, refreshing=False)
        await (await desk()).put(stored(grant), *pair.changes)
        return pair.access

    return {"authorization": f"Bearer {server.call(made)}"}


def statuses(server: TestServer, headers: dict[str, str], uid: str) -> list[int]:
    """Return the answers to a read, a search, an update, a state and a new one."""
    http = server.client
    label = {"00741204": {"vr": "LO", "Value": ["Other"]}}
    return [
        http.get(f"{BASE}/{uid}", headers=headers).status_code,
        http.get(BASE, headers=headers).status_code,
        http.post(f"{BASE}/{uid}", json=[label], headers=headers).status_code,
        http.put(f"{BASE}/{uid}/state", json=state("IN PROGRESS"), headers=headers).status_code,
        http.post(f"{BASE}?{uid}.9", json=[workitem()], headers=headers).status_code,
    ]


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [
        ("", [401, 401, 401, 401, 401]),
        ("system/Observation.rs", [403, 403, 403, 403, 403]),
        ("system/Task.rs", [200, 200, 403, 403, 403]),
        ("system/Task.cruds", [200, 200, 200, 200, 201]),
    ],
)
def test_scopes_on_tasks_decide(server: TestServer, scopes: str, expected: list[int]) -> None:
    uid = f"1.4.{len(scopes) + 1}"
    whole = token(server, "system/Task.cruds", "maker")
    assert server.client.post(f"{BASE}?{uid}", json=[workitem()], headers=whole).status_code == 201
    headers = token(server, scopes, f"app{len(scopes)}") if scopes else {}
    assert statuses(server, headers, uid) == expected


def test_a_workitem_whose_task_is_not_seen_is_not_there(server: TestServer) -> None:
    whole = token(server, "system/Task.cruds", "maker")
    server.client.post(f"{BASE}?1.5.1", json=[workitem("Hidden")], headers=whole)
    some = token(server, "system/Task.rs?status=completed", "some")
    assert server.client.get(f"{BASE}/1.5.1", headers=some).status_code == 404
    assert _labels(server, some) == []
    assert "Hidden" in _labels(server, whole)
    assert server.client.post(f"{BASE}/1.5.1/subscribers/SOME", headers=some).status_code == 404


def _labels(server: TestServer, headers: dict[str, str]) -> list[Any]:
    rows = server.client.get(f"{BASE}?00741204=Hidden", headers=headers).json()
    return [row["00741204"]["Value"][0] for row in rows]


def test_a_title_is_that_of_who_took_it_first(server: TestServer) -> None:
    mine, theirs = (token(server, "system/Task.rs", name) for name in ("first", "second"))
    path = f"{BASE}/1.2.840.10008.5.1.4.34.5/subscribers/TAKEN"
    assert server.client.post(path, headers=mine).status_code == 201
    assert server.client.post(path, headers=theirs).status_code == 403
    assert server.client.delete(path, headers=theirs).status_code == 403
    assert server.client.delete(path, headers=mine).status_code == 200

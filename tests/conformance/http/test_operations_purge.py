"""`$purge`: what is erased is nowhere any more."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.context import Caller
from fhir_server.dispatch import entrance
from tests.builders import identifier, observation, patient
from tests.conformance.http.operated import operated, parameters
from tests.conformance.http.over_http import issue

NARRATIVE = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">zygodactyl</div>'}
HISTORY = parameters(history__boolean=True)


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with operated(tmp_path) as client:
        for active in (True, False, True):
            await client.put("Patient/a", json=a_patient(active))
        yield client


def a_patient(active: bool) -> Any:
    return patient("a", active=active, identifier=identifier("4711"), name=[{"family": "Zyg"}], text=NARRATIVE)


async def count(http: httpx.AsyncClient, url: str) -> int:
    response = await http.get(url)
    assert response.status_code == 200, response.text
    return len(response.json().get("entry", []))


def erased(response: httpx.Response) -> int:
    """How many versions a purge says it erased."""
    assert response.status_code == 200, response.text
    (only,) = response.json()["parameter"]
    assert only["name"] == "count"
    return int(only["valueUnsignedInt"])


async def test_all_versions_go(http: httpx.AsyncClient) -> None:
    assert erased(await http.post("Patient/a/$purge")) == 3
    for url in ("Patient/a", "Patient/a/_history/1", "Patient/a/_history/3", "Patient/a/_history"):
        assert (await http.get(url)).status_code == 404, url


@pytest.mark.parametrize(
    "query", ["identifier=4711", "name=zyg", "_text=zygodactyl", "_content=zygodactyl", "_id=a", ""]
)
async def test_no_search_finds_it(http: httpx.AsyncClient, query: str) -> None:
    assert await count(http, f"Patient?{query}") == 1
    await http.post("Patient/a/$purge")
    assert await count(http, f"Patient?{query}") == 0


async def test_the_history_of_the_server_knows_nothing_of_it(http: httpx.AsyncClient) -> None:
    await http.post("Patient/a/$purge")
    assert await count(http, "_history") == 0
    assert await count(http, "Patient/_history") == 0


async def test_only_superseded_versions_go_where_history_is_asked_for(http: httpx.AsyncClient) -> None:
    assert erased(await http.post("Patient/a/$purge", json=HISTORY)) == 2
    assert (await http.get("Patient/a")).json()["meta"]["versionId"] == "3"
    assert (await http.get("Patient/a/_history/2")).status_code == 404
    assert await count(http, "Patient?_text=zygodactyl") == 1
    assert erased(await http.post("Patient/a/$purge", json=HISTORY)) == 0


async def test_a_deleted_resource_goes_with_its_deletion(http: httpx.AsyncClient) -> None:
    await http.delete("Patient/a")
    assert erased(await http.post("Patient/a/$purge")) == 4
    assert (await http.get("Patient/a")).status_code == 404


async def test_what_others_refer_to_stays_unless_forced(http: httpx.AsyncClient) -> None:
    await http.put("Observation/o", json=observation("o", subject="Patient/a"))
    refused = await http.post("Patient/a/$purge")
    assert (refused.status_code, issue(refused)["code"]) == (409, "conflict")
    assert (await http.get("Patient/a/_history/1")).status_code == 200
    assert (await http.get("Patient/a")).json()["meta"]["versionId"] == "3"
    assert erased(await http.post("Patient/a/$purge", json=HISTORY)) == 2
    assert erased(await http.post("Patient/a/$purge", json=parameters(force__boolean=True))) == 1
    assert (await http.get("Patient/a")).status_code == 404
    assert (await http.get("Observation/o")).status_code == 200


async def test_what_others_refer_to_goes_where_integrity_is_not_kept(tmp_path: Path) -> None:
    async with operated(tmp_path, integrity_on_delete=False) as http:
        await http.put("Patient/a", json=patient("a"))
        await http.put("Observation/o", json=observation("o", subject="Patient/a"))
        assert erased(await http.post("Patient/a/$purge")) == 1


async def test_its_id_can_be_used_again(http: httpx.AsyncClient) -> None:
    await http.post("Patient/a/$purge")
    again = await http.put("Patient/a", json=patient("a"))
    assert (again.status_code, again.json()["meta"]["versionId"]) == (201, "1")


async def test_it_is_posted_to_a_resource_that_exists(http: httpx.AsyncClient) -> None:
    assert (await http.post("Patient/nobody/$purge")).status_code == 404
    assert (await http.get("Patient/a/$purge")).status_code == 405
    assert (await http.post("Patient/$purge")).status_code == 404
    assert (await http.get("Patient/a")).status_code == 200


async def test_if_match_is_held_to(http: httpx.AsyncClient) -> None:
    assert (await http.post("Patient/a/$purge", headers={"if-match": 'W/"2"'})).status_code == 412
    assert (await http.get("Patient/a")).status_code == 200


async def test_only_administrators_may(http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    everybody = entrance.authorize

    def as_nobody(*of: Any) -> Any:
        _, restriction = everybody(*of)
        return Caller("nobody"), replace(restriction)

    monkeypatch.setattr(entrance, "authorize", as_nobody)
    refused = await http.post("Patient/a/$purge")
    assert (refused.status_code, issue(refused)["code"]) == (403, "forbidden")
    monkeypatch.undo()
    assert (await http.get("Patient/a")).status_code == 200

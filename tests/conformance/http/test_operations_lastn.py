"""Observation `$lastn`: the newest of each kind."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.builders import observation, patient, resource
from tests.conformance.http.callers import Sees, all_but, having, let_in
from tests.conformance.http.operated import operated, parameters
from tests.conformance.http.over_http import BASE, issue

WEIGHT = {"system": "http://loinc.org", "code": "29463-7"}
LOCAL = {"system": "urn:local", "code": "weight"}
PULSE = {"system": "http://loinc.org", "code": "8867-4"}
VITAL = [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}]}]
VITALS = "Observation/$lastn?patient=p&category=vital-signs"


def as_nurse(monkeypatch: pytest.MonkeyPatch, *, searches: bool) -> None:
    """Let in somebody who sees final observations, and searches them only if she may."""
    may = all_but() if searches else all_but("search-type")
    let_in(monkeypatch, Sees({"Observation": having("status", "final")}, may))


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with operated(tmp_path) as client:
        for name in "pq":
            await client.put(f"Patient/{name}", json=patient(name))
        yield client


async def put(http: httpx.AsyncClient, id_: str, *codings: Any, of: str = "p", **more: Any) -> None:
    code = {"code": {"coding": list(codings)}} if codings else {}
    made = observation(id_, subject=f"Patient/{of}", **{"category": VITAL, **code, **more})
    answer = await http.put(f"Observation/{id_}", json=made)
    assert answer.status_code == 201, answer.text


def ids(response: httpx.Response, mode: str = "match") -> list[str]:
    assert response.status_code == 200, response.text
    entries = response.json().get("entry", [])
    return [entry["resource"]["id"] for entry in entries if entry["search"]["mode"] == mode]


async def test_the_newest_of_each_code_stands_alone_by_default(http: httpx.AsyncClient) -> None:
    await put(http, "w2", WEIGHT, effectiveDateTime="2022-01-01")
    await put(http, "w1", WEIGHT, effectiveDateTime="2021-01-01")
    await put(http, "p1", PULSE, effectiveDateTime="2023-01-01T10:00:00Z")
    await put(http, "p0", PULSE, effectiveDateTime="2023-01-01T11:00:00+02:00")
    response = await http.get(VITALS)
    assert ids(response) == ["p1", "w2"]
    body = response.json()
    assert (body["type"], body["total"]) == ("searchset", 2)
    assert body["entry"][0]["fullUrl"] == f"{BASE}/Observation/p1"


async def test_max_says_how_many_of_each_and_they_stand_newest_first(http: httpx.AsyncClient) -> None:
    for day in (3, 1, 4, 2):
        await put(http, f"w{day}", WEIGHT, effectiveDateTime=f"2022-01-0{day}")
        await put(http, f"p{day}", PULSE, effectiveDateTime=f"2021-01-0{day}")
    assert ids(await http.get(f"{VITALS}&max=3")) == ["w4", "w3", "w2", "p4", "p3", "p2"]
    body = parameters(max__positiveInt=1, patient__string="p", code__string="8867-4")
    assert ids(await http.post("Observation/$lastn", json=body)) == ["p4"]


async def test_codes_that_share_a_coding_anywhere_are_one_kind(http: httpx.AsyncClient) -> None:
    await put(http, "a", WEIGHT, effectiveDateTime="2020")
    await put(http, "b", LOCAL, effectiveDateTime="2022")
    assert ids(await http.get(VITALS)) == ["b", "a"]
    await put(http, "both", LOCAL, WEIGHT, effectiveDateTime="2021")
    assert ids(await http.get(VITALS)) == ["b"]


async def test_the_same_code_of_another_system_is_another_kind(http: httpx.AsyncClient) -> None:
    await put(http, "a", WEIGHT, effectiveDateTime="2020")
    await put(http, "b", {**WEIGHT, "system": "urn:other"}, effectiveDateTime="2021")
    assert ids(await http.get(VITALS)) == ["b", "a"]


async def test_codes_of_text_alone_are_known_by_their_text(http: httpx.AsyncClient) -> None:
    for year, text in ((2020, "mood"), (2021, "mood"), (2019, "gait")):
        await put(http, f"o{year}", code={"text": text}, effectiveDateTime=str(year))
    assert ids(await http.get(VITALS)) == ["o2021", "o2019"]


async def test_what_was_never_observed_is_left_out(http: httpx.AsyncClient) -> None:
    await put(http, "good", WEIGHT, effectiveDateTime="2020")
    for status in ("cancelled", "entered-in-error"):
        await put(http, status, WEIGHT, status=status, effectiveDateTime="2021")
    assert ids(await http.get(f"{VITALS}&max=9")) == ["good"]


async def test_without_an_effective_time_it_is_the_issue_that_counts(http: httpx.AsyncClient) -> None:
    await put(http, "effective", WEIGHT, effectiveDateTime="2021-01-01", issued="2024-01-01T00:00:00Z")
    await put(http, "issued", WEIGHT, issued="2022-01-01T00:00:00Z")
    await put(http, "period", WEIGHT, effectivePeriod={"start": "2019-01-01", "end": "2023-01-01"})
    await put(http, "written", WEIGHT)
    assert ids(await http.get(f"{VITALS}&max=4")) == ["written", "period", "issued", "effective"]


async def test_each_of_several_subjects_has_groups_of_its_own(http: httpx.AsyncClient) -> None:
    await put(http, "mine", WEIGHT, effectiveDateTime="2021")
    await put(http, "theirs", WEIGHT, of="q", effectiveDateTime="2022")
    both = "Observation/$lastn?subject=Patient/p,Patient/q&code=http://loinc.org|29463-7"
    assert ids(await http.get(both)) == ["theirs", "mine"]
    assert ids(await http.get(VITALS)) == ["mine"]


async def test_search_filters_come_before_the_choice(http: httpx.AsyncClient) -> None:
    for year in (2020, 2021, 2022):
        await put(http, f"w{year}", WEIGHT, effectiveDateTime=str(year))
    assert ids(await http.get(f"{VITALS}&date=lt2022")) == ["w2021"]


async def test_includes_are_of_the_answer_alone(http: httpx.AsyncClient) -> None:
    for name in ("old", "new"):
        await http.put(f"Practitioner/{name}", json=resource("Practitioner", name))
    for name, year in (("old", "2020"), ("new", "2021")):
        await put(http, name, WEIGHT, effectiveDateTime=year, performer=[{"reference": f"Practitioner/{name}"}])
    response = await http.get(f"{VITALS}&_include=Observation:performer")
    assert ids(response) == ["new"]
    assert ids(response, "include") == ["new"]


async def test_more_than_a_page_of_the_store_is_still_all(http: httpx.AsyncClient) -> None:
    common: dict[str, Any] = {"subject": "Patient/p", "category": VITAL, "code": {"coding": [WEIGHT]}}
    made = [observation(f"o{n}", **common, effectiveDateTime=f"{900 + n:04}") for n in range(1100, -1, -1)]
    entries = [{"resource": one, "request": {"method": "PUT", "url": f"Observation/{one['id']}"}} for one in made]
    for start in range(0, len(entries), 400):
        body = {"resourceType": "Bundle", "type": "batch", "entry": entries[start : start + 400]}
        assert (await http.post("", json=body)).status_code == 200
    assert ids(await http.get(f"{VITALS}&max=2")) == ["o1100", "o1099"]


@pytest.mark.parametrize(
    "query",
    ["category=vital-signs", "patient=p", "patient=p&date=2020", "", "patient=p&code=x&_sort=date",
     "patient=p&code=x&_count=2", "patient=p&code=x&max=0", "patient=p&code=x&nothing=1"],
)  # fmt: skip
async def test_a_call_without_subject_or_kind_or_with_what_does_not_fit_is_refused(
    http: httpx.AsyncClient, query: str
) -> None:
    response = await http.get(f"Observation/$lastn?{query}")
    assert response.status_code == 400
    assert issue(response)["diagnostics"]


async def test_nothing_found_is_an_empty_bundle(http: httpx.AsyncClient) -> None:
    response = await http.get(VITALS)
    assert ids(response) == []
    assert response.json()["total"] == 0


async def test_only_what_the_caller_may_see_is_chosen_from(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(http, "seen", WEIGHT, effectiveDateTime="2020")
    await put(http, "unseen", WEIGHT, status="preliminary", effectiveDateTime="2021")
    assert ids(await http.get(VITALS)) == ["unseen"]
    as_nurse(monkeypatch, searches=True)
    assert ids(await http.get(VITALS)) == ["seen"]
    as_nurse(monkeypatch, searches=False)
    assert (await http.get(VITALS)).status_code == 403

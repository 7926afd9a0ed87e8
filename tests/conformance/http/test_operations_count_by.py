"""`$count-by`: counts that hold for the searches that they name, and tell nobody more than these."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio

from fhir_server.operations import count_by as counting
from fhir_server.storage.base.counting import Counted
from tests.conformance.http.callers import Sees, all_but, having, let_in
from tests.conformance.http.operated import operated, parameters, said
from tests.conformance.storage.counting import LOINC, WORLD

pytestmark = pytest.mark.asyncio(loop_scope="module")
SETTINGS = {"validation": "off"}
SIZES = ("code", "date:year", "subject", "status")


ONLY_A = Sees({"Observation": having("code", "a", LOINC)})


async def filled(http: httpx.AsyncClient) -> None:
    entries = [
        {"resource": each, "request": {"method": "PUT", "url": f"{each['resourceType']}/{each['id']}"}}
        for each in WORLD
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    assert (await http.post("", json=bundle)).status_code == 200


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    async with operated(tmp_path_factory.mktemp("server"), **SETTINGS) as client:
        await filled(client)
        yield client


async def told(http: httpx.AsyncClient, url: str) -> dict[str, Any]:
    """The answer: `groups` as (labels, number, search), and all else by name."""
    answer = await http.get(url)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = {"groups": []}
    for part in answer.json()["parameter"]:
        if part["name"] != "grouping":
            found[part["name"]] = next(value for key, value in part.items() if key != "name")
            continue
        labels = tuple(_label(each) for each in part["part"] if each["name"] == "label")
        values = {each["name"]: each for each in part["part"]}
        drill = values.get("drillDown", {}).get("valueUrl")
        found["groups"].append((labels, values["result"]["valueInteger"], drill))
    return found


def _label(part: dict[str, Any]) -> str | None:
    if "valueDate" in part:
        return str(part["valueDate"])
    if "valueReference" in part:
        return str(part["valueReference"]["reference"])
    coding = part["valueCoding"]
    return f"{coding.get('system', '')}|{coding['code']}" if "code" in coding else None


async def test_a_code_and_a_month_are_counted_and_each_group_names_the_search_that_finds_it(
    http: httpx.AsyncClient,
) -> None:
    found = await told(http, "Observation/$count-by?by=code&by=date:year&code=a,b")
    assert found["total"] == 4
    expected = [
        ((f"{LOINC}|a", "2020"), 2),
        (("|a", "2020"), 1),
        ((f"{LOINC}|b", None), 1),
        ((f"{LOINC}|b", "2020"), 1),
    ]
    assert [each[:2] for each in found["groups"]] == expected


@pytest.mark.parametrize("size", SIZES)
async def test_the_search_of_a_group_finds_as_many(http: httpx.AsyncClient, size: str) -> None:
    found = await told(http, f"Observation/$count-by?by={size}&status=final")
    assert found["groups"]
    for labels, number, drill in found["groups"]:
        assert (drill is None) == (None in labels)
        if drill is not None:
            parts = urlsplit(drill)
            page = await http.get(f"Observation?{parts.query}&_summary=count")
            assert page.json()["total"] == number, drill


async def test_what_is_read_one_by_one_is_counted_alike(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = [f"Observation/$count-by?by={each}" for each in SIZES] + ["Patient/$count-by?by=birthdate:day&by=gender"]
    before = [await told(http, url) for url in urls]
    monkeypatch.setattr(counting, "Counts", Counted)  # no store is one
    assert [await told(http, url) for url in urls] == before


async def test_a_restricted_caller_is_told_of_what_they_see(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_in(monkeypatch, ONLY_A)
    url = "Observation/$count-by?by=code"
    found = await told(http, url)
    assert (found["total"], sum(number for _, number, _ in found["groups"])) == (2, 3)
    monkeypatch.setattr(counting, "Counts", Counted)
    assert await told(http, url) == found
    let_in(monkeypatch, replace(ONLY_A, unasked={"Observation": frozenset({"date"})}))
    hidden = await http.get("Observation/$count-by?by=date:year")
    assert (hidden.status_code, "hidden" in said(hidden)) == (403, True)
    let_in(monkeypatch, replace(ONLY_A, may=all_but("search-type")))
    assert (await http.get(url)).status_code == 403


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("Patient/$count-by", "needs the parameter by"),
        ("Patient/$count-by?by=nothing", "no search parameter 'nothing'"),
        ("Patient/$count-by?by=name", "type string"),
        ("Patient/$count-by?by=gender:month", "takes no 'month'"),
        ("Patient/$count-by?by=birthdate:week", "year, month or day"),
        ("Patient/$count-by?by=_id", "each resource has its own"),
        ("Patient/$count-by?by=gender&_count=5", "takes no _count"),
        ("Patient/$count-by?by=gender&colour=red", "colour"),
    ],
)
async def test_what_cannot_be_counted_is_refused_with_its_name(http: httpx.AsyncClient, asked: str, words: str) -> None:
    answer = await http.get(asked)
    assert (answer.status_code, words in said(answer)) == (400, True), said(answer)


async def test_parameters_are_posted_and_tables_are_csv(http: httpx.AsyncClient) -> None:
    body = parameters(by__string="subject", max__positiveInt=1, code__string=f"{LOINC}|a")
    found = (await http.post("Observation/$count-by", json=body)).json()["parameter"]
    assert [part["name"] for part in found] == ["total", "grouping"]
    url = "Patient/$count-by?by=gender&by=birthdate:year"
    for table in (await http.get(f"{url}&_format=csv"), await http.get(url, headers={"accept": "text/csv"})):
        lines = table.text.splitlines()
        assert table.headers["content-type"] == "text/csv; charset=utf-8"
        assert lines[0] == "gender.system,gender,birthdate,count" and len(lines) == 4 and lines[1].endswith(",1")
    assert (await http.get("Patient/$count-by?by=gender&_format=pdf")).status_code == 406
    xml = await http.get("Patient/$count-by?by=gender&_format=xml")
    assert xml.headers["content-type"].startswith("application/fhir+xml") and "<valueInteger" in xml.text


async def test_limits_and_the_smallest_number_that_is_told(tmp_path: Path) -> None:
    async with operated(tmp_path, count_by_least=2, count_by_groups=3, **SETTINGS) as http:
        await filled(http)
        genders = await told(http, "Patient/$count-by?by=gender")
        assert genders == {"groups": [], "suppressed": 2}  # one is small, and the other one would tell it
        many = await http.get("Observation/$count-by?by=code")
        assert (many.status_code, "more than 3 groups" in said(many)) == (403, True) or many.status_code in (400, 413)

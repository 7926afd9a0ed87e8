"""Observation `$stats`: statistics of values."""

import json
import math
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.builders import observation, patient
from tests.conformance.http.callers import Sees, all_but, having, let_in
from tests.conformance.http.operated import operated
from tests.conformance.http.over_http import issue

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
URL = "Observation/$stats?subject=Patient/p&code=29463-7&system=http://loinc.org"
VALUES = (2, 4, 4, 4, 5, 5, 7, 9)


def quantity(value: float, unit: str = "kg", **more: Any) -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": UCUM, "code": unit, **more}


def as_nurse(monkeypatch: pytest.MonkeyPatch, *, searches: bool) -> None:
    """Let in somebody who sees final observations, and searches them only if she may."""
    may = all_but() if searches else all_but("search-type")
    let_in(monkeypatch, Sees({"Observation": having("status", "final")}, may))


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with operated(tmp_path) as client:
        await client.put("Patient/p", json=patient("p"))
        yield client


async def put(http: httpx.AsyncClient, id_: str, code: str = "29463-7", of: str = "p", **more: Any) -> None:
    made = observation(id_, subject=f"Patient/{of}", **{"code": {"coding": [{"system": LOINC, "code": code}]}, **more})
    answer = await http.put(f"Observation/{id_}", json=made)
    assert answer.status_code == 201, answer.text


@pytest.fixture
async def eight(http: httpx.AsyncClient) -> httpx.AsyncClient:
    """Eight weights, an hour apart."""
    for hour, value in enumerate(VALUES):
        await put(http, f"w{hour}", effectiveDateTime=f"2022-01-01T0{hour}:00:00Z", valueQuantity=quantity(value))
    return http


def made(response: httpx.Response, name: str = "statistics") -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    return [part["resource"] for part in response.json()["parameter"] if part["name"] == name]


def components(response: httpx.Response) -> dict[str, Any]:
    """What the only statistics Observation says, by the text of the statistic or its code."""
    (only,) = made(response)
    return {part["code"]["coding"][0]["code"]: part for part in only["component"]}


def values(response: httpx.Response) -> dict[str, Any]:
    return {
        code: (p["valueQuantity"]["value"], p["valueQuantity"].get("code")) for code, p in components(response).items()
    }


@pytest.mark.parametrize(
    ("code", "value", "unit"),
    [
        ("average", 5, "kg"),
        ("maximum", 9, "kg"),
        ("minimum", 2, "kg"),
        ("count", 8, "1"),
        ("total-count", 8, "1"),
        ("median", 4.5, "kg"),
        ("std-dev", math.sqrt(32 / 7), "kg"),
        ("variance", 32 / 7, "(kg)2"),
        ("sum", 40, "kg"),
        ("20-percent", 4, "kg"),
        ("80-percent", 6.2, "kg"),
        ("4-lower", 4, "kg"),
        ("4-upper", 5.5, "kg"),
        ("4-dev", 0.75, "kg"),
        ("5-1", 4, "kg"),
        ("5-2", 4, "kg"),
        ("5-3", 5, "kg"),
        ("5-4", 6.2, "kg"),
        ("skew", 0.65625, "1"),
        ("kurtosis", 2.78125, "1"),
    ],
)
async def test_each_statistic_of_r4_is_worked_out(eight: httpx.AsyncClient, code: str, value: float, unit: str) -> None:
    found, of = values(await eight.get(f"{URL}&statistic={code}"))[code]
    assert found == pytest.approx(value)
    assert of == unit


async def test_regression_gives_gradient_and_intercept(eight: httpx.AsyncClient) -> None:
    (only,) = made(await eight.get(f"{URL}&statistic=regression"))
    gradient, intercept = (part["valueQuantity"] for part in only["component"])
    assert gradient["value"] == pytest.approx(34 / 42)
    assert gradient["code"] == "(kg)/h"
    assert intercept["value"] == pytest.approx(5 - 3.5 * 34 / 42)
    assert intercept["code"] == "kg"


async def test_the_observation_says_what_it_is_of(eight: httpx.AsyncClient) -> None:
    (only,) = made(await eight.get(f"{URL}&statistic=average&statistic=count"))
    assert only["resourceType"] == "Observation"
    assert only["status"] == "final"
    assert only["code"] == {"coding": [{"system": LOINC, "code": "29463-7"}]}
    assert only["subject"] == {"reference": "Patient/p"}
    assert [part["code"]["coding"][0]["code"] for part in only["component"]] == ["average", "count"]
    system = "http://terminology.hl7.org/CodeSystem/observation-statistics"
    assert only["component"][0]["code"] == {"coding": [{"system": system, "code": "average"}], "text": "Average"}
    checked = await eight.post("Observation/$validate", json=only)
    assert checked.status_code == 200
    errors = [one["diagnostics"] for one in checked.json()["issue"] if one["severity"] in ("error", "fatal")]
    # It has the code of a vital sign and is none.
    assert all("StructureDefinition/bodyweight" in error for error in errors), errors


async def test_each_code_has_its_own_observation_in_the_order_asked(eight: httpx.AsyncClient) -> None:
    await put(eight, "pulse", "8867-4", valueQuantity=quantity(70, "/min"), effectiveDateTime="2022")
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "subject", "valueUri": "Patient/p"},
            {"name": "coding", "valueCoding": {"system": LOINC, "code": "8867-4"}},
            {"name": "coding", "valueCoding": {"system": LOINC, "code": "29463-7"}},
            {"name": "statistic", "valueCode": "average"},
            {"name": "period", "valuePeriod": {"start": "2022-01-01T06:00:00Z", "end": "2022-12-31"}},
        ],
    }
    found = made(await eight.post("Observation/$stats", json=body))
    assert [one["component"][0]["valueQuantity"]["value"] for one in found] == [70, 8]
    assert found[0]["effectivePeriod"] == {"start": "2022-01-01T06:00:00Z", "end": "2022-12-31"}


async def test_a_duration_is_of_the_last_hours(http: httpx.AsyncClient) -> None:
    now = datetime.now(UTC)
    for name, hours, value in (("old", 3, 10), ("new", 0.5, 20)):
        at = (now - timedelta(hours=hours)).isoformat(timespec="seconds")
        await put(http, name, effectiveDateTime=at, valueQuantity=quantity(value))
    assert values(await http.get(f"{URL}&statistic=average&duration=1"))["average"][0] == 20
    assert values(await http.get(f"{URL}&statistic=average&duration=4.5"))["average"][0] == 15


async def test_units_are_converted_to_that_of_the_newest(http: httpx.AsyncClient) -> None:
    await put(http, "a", effectiveDateTime="2021", valueQuantity=quantity(70000, "g"))
    await put(http, "b", effectiveDateTime="2022", valueQuantity=quantity(80, "kg"))
    assert values(await http.get(f"{URL}&statistic=average&statistic=sum")) == {
        "average": (75, "kg"),
        "sum": (150, "kg"),
    }


async def test_temperatures_are_converted_and_their_differences_are_kelvin(http: httpx.AsyncClient) -> None:
    await put(http, "a", effectiveDateTime="2021", valueQuantity=quantity(98.6, "[degF]"))
    await put(http, "b", effectiveDateTime="2022", valueQuantity=quantity(39, "Cel"))
    found = values(await http.get(f"{URL}&statistic=average&statistic=4-dev&statistic=variance"))
    assert found == {"average": (38, "Cel"), "4-dev": (0.5, "K"), "variance": (2, "(K)2")}


async def test_units_that_have_nothing_in_common_are_refused(http: httpx.AsyncClient) -> None:
    await put(http, "a", effectiveDateTime="2021", valueQuantity=quantity(1, "g"))
    await put(http, "b", effectiveDateTime="2022", valueQuantity=quantity(1, "cm"))
    response = await http.get(f"{URL}&statistic=average")
    assert response.status_code == 422
    assert "g" in issue(response)["diagnostics"]


async def test_what_has_no_number_is_in_the_total_alone(eight: httpx.AsyncClient) -> None:
    await put(eight, "text", valueString="heavy", effectiveDateTime="2022")
    await put(eight, "bound", valueQuantity=quantity(1, comparator="<"), effectiveDateTime="2022")
    await put(eight, "wrong", valueQuantity=quantity(1), status="entered-in-error", effectiveDateTime="2022")
    await put(eight, "theirs", of="q", valueQuantity=quantity(1), effectiveDateTime="2022")
    found = values(await eight.get(f"{URL}&statistic=count&statistic=total-count&statistic=minimum"))
    assert found == {"count": (8, "1"), "total-count": (10, "1"), "minimum": (2, "kg")}


async def test_a_number_beyond_all_measure_is_refused(eight: httpx.AsyncClient) -> None:
    made = observation("big", subject="Patient/p", code={"coding": [{"system": LOINC, "code": "29463-7"}]})
    text = json.dumps({**made, "valueQuantity": quantity(1)}).replace('"value": 1', '"value": 1E+400')
    answer = await eight.put("Observation/big", content=text, headers={"content-type": "application/fhir+json"})
    assert answer.status_code == 400, answer.text


async def test_components_have_values_too(http: httpx.AsyncClient) -> None:
    part = {"code": {"coding": [{"system": LOINC, "code": "8480-6"}]}, "valueQuantity": quantity(120, "mm[Hg]")}
    await put(http, "bp", "85354-9", component=[part], effectiveDateTime="2022")
    await put(http, "sys", "8480-6", valueQuantity=quantity(130, "mm[Hg]"), effectiveDateTime="2022")
    found = values(await http.get("Observation/$stats?subject=Patient/p&code=8480-6&statistic=average"))
    assert found == {"average": (125, "mm[Hg]")}


async def test_a_statistic_of_too_few_values_is_absent(http: httpx.AsyncClient) -> None:
    wanted = "&statistic=average&statistic=std-dev&statistic=regression&statistic=skew&statistic=count"
    assert "valueQuantity" not in components(await http.get(f"{URL}{wanted}"))["average"]
    await put(http, "one", effectiveDateTime="2022", valueQuantity=quantity(70))
    found = components(await http.get(f"{URL}{wanted}"))
    assert found["average"]["valueQuantity"]["value"] == 70
    for code in ("std-dev", "regression", "skew"):
        assert found[code]["dataAbsentReason"]["coding"][0]["code"] == "not-a-number"


async def test_sources_come_newest_first_up_to_the_limit(eight: httpx.AsyncClient) -> None:
    url = f"{URL}&statistic=average"
    assert made(await eight.get(f"{url}&limit=2"), "source") == []
    assert len(made(await eight.get(f"{url}&include=true"), "source")) == 8
    limited = await eight.get(f"{url}&include=true&limit=2")
    assert [one["id"] for one in made(limited, "source")] == ["w7", "w6"]
    assert values_of_first(limited) == 5


def values_of_first(response: httpx.Response) -> Any:
    return made(response)[0]["component"][0]["valueQuantity"]["value"]


@pytest.mark.parametrize(
    "query",
    ["code=x&statistic=average", "subject=Patient/p&statistic=average", "subject=Patient/p&code=x",
     "subject=Patient/p&code=x&statistic=mode", "subject=p&code=x&statistic=sum",
     "subject=Patient/p&code=x&statistic=sum&duration=0", "subject=Patient/p&code=x&statistic=sum&duration=NaN",
     "subject=Patient/p&code=x&statistic=sum&limit=0"],
)  # fmt: skip
async def test_a_call_that_cannot_be_answered_is_refused(http: httpx.AsyncClient, query: str) -> None:
    response = await http.get(f"Observation/$stats?{query}")
    assert response.status_code == 400
    assert issue(response)["diagnostics"]


async def test_only_what_the_caller_may_see_is_counted(
    eight: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{URL}&statistic=total-count"
    await put(eight, "unseen", status="preliminary", valueQuantity=quantity(1), effectiveDateTime="2021")
    assert values(await eight.get(url))["total-count"][0] == 9
    as_nurse(monkeypatch, searches=True)
    assert values(await eight.get(url))["total-count"][0] == 8
    as_nurse(monkeypatch, searches=False)
    assert (await eight.get(url)).status_code == 403

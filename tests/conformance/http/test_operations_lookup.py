"""$lookup, $subsumes and $find-matches."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conformance.http.operated import Json, operated, parameters, parts_of, said, value_of

URL = "http://example.org/organs"
ORGANS: Json = {
    "resourceType": "CodeSystem", "id": "organs", "url": URL, "version": "1.0", "name": "Organs", "status": "active",
    "content": "complete", "language": "en", "hierarchyMeaning": "is-a", "caseSensitive": True,
    "property": [{"code": "side", "type": "string"}, {"code": "grams", "type": "integer"}],
    "concept": [
        {"code": "organ", "display": "Organ", "concept": [
            {
                "code": "kidney", "display": "Kidney", "definition": "It filters.",
                "designation": [{"language": "de", "value": "Niere"}],
                "property": [{"code": "side", "valueString": "both"}, {"code": "grams", "valueInteger": 150}],
                "concept": [{"code": "left-kidney", "display": "Left kidney"}],
            },
            {"code": "heart", "display": "Heart", "property": [{"code": "grams", "valueInteger": 300}]},
        ]},
        {"code": "cell", "display": "Cell"},
    ],
}  # fmt: skip


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with operated(tmp_path) as client:
        assert (await client.put("CodeSystem/organs", json=ORGANS)).status_code == 201
        yield client


async def looked_up(http: httpx.AsyncClient, query: str) -> dict[str, list[Any]]:
    """The outputs by name; those with parts as their parts by name."""
    answer = await http.get(f"CodeSystem/$lookup?system={URL}&{query}")
    assert answer.status_code == 200, answer.text
    found: dict[str, list[Any]] = {}
    for parameter in answer.json()["parameter"]:
        value = parts_of(parameter) if "part" in parameter else value_of(parameter)
        found.setdefault(parameter["name"], []).append(value)
    return found


async def test_lookup_tells_what_the_system_says_of_a_code(http: httpx.AsyncClient) -> None:
    found = await looked_up(http, "code=kidney")
    assert found["name"] == ["Organs"]
    assert found["version"] == ["1.0"]
    assert found["display"] == ["Kidney"]
    assert found["definition"] == ["It filters."]
    assert found["designation"] == [
        {"language": "en", "value": "Kidney"},
        {"language": "de", "value": "Niere"},
    ]
    assert {"code": "parent", "value": "organ", "description": "Organ"} in found["property"]
    assert {"code": "grams", "value": 150} in found["property"]
    assert {"code": "child", "value": "left-kidney", "description": "Left kidney"} in found["property"]


async def test_lookup_tells_the_properties_that_are_asked_for(http: httpx.AsyncClient) -> None:
    found = await looked_up(http, "code=kidney&property=child&property=lang.de")
    assert found["property"] == [{"code": "child", "value": "left-kidney", "description": "Left kidney"}]
    assert found["designation"] == [{"language": "de", "value": "Niere"}]
    assert "definition" not in found
    every = await looked_up(http, "code=kidney&property=*")
    assert {each["code"] for each in every["property"]} == {"inactive", "parent", "child", "side", "grams"}


async def test_lookup_gives_the_display_in_the_language_asked_for(http: httpx.AsyncClient) -> None:
    assert (await looked_up(http, "code=kidney&displayLanguage=de-AT"))["display"] == ["Niere"]
    assert (await looked_up(http, "code=kidney&displayLanguage=fr"))["display"] == ["Kidney"]
    answer = await http.get(f"CodeSystem/$lookup?system={URL}&code=kidney", headers={"accept-language": "fr, de;q=0.5"})
    display = next(each for each in answer.json()["parameter"] if each["name"] == "display")
    assert display["valueString"] == "Niere"


async def test_lookup_takes_a_coding(http: httpx.AsyncClient) -> None:
    asked = parameters(coding__Coding={"system": URL, "code": "heart"})
    assert (await http.post("CodeSystem/$lookup", json=asked)).status_code == 200


@pytest.mark.parametrize(
    ("query", "status", "text"),
    [
        (f"system={URL}", 400, "code (with system)"),
        ("code=heart", 400, "code with system"),
        (f"system={URL}&code=spleen", 404, "Unknown code 'spleen'"),
        ("system=http://example.org/none&code=a", 404, "'http://example.org/none' could not be found"),
        (f"system={URL}&version=9&code=heart", 404, f"'{URL}|9' could not be found"),
        (f"system={URL}&code=heart&useSupplement=http://example.org/none", 404, "Required supplement not found"),
        (f"system={URL}&code=heart&wrong=1", 400, "no parameter 'wrong'"),
    ],
)
async def test_lookup_says_what_is_wrong(http: httpx.AsyncClient, query: str, status: int, text: str) -> None:
    answer = await http.get(f"CodeSystem/$lookup?{query}")
    assert answer.status_code == status
    assert text in said(answer)


async def test_code_and_coding_at_once_are_refused(http: httpx.AsyncClient) -> None:
    asked = parameters(code__code="heart", system__uri=URL, coding__Coding={"system": URL, "code": "heart"})
    answer = await http.post("CodeSystem/$lookup", json=asked)
    assert answer.status_code == 400
    assert "exactly one" in said(answer)


async def test_a_resource_of_the_call_hides_that_of_the_server(http: httpx.AsyncClient) -> None:
    other = {"resourceType": "CodeSystem", "url": URL, "version": "1.0", "status": "draft", "content": "complete",
             "concept": [{"code": "spleen", "display": "Spleen"}]}  # fmt: skip
    asked = parameters(code__code="spleen", system__uri=URL)
    asked["parameter"].append({"name": "tx-resource", "resource": other})
    assert (await http.post("CodeSystem/$lookup", json=asked)).status_code == 200
    assert (await http.get(f"CodeSystem/$lookup?system={URL}&code=spleen")).status_code == 404


@pytest.mark.parametrize(
    ("a", "b", "outcome"),
    [
        ("organ", "left-kidney", "subsumes"),
        ("left-kidney", "organ", "subsumed-by"),
        ("heart", "heart", "equivalent"),
        ("heart", "kidney", "not-subsumed"),
    ],
)
@pytest.mark.parametrize("place", [f"CodeSystem/$subsumes?system={URL}&", "CodeSystem/organs/$subsumes?"])
async def test_subsumption(http: httpx.AsyncClient, place: str, a: str, b: str, outcome: str) -> None:
    answer = await http.get(f"{place}codeA={a}&codeB={b}")
    assert answer.json()["parameter"] == [{"name": "outcome", "valueCode": outcome}]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        (f"system={URL}&codeA=heart", 400),
        (f"system={URL}&codeA=heart&codeB=spleen", 404),
        ("codeA=heart&codeB=kidney", 400),
    ],
)
async def test_subsumption_says_what_is_wrong(http: httpx.AsyncClient, query: str, status: int) -> None:
    assert (await http.get(f"CodeSystem/$subsumes?{query}")).status_code == status


async def test_codings_of_two_systems_are_not_compared(http: httpx.AsyncClient) -> None:
    asked = parameters(
        codingA__Coding={"system": URL, "code": "heart"}, codingB__Coding={"system": "urn:b", "code": "x"}
    )
    assert (await http.post("CodeSystem/$subsumes", json=asked)).status_code == 400


def with_properties(exact: bool, *wanted: tuple[str, str, Any]) -> Json:
    asked = parameters(system__uri=URL, exact__boolean=exact)
    for code, kind, value in wanted:
        parts = [{"name": "code", "valueCode": code}, {"name": "value", kind: value}]
        asked["parameter"].append({"name": "property", "part": parts})
    return asked


async def test_codes_are_found_by_all_their_properties(http: httpx.AsyncClient) -> None:
    asked = with_properties(True, ("side", "valueString", "both"), ("grams", "valueInteger", 150))
    answer = await http.post("CodeSystem/$find-matches", json=asked)
    assert [part["valueCoding"] for each in answer.json()["parameter"] for part in each["part"]] == [
        {"system": URL, "version": "1.0", "code": "kidney", "display": "Kidney"}
    ]


async def test_codes_are_found_by_as_many_properties_as_can_be(http: httpx.AsyncClient) -> None:
    asked = with_properties(False, ("side", "valueString", "none"), ("grams", "valueInteger", 300))
    answer = await http.post("CodeSystem/organs/$find-matches", json=asked)
    (match,) = answer.json()["parameter"]
    code, unmatched = match["part"]
    assert code["valueCoding"]["code"] == "heart"
    assert parts_of(unmatched) == {"code": "side", "value": "none"}


async def test_versions_names_r4(http: httpx.AsyncClient) -> None:
    answer = await http.get("$versions")
    assert [value_of(each) for each in answer.json()["parameter"]] == ["4.0", "4.0"]

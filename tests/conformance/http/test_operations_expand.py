"""$expand, $validate-code and $batch-validate-code as HTTP sees them; what they find is held to the official tests."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.validation import structure_validator
from tests.conformance.http.operated import Json, operated, parameters, said, value_of
from tests.conformance.http.over_http import issue
from tests.conformance.http.test_operations_lookup import ORGANS, URL

ALL = "http://example.org/ValueSet/all-organs"
GENDER = "http://hl7.org/fhir/administrative-gender"
GENDERS = "http://hl7.org/fhir/ValueSet/administrative-gender"


def value_set(id_: str, *include: Json, **elements: Any) -> Json:
    made = {"resourceType": "ValueSet", "id": id_, "url": f"http://example.org/ValueSet/{id_}", "status": "active"}
    return made | {"compose": {"include": list(include)}} | elements


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with operated(tmp_path) as client:
        for each in (ORGANS, value_set("all-organs", {"system": URL})):
            answer = await client.put(f"{each['resourceType']}/{each['id']}", json=each)
            assert answer.status_code == 201, answer.text
        yield client


def codes(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    waiting, found = list(answer.json()["expansion"].get("contains", ())), []
    while waiting:
        item = waiting.pop(0)
        found.append(item["code"])
        waiting += item.get("contains", ())
    return sorted(found)


EVERY = ["cell", "heart", "kidney", "left-kidney", "organ"]


async def test_a_value_set_is_expanded_by_url_by_id_and_as_it_is_given(http: httpx.AsyncClient) -> None:
    assert codes(await http.get(f"ValueSet/$expand?url={ALL}")) == EVERY
    assert codes(await http.get("ValueSet/all-organs/$expand")) == EVERY
    given = value_set("given", {"system": URL, "filter": [{"property": "concept", "op": "is-a", "value": "kidney"}]})
    assert codes(await http.post("ValueSet/$expand", json=given)) == ["kidney", "left-kidney"]
    assert codes(await http.post("ValueSet/$expand", json=parameters(valueSet=given))) == ["kidney", "left-kidney"]


async def test_a_value_set_is_found_by_the_element_that_it_is_bound_to(http: httpx.AsyncClient) -> None:
    for context in ("Patient.gender", "http://hl7.org/fhir/StructureDefinition/Patient%23Patient.gender"):
        assert (await http.get(f"ValueSet/$expand?context={context}")).json()["url"] == GENDERS
    answer = await http.get("ValueSet/$expand?context=Patient.name")
    assert answer.status_code == 404
    assert "no value set is bound" in said(answer)


async def test_pages_and_filters(http: httpx.AsyncClient) -> None:
    pages = [await http.get(f"ValueSet/$expand?url={ALL}&count=2&offset={offset}") for offset in (0, 2, 4)]
    assert [page.json()["expansion"]["total"] for page in pages] == [5, 5, 5]
    assert sorted(code for page in pages for code in codes(page)) == EVERY
    assert codes(await http.get(f"ValueSet/$expand?url={ALL}&filter=kidn")) == ["kidney", "left-kidney"]


async def test_properties_stand_in_extensions_and_the_answer_is_valid_r4(http: httpx.AsyncClient) -> None:
    answer = (await http.get(f"ValueSet/$expand?url={ALL}&property=grams&includeDesignations=true")).json()
    assert structure_validator().check(answer, "ValueSet") == []
    heart = next(each for each in _all(answer["expansion"]) if each["code"] == "heart")
    (extension,) = heart["extension"]
    assert extension["url"].endswith("extension-ValueSet.expansion.contains.property")
    assert extension["extension"] == [{"url": "code", "valueCode": "grams"}, {"url": "value", "valueInteger": 300}]


def _all(holder: Json) -> list[Json]:
    return [each for item in holder.get("contains", ()) for each in (item, *_all(item))]


async def test_an_expansion_can_be_had_as_xml(http: httpx.AsyncClient) -> None:
    answer = await http.get(f"ValueSet/$expand?url={ALL}", headers={"accept": "application/fhir+xml"})
    assert '<code value="heart"/>' in answer.text


def broken(*includes: Json) -> Json:
    return parameters(valueSet=value_set("broken", *includes))


CIRCLE = parameters(url__uri="http://example.org/ValueSet/a")
for _from, _to in (("a", "b"), ("b", "a")):
    _import = value_set(_from, {"valueSet": [f"http://example.org/ValueSet/{_to}"]})
    CIRCLE["parameter"].append({"name": "tx-resource", "resource": _import})


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        (parameters(), 400, "invalid"),
        (parameters(url__uri="http://example.org/none"), 404, "not-found"),
        (broken({"system": "http://example.org/none"}), 404, "not-found"),
        (broken({"system": URL, "filter": [{"property": "code", "op": "regex", "value": "["}]}), 400, "value"),
        (CIRCLE, 400, "processing"),
        (parameters(url__uri=ALL, count__integer=-1), 400, "invalid"),
    ],
)
async def test_expand_says_what_is_wrong(http: httpx.AsyncClient, asked: Json, status: int, code: str) -> None:
    answer = await http.post("ValueSet/$expand", json=asked)
    assert (answer.status_code, issue(answer)["code"]) == (status, code)
    assert issue(answer)["details"]["text"]


@pytest.mark.parametrize("expression", ["(a+)+$", "((a+)+)+b", "(a|aa)+c", "(.*)*x"])
async def test_an_expression_that_backtracks_for_ever_is_no_danger(http: httpx.AsyncClient, expression: str) -> None:
    system = ORGANS | {"id": "as", "url": "urn:as", "concept": [{"code": "a" * 60 + "!"}]}
    asked = broken({"system": "urn:as", "filter": [{"property": "code", "op": "regex", "value": expression}]})
    asked["parameter"].append({"name": "tx-resource", "resource": system})
    answer = await http.post("ValueSet/$expand", json=asked, timeout=20)
    assert answer.status_code in (200, 403)
    assert (await http.get(f"ValueSet/$expand?url={ALL}")).status_code == 200


def told(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return {each["name"]: value_of(each) for each in answer.json()["parameter"]}


@pytest.mark.parametrize(
    ("place", "result"),
    [
        (f"ValueSet/$validate-code?url={ALL}&system={URL}&code=heart", True),
        (f"ValueSet/$validate-code?url={ALL}&system={URL}&code=spleen", False),
        (f"ValueSet/all-organs/$validate-code?system={URL}&code=heart&display=Heart", True),
        (f"ValueSet/all-organs/$validate-code?system={URL}&code=heart&display=Kidney", False),
        (f"CodeSystem/$validate-code?url={URL}&code=heart", True),
        ("CodeSystem/organs/$validate-code?code=heart", True),
        ("CodeSystem/organs/$validate-code?code=spleen", False),
        (f"ValueSet/$validate-code?context=Patient.gender&system={GENDER}&code=male", True),
    ],
)  # fmt: skip
async def test_codes_are_validated(http: httpx.AsyncClient, place: str, result: bool) -> None:
    found = told(await http.get(place))
    assert found["result"] is result
    assert ("message" in found) is not result


async def test_a_code_is_validated_in_a_system_that_is_given(http: httpx.AsyncClient) -> None:
    given = ORGANS | {"url": "urn:given", "concept": [{"code": "spleen", "display": "Spleen"}]}
    for code, result in (("spleen", True), ("heart", False)):
        asked = parameters(codeSystem=given, code__code=code)
        assert told(await http.post("CodeSystem/$validate-code", json=asked))["result"] is result


@pytest.mark.parametrize("type_", ["ValueSet", "CodeSystem"])
async def test_a_code_is_named_in_one_way(http: httpx.AsyncClient, type_: str) -> None:
    coding = {"system": URL, "code": "heart"}
    asked = parameters(url__uri=ALL, code__code="heart", system__uri=URL, coding__Coding=coding)
    answer = await http.post(f"{type_}/$validate-code", json=asked)
    assert answer.status_code == 400
    assert "exactly one" in said(answer)
    assert (await http.get(f"{type_}/$validate-code?url={ALL}")).status_code == 400


async def test_many_codes_are_validated_at_once(http: httpx.AsyncClient) -> None:
    asked = parameters(url__uri=ALL)
    for code in ("heart", "spleen", ""):
        inner = parameters(coding__Coding={"system": URL, "code": code}) if code else parameters()
        asked["parameter"].append({"name": "validation", "resource": inner})
    answer = await http.post("ValueSet/$batch-validate-code", json=asked)
    found = [each["resource"] for each in answer.json()["parameter"]]
    assert [each["resourceType"] for each in found] == ["Parameters", "Parameters", "OperationOutcome"]
    results = [{p["name"]: value_of(p) for p in each["parameter"]}["result"] for each in found[:2]]
    assert results == [True, False]


async def test_parameters_that_nobody_knows_are_ignored_in_a_body_and_refused_in_a_url(http: httpx.AsyncClient) -> None:
    asked = parameters(url__uri=ALL, profile__uri="http://example.org/some")
    assert (await http.post("ValueSet/$expand", json=asked)).status_code == 200
    assert (await http.get(f"ValueSet/$expand?url={ALL}&profile=x")).status_code == 400

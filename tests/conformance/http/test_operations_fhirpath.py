"""`$fhirpath`: expressions on a resource that comes with the call."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.validation import structure_validator
from tests.builders import observation, patient
from tests.conformance.http.operated import operated, parameters, parts_of
from tests.conformance.http.over_http import issue

WEIGHT = {"value": 72.5, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"}
ANNA = patient(
    "a",
    name=[{"family": "Berg", "given": ["Anna", "Maria"]}, {"text": "Anni"}],
    birthDate="1970-01-02",
    _birthDate={"extension": [{"url": "urn:time", "valueString": "noon"}]},
    contact=[{"name": {"text": "Tom"}, "gender": "male"}],
)


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with operated(tmp_path) as client:
        yield client


async def ask(http: httpx.AsyncClient, resource: Any, expression: str, *more: Any, **texts: str) -> Any:
    body = parameters(resource=resource, expression__string=expression, **{f"{k}__string": v for k, v in texts.items()})
    body["parameter"] += more
    return await http.post("$fhirpath", json=body)


async def results(http: httpx.AsyncClient, resource: Any, expression: str, *more: Any, **texts: str) -> list[Any]:
    answer = await ask(http, resource, expression, *more, **texts)
    assert answer.status_code == 200, answer.text
    return answer.json().get("parameter", [])


def variable(name: str, **value: Any) -> Any:
    return {"name": "variable", "part": [{"name": "name", "valueString": name}, {"name": "value", **value}]}


async def test_each_item_comes_with_its_value_place_and_type(http: httpx.AsyncClient) -> None:
    assert await results(http, ANNA, "Patient.name.given") == [
        {
            "name": "result",
            "part": [
                {"name": "value", "valueString": name},
                {"name": "path", "valueString": f"Patient.name[0].given[{number}]"},
                {"name": "type", "valueString": "string"},
            ],
        }
        for number, name in enumerate(("Anna", "Maria"))
    ]


async def test_a_choice_is_named_by_its_type(http: httpx.AsyncClient) -> None:
    (found,) = await results(http, observation("o", valueQuantity=WEIGHT), "Observation.value")
    assert found["part"][0] == {"name": "value", "valueQuantity": WEIGHT}
    assert parts_of(found)["path"] == "Observation.value.ofType(Quantity)"


@pytest.mark.parametrize(
    ("expression", "key", "value"),
    [
        ("1 + 1", "valueInteger", 2),
        ("1.50", "valueDecimal", 1.5),
        ("name.exists()", "valueBoolean", True),
        ("'a' & 'b'", "valueString", "ab"),
        ("@2020-02-29", "valueDate", "2020-02-29"),
        ("@T10:30:00", "valueTime", "10:30:00"),
        ("@T10", "valueString", "10"),
        ("2147483647L + 1", "valueString", "2147483648"),
    ],
)
async def test_computed_values_have_a_type_and_no_place(
    http: httpx.AsyncClient, expression: str, key: str, value: Any
) -> None:
    (found,) = await results(http, ANNA, expression)
    assert found["part"][0] == {"name": "value", key: value}
    assert "path" not in parts_of(found)


async def test_a_primitive_keeps_its_companion(http: httpx.AsyncClient) -> None:
    (found,) = await results(http, ANNA, "birthDate")
    assert found["part"][0] == {"name": "value", "valueDate": "1970-01-02", "_valueDate": ANNA["_birthDate"]}


async def test_what_no_value_can_hold_stands_in_parts(http: httpx.AsyncClient) -> None:
    (found,) = await results(http, ANNA, "contact")
    assert found["part"][0]["part"] == [
        {"name": "name", "valueHumanName": {"text": "Tom"}},
        {"name": "gender", "valueCode": "male"},
    ]
    assert parts_of(found)["type"] == "Patient.contact"


async def test_a_resource_is_a_result_too(http: httpx.AsyncClient) -> None:
    (found,) = await results(http, ANNA, "%resource")
    assert parts_of(found) == {"value": ANNA, "path": "Patient", "type": "Patient"}


async def test_nothing_found_is_an_answer_without_results(http: httpx.AsyncClient) -> None:
    assert await results(http, ANNA, "photo") == []


async def test_a_context_says_where_to_start(http: httpx.AsyncClient) -> None:
    found = [parts_of(each) for each in await results(http, ANNA, "text | given.first()", context="name")]
    assert [(each["value"], each["context"]) for each in found] == [
        ("Anna", "Patient.name[0]"),
        ("Anni", "Patient.name[1]"),
    ]


async def test_variables_have_the_types_that_they_came_with(http: httpx.AsyncClient) -> None:
    limit, when = variable("limit", valueQuantity=WEIGHT), variable("when", valueDate="1971")
    (found,) = await results(http, ANNA, "%limit > 72 'kg' and Patient.birthDate < %when", limit, when)
    assert parts_of(found)["value"] is True


async def test_an_unset_variable_is_an_error(http: httpx.AsyncClient) -> None:
    assert (await ask(http, ANNA, "%nobody")).status_code == 400


@pytest.mark.parametrize("expression", ["name.where(", "name\n  .nonsense()", "name.nosuch", "(1 | 2) + 1"])
async def test_a_wrong_expression_is_refused_with_its_place(http: httpx.AsyncClient, expression: str) -> None:
    answer = await ask(http, ANNA, expression)
    assert answer.status_code == 400
    assert "(line " in issue(answer)["diagnostics"]
    assert "expression" in issue(answer)["expression"][0]


async def test_a_wrong_context_is_told_from_a_wrong_expression(http: httpx.AsyncClient) -> None:
    answer = await ask(http, ANNA, "given", context="name..")
    assert (answer.status_code, issue(answer)["diagnostics"][:8]) == (400, "context:")


async def test_an_expression_that_takes_too_much_is_cut_off(http: httpx.AsyncClient) -> None:
    expression = "name.given.first()" + ".replace('', 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx')" * 12
    answer = await ask(http, ANNA, expression)
    assert (answer.status_code, issue(answer)["code"]) == (403, "too-costly")


async def test_more_results_than_an_answer_may_hold_are_refused(tmp_path: Path) -> None:
    many = patient("a", name=[{"given": ["x" * 100] * 100}])
    async with operated(tmp_path, max_body=20_000) as http:
        answer = await ask(http, many, "name.given.select(%resource)")
    assert (answer.status_code, issue(answer)["code"]) == (403, "too-costly")


async def test_a_resource_and_an_expression_are_needed(http: httpx.AsyncClient) -> None:
    assert (await http.post("$fhirpath", json=parameters(resource=ANNA))).status_code == 400
    assert (await http.post("$fhirpath", json=parameters(expression__string="1"))).status_code == 400


@pytest.mark.parametrize(
    "elements",
    [
        {"contact": [[1], "x", {"name": "y"}], "birthDate": {"x": 1}},
        {"contact": {"relationship": "x", "_gender": 3}},
        {"contact": [{"relationship": {"x": 1}, "telecom": 3}], "name": {"a": [[1]]}},
    ],
)
async def test_a_resource_that_is_not_valid_has_results_that_are(http: httpx.AsyncClient, elements: Any) -> None:
    found = await results(http, patient("a", **elements), "contact | descendants()")
    assert found
    assert structure_validator().check({"resourceType": "Parameters", "parameter": found}) == []


async def test_a_companion_of_the_wrong_shape_is_no_fault_of_the_server(http: httpx.AsyncClient) -> None:
    assert (await ask(http, patient(contact=[{"_gender": [1]}]), "descendants()")).status_code in (200, 400)

"""Reports against their measures."""

import base64
from typing import Any

import pytest

from tests.unit.validation.resources.told import told

URL = "http://example.org/Measure/m"
SCORING = "http://terminology.hl7.org/CodeSystem/measure-scoring"


def code(value: str) -> dict[str, Any]:
    return {"coding": [{"system": "urn:c", "code": value}]}


def measure(*groups: dict[str, Any], scoring: str = "cohort") -> dict[str, Any]:
    coded = {"coding": [{"system": SCORING, "code": scoring}]}
    return {"resourceType": "Measure", "url": URL, "scoring": coded, "group": list(groups)}


def report(*groups: dict[str, Any], **more: Any) -> dict[str, Any]:
    base = {"resourceType": "MeasureReport", "measure": URL, "status": "complete", "type": "summary"}
    return {**base, "group": list(groups), **more}


def found(made: dict[str, Any], against: dict[str, Any]) -> list[str]:
    return told(made, resolve={URL: against}.get)


def test_a_single_group_needs_no_code() -> None:
    assert found(report({}), measure({})) == []


def test_groups_are_matched_by_code() -> None:
    against = measure({"code": code("a")}, {"code": code("b")})
    assert found(report({"code": code("b")}, {"code": code("a")}), against) == []
    assert found(report({"code": code("a")}), against) == ["MeasureReport"]
    assert found(report({}, {"code": code("a")}), against) == ["MeasureReport.group[0]", "MeasureReport"]
    assert found(report({"code": code("a")}, {"code": code("a")}), against) == [
        "MeasureReport.group[1]",
        "MeasureReport",
    ]
    assert found(report({"code": code("x")}, {"code": code("a")}), against) == [
        "MeasureReport.group[0]",
        "MeasureReport",
    ]


def test_populations_and_stratifiers_are_those_of_the_measure() -> None:
    against = measure({"population": [{"code": code("p")}], "stratifier": [{"code": code("s")}]})
    good = {"population": [{"code": code("p")}], "stratifier": [{"code": [code("s")]}]}
    assert found(report(good), against) == []
    other = {"population": [{"code": code("q")}], "stratifier": [{"code": [code("t")]}]}
    group = "MeasureReport.group[0]"
    assert found(report(other), against) == [f"{group}.population[0]", group, f"{group}.stratifier[0]", group]


def test_a_single_group_has_the_code_of_the_measure_if_both_say_one() -> None:
    assert found(report({"code": code("b")}), measure({"code": code("a")})) == ["MeasureReport.group[0]"]


def test_a_collection_of_data_may_lack_groups_but_has_no_score() -> None:
    against = measure({"code": code("a")}, {"code": code("b")}, scoring="ratio")
    made = report({"code": code("a")}, type="data-collection")
    assert found(made, against) == []
    scored = report({"code": code("a"), "measureScore": {"value": 1}}, type="data-collection")
    assert found(scored, against) == ["MeasureReport.group[0].measureScore"]


def test_a_population_of_a_subject_list_counts_its_subjects() -> None:
    listed = {"resourceType": "List", "id": "l", "entry": [{}, {}]}
    population = {"code": code("p"), "subjectResults": {"reference": "#l"}}
    against = measure({"population": [{"code": code("p")}]})
    for count, kind, bad in ((2, "subject-list", False), (3, "subject-list", True), (2, "summary", True)):
        made = report({"population": [{**population, "count": count}]}, contained=[listed], type=kind)
        assert bool(found(made, against)) == bad


def test_a_measure_observation_need_not_be_reported() -> None:
    system = "http://terminology.hl7.org/CodeSystem/measure-population"
    observation = {"code": {"coding": [{"system": system, "code": "measure-observation"}]}}
    assert found(report({}), measure({"population": [observation]})) == []


@pytest.mark.parametrize(
    ("scoring", "score", "expected"),
    [
        ("cohort", None, []),
        ("cohort", {"value": 1}, [".measureScore"]),
        ("proportion", None, [""]),
        ("proportion", {"value": 0.5}, []),
        ("proportion", {"value": 50}, [".measureScore.value"]),
        ("proportion", {"value": 0.5, "unit": "%"}, [".measureScore.unit"]),
        ("ratio", {"value": 50}, []),
        ("ratio", {"unit": "x"}, [".measureScore"]),
        ("unheard-of", {"value": 50}, []),
    ],
)
def test_a_score_fits_the_scoring(scoring: str, score: dict[str, Any] | None, expected: list[str]) -> None:
    group = {} if score is None else {"measureScore": score}
    assert found(report(group), measure({}, scoring=scoring)) == [f"MeasureReport.group[0]{one}" for one in expected]


ELM = b'<library xmlns="urn:hl7-org:elm:r1"><statements><def name="Old"/></statements></library>'


@pytest.mark.parametrize(
    ("expression", "libraries", "bad"),
    [("Old", ["a"], False), ("A.Old", ["a"], False), ("New", ["a"], True), ("B.Old", ["a"], True), ("Old", [], True)],
)
def test_criteria_in_cql_are_defined_by_the_library(expression: str, libraries: list[str], bad: bool) -> None:
    content = [{"contentType": "application/elm+xml", "data": base64.b64encode(ELM).decode()}]
    known = {"a": {"resourceType": "Library", "name": "A", "content": content}}
    criteria = {"language": "text/cql", "expression": expression}
    made = {**measure({"stratifier": [{"criteria": criteria}]}), "library": libraries}
    at = "Measure.group[0].stratifier[0].criteria"
    assert told(made, resolve=known.get) == ([at] if bad else [])


def test_a_measure_that_nobody_knows_is_a_warning() -> None:
    assert told(report({})) == []
    assert told(report({}), severity="warning") == ["MeasureReport.measure"]

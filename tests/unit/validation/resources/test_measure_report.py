"""Reports against their measures."""

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


def test_a_population_counts_its_subjects() -> None:
    listed = {"resourceType": "List", "id": "l", "entry": [{}, {}]}
    population = {"code": code("p"), "subjectResults": {"reference": "#l"}}
    against = measure({"population": [{"code": code("p")}]})
    for count, bad in ((2, False), (3, True)):
        made = report({"population": [{**population, "count": count}]}, contained=[listed])
        assert bool(found(made, against)) == bad


@pytest.mark.parametrize(
    ("scoring", "score", "expected"),
    [
        ("cohort", {}, []),
        ("cohort", {"measureScore": {"value": 1}}, ["MeasureReport.group[0].measureScore"]),
        ("proportion", {}, ["MeasureReport.group[0]"]),
        ("proportion", {"measureScore": {"value": 0.5}}, []),
        ("proportion", {"measureScore": {"value": 50}}, ["MeasureReport.group[0].measureScore"]),
        ("proportion", {"measureScore": {"value": 50, "unit": "%"}}, []),
        ("ratio", {"measureScore": {"value": 50}}, []),
        ("unheard-of", {"measureScore": {"value": 50}}, []),
    ],
)
def test_a_score_fits_the_scoring(scoring: str, score: dict[str, Any], expected: list[str]) -> None:
    assert found(report(score), measure({}, scoring=scoring)) == expected


def test_a_measure_that_nobody_knows_is_a_warning() -> None:
    assert told(report({})) == []
    assert told(report({}), severity="warning") == ["MeasureReport.measure"]

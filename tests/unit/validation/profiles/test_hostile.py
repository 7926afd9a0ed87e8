"""Definitions and resources that mean harm, or that nobody looked at before they were stored."""

import time
from typing import Any

import pytest

from tests.unit.validation.profiles.builders import URL, errors, findings, observation, patient, profile

Json = dict[str, Any]


def snapshot(*elements: Json) -> Json:
    """A profile on Patient that is nothing but a snapshot."""
    root = {"path": "Patient", "min": 0, "max": "*"}
    return profile("Patient", url=URL) | {"snapshot": {"element": [root, *elements]}, "differential": {"element": []}}


def named(definition: Json, *names: Json) -> list[str]:
    """Errors of a Patient with these names."""
    return errors(patient(name=list(names)), definition)


def test_a_huge_minimum_is_only_a_number() -> None:
    huge = snapshot({"path": "Patient.name", "min": 10**15, "max": "*", "type": [{"code": "HumanName"}]})
    assert named(huge, {"text": "A"}) == ["structure Patient"]


def test_a_regex_that_explodes_is_cut_off() -> None:
    constraint = {"key": "x", "severity": "error", "human": "x", "expression": "matches('(a+)+$')"}
    bad = profile("Patient", {"path": "name.family", "constraint": [constraint]})
    start = time.perf_counter()
    findings(patient(name=[{"family": "a" * 40 + "!"}] * 200), bad)
    assert time.perf_counter() - start < 20


def test_a_thousand_slices_of_a_thousand_elements_end() -> None:
    slicing = {"discriminator": [{"type": "value", "path": "text"}], "rules": "open"}
    elements: list[Json] = [{"path": "Patient.name", "slicing": slicing, "type": [{"code": "HumanName"}]}]
    for number in range(1_000):
        elements.append({"path": "Patient.name", "sliceName": f"s{number}", "type": [{"code": "HumanName"}]})
        elements.append({"path": "Patient.name.text", "fixedString": f"{number}", "type": [{"code": "string"}]})
    start = time.perf_counter()
    assert named(snapshot(*elements), *[{"text": "none"}] * 1_000) == []
    assert time.perf_counter() - start < 20


def test_too_much_work_is_told() -> None:
    slicing = {"rules": "open"}
    elements: list[Json] = [{"path": "Patient.name", "slicing": slicing, "type": [{"code": "HumanName"}]}]
    for number in range(1_000):
        elements.append({"path": "Patient.name", "sliceName": f"s{number}", "type": [{"code": "HumanName"}]})
        elements.append({"path": "Patient.name.text", "min": 1, "fixedString": "x", "type": [{"code": "string"}]})
    found = findings(patient(name=[{"text": "none"}] * 10_000), snapshot(*elements))
    assert "too-costly" in {issue.code for issue in found}


def test_profiles_that_ask_for_each_other_end() -> None:
    first, second = "http://example.net/first", "http://example.net/second"

    def asking(url: str, other: str) -> Json:
        rule = {"key": "c", "severity": "error", "human": "x", "expression": f"conformsTo('{other}')"}
        return profile("Patient", {"path": "", "constraint": [rule]}, url=url)

    assert errors(patient(), asking(first, second), asking(second, first)) == []


def test_a_resource_that_contains_itself_by_reference_ends() -> None:
    url = "http://example.net/self"
    target = [{"code": "Reference", "targetProfile": [url]}]
    circle = profile("Observation", {"path": "hasMember", "type": target}, url=url)
    given = observation(id="o", hasMember=[{"reference": "#"}, {"reference": "Observation/o"}])
    assert errors(given, circle, resolve={"Observation/o": given}.get) == []


JUNK: list[Any] = [None, 1, "x", [], {}, [None], [1], [[]], {"code": 1}, [{"code": 1}], True]


@pytest.mark.parametrize("junk", JUNK)
@pytest.mark.parametrize(
    "member",
    [
        "min",
        "max",
        "type",
        "slicing",
        "constraint",
        "binding",
        "extension",
        "sliceName",
        "contentReference",
        "fixedString",
    ],
)
def test_a_misshapen_definition_is_passed_over(member: str, junk: Any) -> None:
    named(
        snapshot({"path": "Patient.name", member: junk}, {"path": "Patient.name.family", member: junk}), {"family": "A"}
    )


@pytest.mark.parametrize("elements", [None, 1, {}, [], [None], [{"path": 5}], [{"path": "Patient.name"}], [{}]])
def test_a_misshapen_snapshot_is_passed_over(elements: Any) -> None:
    bad = snapshot()
    bad["snapshot"]["element"] = elements
    findings(patient(), bad)


@pytest.mark.parametrize("junk", JUNK)
def test_a_misshapen_resource_is_passed_over(junk: Any) -> None:
    slicing = {"discriminator": [{"type": "value", "path": "system"}], "rules": "closed"}
    strict = profile(
        "Patient", {"path": "telecom", "slicing": slicing}, {"path": "telecom", "sliceName": "a"},
        {"path": "telecom.system", "fixedCode": "phone"}, {"path": "name.given", "max": "1"},
        {"path": "generalPractitioner", "type": [{"code": "Reference", "targetProfile": [URL]}]},
        {"path": "maritalStatus", "binding": {"strength": "required", "valueSet": "http://hl7.org/fhir/ValueSet/x"}},
    )  # fmt: skip
    for name in ("telecom", "name", "generalPractitioner", "maritalStatus", "_gender", "contained"):
        findings(patient(**{name: junk}), strict)
        findings(patient(**{name: [junk]}), strict)


def test_a_discriminator_that_leads_back_to_its_own_element_ends() -> None:
    slicing = {"discriminator": [{"type": "value", "path": "item"}], "rules": "open"}
    inner = profile(
        "Questionnaire", {"path": "item", "slicing": slicing}, {"path": "item", "sliceName": "a"},
        {"path": "item.text", "min": 1},
    )  # fmt: skip
    item = {"linkId": "1", "type": "group", "item": [{"linkId": "2", "type": "string"}]}
    findings({"resourceType": "Questionnaire", "status": "draft", "item": [item]}, inner)

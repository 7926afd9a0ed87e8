"""Full validation as a whole: structure and rules at once, levels, profiles, bounds."""

import time
from decimal import Decimal
from typing import Any

import pytest

from fhir_server.validation import Wanted
from tests.builders import observation, patient, resource
from tests.unit.validation.rules.full import TOLD, errors, issues, validator
from tests.unit.validation.test_probes import INVALID, VALID

GOOD = patient(text=TOLD, gender="female")


def test_a_good_resource_has_no_findings() -> None:
    assert issues(GOOD) == []


@pytest.mark.parametrize("name", VALID)
def test_good_probes_have_no_errors(name: str) -> None:
    assert errors(VALID[name]) == []


@pytest.mark.parametrize("name", INVALID)
def test_bad_probes_have_the_errors_of_structure_once(name: str) -> None:
    body, places = INVALID[name]
    found = [issue for issue in issues(body) if issue.severity == "error"]
    assert set(places) <= {issue.expression[-1] for issue in found}
    told = [(issue.expression, issue.diagnostics) for issue in found]
    assert len(told) == len(set(told))


def test_structure_and_rules_are_told_at_once() -> None:
    body = patient(
        gender="man", foo=1, telecom=[{"value": "1"}], maritalStatus={"coding": [{"system": "x", "code": "M"}]}
    )
    assert [place for place, _ in errors(body)] == [
        "Patient.gender", "Patient", "Patient.telecom[0]", "Patient.maritalStatus.coding[0].system",
    ]  # fmt: skip


def test_the_level_of_structure_leaves_rules_out() -> None:
    assert issues(patient(telecom=[{"value": "1"}]), level="structure") == []


def test_errors_alone_are_the_errors_of_all() -> None:
    body = patient(telecom=[{"value": "1"}], maritalStatus={"text": "x"})
    alone = validator().look(body, None, Wanted(errors_only=True)).issues
    assert alone == [issue for issue in issues(body) if issue.severity == "error"]


def test_the_type_of_the_url_counts() -> None:
    assert [issue.code for issue in validator().check(GOOD, "Observation")] == ["structure"]


def test_a_profile_that_is_asked_for_and_not_known_is_an_error_that_names_it() -> None:
    (issue,) = issues(GOOD, profiles=["http://x.org/p"])
    assert (issue.severity, issue.code) == ("error", "not-found") and "http://x.org/p" in issue.diagnostics


def test_a_profile_that_is_claimed_and_not_known_is_a_warning() -> None:
    (issue,) = issues(GOOD | {"meta": {"profile": ["http://x.org/p"]}})
    assert (issue.severity, issue.expression) == ("warning", ("Patient.meta.profile[0]",))


def test_claiming_the_type_itself_is_nothing_to_tell() -> None:
    assert issues(GOOD | {"meta": {"profile": ["http://hl7.org/fhir/StructureDefinition/Patient"]}}) == []


def test_a_heart_rate_is_held_to_the_profile_of_r4_unless_told_otherwise() -> None:
    code = {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}
    body = observation(code=code, valueQuantity={"value": 72, "unit": "/min"})
    assert errors(body) == []
    assert any("StructureDefinition/heartrate" in issue.diagnostics for issue in issues(body))
    system = "http://terminology.hl7.org/CodeSystem/observation-category"
    body |= {"category": [{"coding": [{"system": system, "code": "vital-signs"}]}]}
    assert errors(body)
    found = validator().look(body, None, Wanted(implied=False))
    assert found.errors == 0


def test_many_warnings_are_no_error() -> None:
    body = observation(code={"coding": [{"system": "http://x.org/cs", "code": str(n)} for n in range(500)]})
    found = issues(body)
    assert 200 <= len(found) <= 202
    assert {issue.severity for issue in found} <= {"warning", "information"}


def test_many_errors_end_in_one_that_says_so() -> None:
    found = issues(patient(telecom=[{"value": "1"}] * 500))
    assert found[-1].code == "too-costly" and len(found) <= 203


def nested(depth: int) -> dict[str, Any]:
    extension: dict[str, Any] = {"url": "u:a", "valueCode": "a"}
    for _ in range(depth):
        extension = {"url": "u:a", "extension": [extension]}
    return patient(extension=[extension])


HOSTILE: dict[str, Any] = {
    "no object": [],
    "null": None,
    "no type": {"id": "a"},
    "type is a list": {"resourceType": ["Patient"]},
    "meta is a list": patient() | {"meta": [{"profile": 3}]},
    "profiles are objects": patient() | {"meta": {"profile": [{}, None, 3]}},
    "codings are texts": patient() | {"maritalStatus": {"coding": ["a", None, 3, {"code": {}, "system": []}]}},
    "extensions are texts": patient() | {"extension": ["a"], "_birthDate": {"extension": "x"}, "_gender": [3]},
    "contained are texts": patient() | {"contained": ["a", {"resourceType": {}}]},
    "dates are numbers": patient() | {"name": [{"period": {"start": 1, "end": {}}}]},
    "numbers without end": observation() | {"valueQuantity": {"value": Decimal("1e9999"), "code": 3}},
    "lone surrogates": patient() | {"maritalStatus": {"coding": [{"system": "\ud800:", "code": "\udfff"}]}},
    "bundles in bundles": {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Bundle", "entry": 3}}]},
    "nested 5,000 deep": nested(5_000),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_misshapen_json_is_told_and_never_raises(name: str) -> None:
    assert any(issue.severity == "error" for issue in issues(HOSTILE[name]))


LARGE: dict[str, Any] = {
    "codings": observation(code={"coding": [{"system": "http://x.org/cs", "code": str(n)} for n in range(20_000)]}),
    "questions": resource(
        "Questionnaire", None, status="draft", item=[{"linkId": str(n), "type": "string"} for n in range(10_000)]
    ),
    "components": observation(
        valueString="x",
        component=[{"code": {"coding": [{"system": "u:a", "code": "z"}]}, "valueString": "y"}] * 5_000,
    ),
    "contained": observation(
        contained=[observation(f"c{n}", hasMember=[{"reference": f"#c{(n + 1) % 3_000}"}]) for n in range(3_000)]
    ),
}


@pytest.mark.parametrize("name", LARGE)
def test_large_resources_take_no_longer_than_their_size(name: str) -> None:
    start = time.perf_counter()
    issues(LARGE[name])
    assert time.perf_counter() - start < 5

"""Value sets that a profile binds elements to."""

from typing import Any

import pytest

from tests.unit.validation.profiles.builders import CORE, errors, findings, observation, patient, profile

Json = dict[str, Any]
VALUE_SET = "http://example.net/letters"
SYSTEM = "http://example.net/alphabet"
ALPHABET: Json = {
    "resourceType": "CodeSystem", "url": SYSTEM, "status": "active", "content": "complete",
    "concept": [{"code": "a"}, {"code": "b"}, {"code": "z"}],
}  # fmt: skip
LETTERS: Json = {
    "resourceType": "ValueSet", "url": VALUE_SET, "status": "active",
    "compose": {"include": [{"system": SYSTEM, "concept": [{"code": "a"}, {"code": "b"}]}]},
}  # fmt: skip


def bound(path: str, strength: str, value_set: str = VALUE_SET, type_: str = "Observation", **more: Any) -> Json:
    """A profile that binds one element."""
    return profile(type_, {"path": path, "binding": {"strength": strength, "valueSet": value_set, **more}})


def coded(*codes: str) -> Json:
    """A concept with these letters."""
    return {"coding": [{"system": SYSTEM, "code": code} for code in codes]}


def severities(code: Json, definition: Json) -> list[str]:
    """Severity and code of each finding about the code of an observation."""
    found = findings(observation(code=code), definition, ALPHABET, LETTERS)
    return [f"{issue.severity} {issue.code} {issue.expression[0]}" for issue in found]


@pytest.mark.parametrize(
    ("strength", "expected"), [("required", "error"), ("extensible", "warning"), ("preferred", "information")]
)
def test_the_strength_says_how_bad_a_wrong_code_is(strength: str, expected: str) -> None:
    assert severities(coded("z"), bound("code", strength)) == [f"{expected} code-invalid Observation.code"]
    assert severities(coded("a"), bound("code", strength)) == []


def test_one_right_coding_is_enough() -> None:
    assert severities(coded("z", "a"), bound("code", "required")) == []


def test_a_required_code_cannot_be_text_alone() -> None:
    assert severities({"text": "x"}, bound("code", "required")) == ["error code-invalid Observation.code"]
    assert severities({"text": "x"}, bound("code", "extensible")) == []


def test_an_example_is_no_rule() -> None:
    assert severities(coded("z"), bound("code", "example")) == []


def test_an_unknown_value_set_is_a_warning_that_names_it() -> None:
    (found,) = findings(observation(code=coded("a")), bound("code", "required", "http://example.net/none"), ALPHABET)
    assert (found.severity, found.code) == ("warning", "not-found")
    assert "http://example.net/none" in found.diagnostics


def test_plain_codes_are_checked() -> None:
    named = bound("name.use", "required", "http://hl7.org/fhir/ValueSet/contact-point-use", "Patient")
    assert errors(patient(name=[{"use": "maiden"}]), named) == ["code-invalid Patient.name[0].use"]
    assert errors(patient(name=[{"use": "old"}]), named) == []


def test_units_are_checked() -> None:
    of = {"type": [{"code": "Quantity"}], "binding": {"strength": "required", "valueSet": VALUE_SET}}
    unit = profile("Observation", {"path": "value[x]", **of})
    for code, expected in (("z", ["code-invalid Observation.value.ofType(Quantity)"]), ("a", [])):
        given = observation(valueQuantity={"value": 1, "system": SYSTEM, "code": code})
        assert errors(given, unit, ALPHABET, LETTERS) == expected


def test_a_maximum_value_set_is_the_outer_limit() -> None:
    limit: Json = {"extension": [{"url": CORE + "elementdefinition-maxValueSet", "valueCanonical": VALUE_SET}]}
    definition = bound("code", "example", "http://hl7.org/fhir/ValueSet/observation-codes", **limit)
    assert severities(coded("z"), definition) == ["error code-invalid Observation.code"]


@pytest.mark.parametrize(
    "url",
    [
        "http://hl7.org/fhir/tools/StructureDefinition/additional-binding",
        "http://hl7.org/fhir/5.0/StructureDefinition/extension-ElementDefinition.binding.additional",
    ],
)
def test_additional_bindings_count(url: str) -> None:
    parts = [{"url": "purpose", "valueCode": "required"}, {"url": "valueSet", "valueCanonical": VALUE_SET}]
    definition = bound(
        "code",
        "example",
        "http://hl7.org/fhir/ValueSet/observation-codes",
        extension=[{"url": url, "extension": parts}],
    )
    assert severities(coded("z"), definition) == ["error code-invalid Observation.code"]
    assert severities(coded("b"), definition) == []


def test_units_of_components_of_vital_signs_are_recommended_only() -> None:
    signs = {"url": CORE + "vitalsigns"}
    quantity = {"value": 1, "system": "http://unitsofmeasure.org", "code": "L/min"}
    given = observation(component=[{"code": {"text": "flow"}, "valueQuantity": quantity}])
    found = [issue for issue in findings(given, signs) if "ucum-vitals-common" in issue.diagnostics]
    assert [issue.severity for issue in found] == ["warning"]


def test_additional_bindings_for_some_uses_only_are_left_alone() -> None:
    url = "http://hl7.org/fhir/tools/StructureDefinition/additional-binding"
    parts = [
        {"url": "purpose", "valueCode": "required"}, {"url": "valueSet", "valueCanonical": VALUE_SET},
        {"url": "usage", "valueUsageContext": {"code": {"code": "age"}}},
    ]  # fmt: skip
    assert severities(coded("z"), bound("code", "example", extension=[{"url": url, "extension": parts}])) == []

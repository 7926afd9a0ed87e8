"""Fixed values, patterns, bounds and lengths."""

from typing import Any

import pytest

from tests.unit.validation.profiles.builders import CORE, errors, findings, observation, patient, profile

MASS = {"system": "http://unitsofmeasure.org", "code": "kg"}


def test_a_fixed_primitive_must_be_equal() -> None:
    other = profile("Patient", {"path": "gender", "fixedCode": "other"})
    assert errors(patient(gender="male"), other) == ["value Patient.gender"]
    assert errors(patient(gender="other"), other) == []
    assert errors(patient(), other) == []


def test_a_fixed_boolean_is_no_number() -> None:
    active = profile("Patient", {"path": "active", "fixedBoolean": True})
    assert errors(patient(active=True), active) == []
    assert errors(patient(active=False), active) == ["value Patient.active"]


def test_a_fixed_object_allows_nothing_else() -> None:
    fixed = profile("Observation", {"path": "code", "fixedCodeableConcept": {"text": "x"}})
    assert errors(observation(code={"text": "x"}), fixed) == []
    assert errors(observation(code={"text": "x", "coding": [{"code": "a"}]}), fixed) == [
        "value Observation.code.coding"
    ]


def test_an_id_beside_a_fixed_value_does_not_matter() -> None:
    fixed = profile("Observation", {"path": "code", "fixedCodeableConcept": {"text": "x"}})
    assert errors(observation(code={"id": "1", "text": "x"}), fixed) == []


PATTERN = {"coding": [{"system": "urn:a", "code": "1"}]}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ({"coding": [{"system": "urn:a", "code": "1", "display": "One"}], "text": "x"}, []),
        ({"coding": [{"system": "urn:b", "code": "2"}, {"system": "urn:a", "code": "1"}]}, []),
        ({"coding": [{"system": "urn:a", "code": "2"}]}, ["value Observation.code"]),
        ({"text": "x"}, ["value Observation.code"]),
    ],
)
def test_a_pattern_needs_all_of_it_and_allows_more(code: dict[str, Any], expected: list[str]) -> None:
    assert (
        errors(observation(code=code), profile("Observation", {"path": "code", "patternCodeableConcept": PATTERN}))
        == expected
    )


def test_a_pattern_of_one_member_tells_that_member() -> None:
    unit = profile(
        "Observation", {"path": "value[x]", "type": [{"code": "Quantity"}], "patternQuantity": {"code": "kg"}}
    )
    assert errors(observation(valueQuantity={"value": 1, "code": "g"}), unit) == [
        "value Observation.value.ofType(Quantity).code"
    ]


def test_the_message_names_both_values_and_the_profile() -> None:
    (found,) = findings(patient(gender="male"), profile("Patient", {"path": "gender", "fixedCode": "other"}))
    assert found.diagnostics == (
        "Value is 'male' but is fixed to 'other' in the profile http://example.net/profile#Patient.gender"
    )


@pytest.mark.parametrize(
    ("value", "code", "expected"), [(1, "kg", 0), (-1, "g", 1), (11_000, "g", 1), (9_999, "g", 0), (1, "m", 0)]
)
def test_quantities_are_compared_in_their_units(value: int, code: str, expected: int) -> None:
    bounds = {"minValueQuantity": {"value": 0, **MASS}, "maxValueQuantity": {"value": 10, **MASS}}
    between = profile("Observation", {"path": "value[x]", "type": [{"code": "Quantity"}], **bounds})
    given = observation(valueQuantity={"value": value, "system": MASS["system"], "code": code})
    assert len(errors(given, between)) == expected


@pytest.mark.parametrize(("born", "expected"), [("1899-12-31", 1), ("1900-01-01", 0), ("1900", 0), ("2100-02-02", 1)])
def test_dates_are_compared_as_far_as_they_are_known(born: str, expected: int) -> None:
    between = profile("Patient", {"path": "birthDate", "minValueDate": "1900-01-01", "maxValueDate": "2100-01-01"})
    assert len(errors(patient(birthDate=born), between)) == expected


def test_integers_have_bounds() -> None:
    few = profile("Patient", {"path": "multipleBirth[x]", "type": [{"code": "integer"}], "maxValueInteger": 5})
    assert errors(patient(multipleBirthInteger=6), few) == ["invalid Patient.multipleBirth.ofType(integer)"]
    assert errors(patient(multipleBirthInteger=5), few) == []


def test_texts_have_a_longest_length() -> None:
    short = profile("Patient", {"path": "name.family", "maxLength": 3})
    assert errors(patient(name=[{"family": "Abcd"}]), short) == ["too-long Patient.name[0].family"]
    assert errors(patient(name=[{"family": "Abc"}]), short) == []


def test_texts_have_a_shortest_length_by_extension() -> None:
    long = profile("Patient", {"path": "id", "extension": [{"url": CORE + "minLength", "valueInteger": 20}]})
    assert errors(patient(id="8"), long) == ["invalid Patient.id"]


def test_an_element_without_a_value_needs_the_extension_that_stands_for_it() -> None:
    url = "http://hl7.org/fhir/5.0/StructureDefinition/extension-ElementDefinition.valueAlternatives"
    alternatives = {"extension": [{"url": url, "valueCanonical": CORE + "data-absent-reason"}]}
    either = profile("Patient", {"path": "active", "min": 1, **alternatives})
    absent = {"extension": [{"url": CORE + "data-absent-reason", "valueCode": "masked"}]}
    assert errors(patient(_active=absent), either) == []
    assert errors(patient(active=True), either) == []
    assert errors(patient(_active={"extension": [{"url": "http://x", "valueCode": "a"}]}), either) == [
        "invalid Patient.active"
    ]


def test_an_extension_cannot_stand_for_a_value_that_must_be_there() -> None:
    url = "http://hl7.org/fhir/5.0/StructureDefinition/extension-ElementDefinition.mustHaveValue"
    valued = profile("Patient", {"path": "active", "extension": [{"url": url, "valueBoolean": True}]})
    absent = {"extension": [{"url": CORE + "data-absent-reason", "valueCode": "masked"}]}
    assert errors(patient(_active=absent), valued) == ["invalid Patient.active"]
    assert errors(patient(active=True), valued) == []

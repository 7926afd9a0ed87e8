"""Typed results, plain results, navigation of choices, primitives with extensions, variables and services."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from fhir_server.fhirpath import FhirPathError, Node, Options, Services, compile_expression, evaluate
from fhir_server.fhirpath.types import default_model

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p",
    "name": [
        {"family": "Chalmers", "given": ["Peter", "James"]},
        {"given": [None, "Jim"], "_given": [{"id": "g"}, None]},
    ],
    "_birthDate": {"extension": [{"url": "http://x.org/unknown", "valueCode": "asked"}]},
    "multipleBirthInteger": 2,
    "contact": [{"gender": "female"}],
    "contained": [{"resourceType": "Organization", "id": "o", "name": "Acme"}],
    "managingOrganization": {"reference": "#o"},
    "generalPractitioner": [{"reference": "Practitioner/1"}, {"reference": "http://x.org/fhir/Organization/2/_history/3"}],
}  # fmt: skip


def typed(expression: str, resource: Any = PATIENT, **options: Any) -> list[Node]:
    return compile_expression(expression).evaluate(resource, **options)


@pytest.mark.parametrize(
    ("expression", "type_name", "location", "path"),
    [
        ("name[1].given[1]", "string", ("name", 1, "given", 1), "Patient.name[1].given[1]"),
        ("multipleBirth", "integer", ("multipleBirthInteger",), "Patient.multipleBirth.ofType(integer)"),
        ("contact", "Patient.contact", ("contact", 0), "Patient.contact[0]"),
        ("contained.name", "string", ("contained", 0, "name"), "Patient.contained[0].name"),
        ("birthDate.extension", "Extension", ("birthDate", "extension", 0), "Patient.birthDate.extension[0]"),
        ("Patient", "Patient", (), "Patient"),
    ],
)
def test_result_knows_its_type_and_place(expression: str, type_name: str, location: tuple[Any, ...], path: str) -> None:
    [node] = typed(expression)
    assert (node.type, node.location, node.path(default_model())) == (type_name, location, path)


def test_computed_result_has_a_system_type_and_no_place() -> None:
    [node] = typed("name.count() + 1")
    assert (node.type, node.value, node.location) == ("System.Integer", 3, ())


def test_primitive_without_value_is_an_element_all_the_same() -> None:
    assert evaluate(PATIENT, "birthDate.exists() and birthDate.hasValue().not()") == [True]
    assert evaluate(PATIENT, "birthDate.extension('http://x.org/unknown').value") == ["asked"]
    assert evaluate(PATIENT, "name[1].given") == [{"id": "g"}, "Jim"]
    assert evaluate(PATIENT, "birthDate = @2020-01-01") == []


def test_plain_results_are_json_values_and_strings() -> None:
    assert evaluate({}, "@2020-01 | @T10:30 | 1.50 | true") == ["2020-01", "10:30", Decimal("1.50"), True]
    assert evaluate({}, "4 days") == [{"value": Decimal(4), "unit": "day"}]
    assert evaluate(PATIENT, "contact.type()") == [{"namespace": "FHIR", "name": "Patient.contact"}]


def test_floats_are_decimals_by_their_shortest_spelling() -> None:
    observation = {"resourceType": "Observation", "valueQuantity": {"value": 0.1}}
    assert evaluate(observation, "value.value + 0.2 = 0.3") == [True]


def test_json_name_of_a_choice_is_no_path() -> None:
    assert typed("Patient.multipleBirthInteger") == []
    with pytest.raises(FhirPathError, match="Patient has no element 'multipleBirthInteger'"):
        evaluate(PATIENT, "Patient.multipleBirthInteger")


def test_object_without_a_resource_type_is_walked_by_its_keys() -> None:
    loose = {"a": [{"b": 1}, {"b": 2}], "valueQuantity": {"code": "kg"}}
    assert evaluate(loose, "a.b") == [1, 2]
    assert evaluate(loose, "value.ofType(Quantity).code") == ["kg"]


@pytest.mark.parametrize("broken", [None, [], "x", 5, {"resourceType": 5}, {"resourceType": "Patient", "name": "x"},
                                    {"resourceType": "Patient", "name": [None, 5, {"given": {"x": 1}}]}])  # fmt: skip
def test_broken_data_gives_nothing_and_no_crash(broken: Any) -> None:
    found = compile_expression("Patient.name.where(use = 'official').given.matches('x')")
    assert found.evaluate(broken) == []
    assert found.values(broken) == []


# --- variables


def test_variables_are_json_or_lists_of_json() -> None:
    variables = {
        "limit": 1.5,
        "names": ["Jim", "Peter"],
        "org": {"resourceType": "Organization", "name": "Acme"},
        "none": None,
    }
    assert evaluate(PATIENT, "name.given.where($this in %names)", variables) == ["Peter", "Jim"]
    assert evaluate(PATIENT, "%org.name & %limit.toString() & %none", variables) == ["Acme1.5"]


def test_variable_without_a_value_is_an_error_with_its_place() -> None:
    with pytest.raises(FhirPathError, match=r"there is no variable %nope \(line 1, column 8\)"):
        evaluate(PATIENT, "name | %nope")


def test_context_is_the_element_and_resource_is_the_one_around_it() -> None:
    [organization] = typed("contained")
    assert [n.value for n in typed("%context.id | %resource.id", context=organization)] == ["o"]
    assert [n.value for n in typed("%rootResource.id", context=organization)] == ["p"]
    [contact] = typed("contact")
    assert [n.value for n in typed("gender | %resource.id", context=contact)] == ["female", "p"]


def test_defined_variable_lives_to_the_end_of_its_branch() -> None:
    assert evaluate(PATIENT, "defineVariable('n', name.first()).select(%n.given.last())") == ["James"]
    with pytest.raises(FhirPathError, match="no variable %n"):
        evaluate(PATIENT, "select(defineVariable('n')).select(%n)")
    with pytest.raises(FhirPathError, match="the name is taken"):
        evaluate(PATIENT, "defineVariable('ucum', 1)")


# --- references


def test_resolve_finds_contained_resources_without_a_service() -> None:
    [node] = typed("managingOrganization.resolve()")
    assert (node.type, node.location) == ("Organization", ("contained", 0))


def test_resolve_finds_entries_of_the_bundle() -> None:
    entries = [
        {"fullUrl": "http://x.org/Patient/1", "resource": {"resourceType": "Patient", "id": "1", "active": True}},
        {"resource": {"resourceType": "Observation", "subject": {"reference": "Patient/1"}}},
    ]
    bundle = {"resourceType": "Bundle", "entry": entries}
    assert evaluate(bundle, "entry.resource.ofType(Observation).subject.resolve().active") == [True]


def test_resolve_asks_the_service_for_the_rest() -> None:
    def fetch(reference: str) -> dict[str, Any] | None:
        return {"resourceType": "Practitioner", "id": "1"} if reference == "Practitioner/1" else None

    assert [n.value for n in typed("generalPractitioner.resolve().id", resolve=fetch)] == ["1"]


def test_type_of_a_reference_is_known_without_following_it() -> None:
    found = compile_expression("Patient.generalPractitioner.where(resolve() is Organization).reference")
    assert found.values(PATIENT) == ["http://x.org/fhir/Organization/2/_history/3"]
    assert [n.value for n in found.evaluate(PATIENT)] == found.values(PATIENT)


def test_contained_reference_is_judged_by_what_it_contains() -> None:
    found = compile_expression("Patient.managingOrganization.where(resolve() is Organization)")
    assert found.values(PATIENT) == [{"reference": "#o"}]


# --- services


def test_terminology_and_profiles_are_asked_of_the_services() -> None:
    services = Services(
        member_of=lambda code, url: code == "female" and url == "http://x.org/vs",
        subsumes=lambda wide, narrow: len(wide) <= len(narrow),
        conforms_to=lambda resource, url: url == "http://x.org/yes" if url.startswith("http://x.org") else None,
    )
    options = Options(services)
    assert [n.value for n in typed("contact.gender.memberOf('http://x.org/vs')", options=options)] == [True]
    assert [n.value for n in typed("'a'.subsumes('ab') and 'ab'.subsumedBy('a')", options=options)] == [True]
    assert [n.value for n in typed("conformsTo('http://x.org/yes')", options=options)] == [True]
    with pytest.raises(FhirPathError, match="there is no profile urn:x"):
        typed("conformsTo('urn:x')", options=options)


def test_without_a_service_membership_is_unknown() -> None:
    assert evaluate(PATIENT, "contact.gender.memberOf('http://x.org/vs')") == []


def test_clock_is_read_once_and_given_from_outside() -> None:
    options = Options(Services(now=lambda: datetime(2024, 2, 29, 10, 30, 5, 123456, tzinfo=UTC)))
    found = typed("now() | today() | timeOfDay()", options=options)
    assert [n.value for n in found] == ["2024-02-29T10:30:05.123Z", "2024-02-29", "10:30:05.123"]


def test_trace_hands_its_items_to_the_service() -> None:
    seen: list[tuple[str, int]] = []
    options = Options(Services(trace=lambda name, items: seen.append((name, len(items)))))
    assert len(typed("name.trace('names').trace('given', given)", options=options)) == 2
    assert seen == [("names", 2), ("given", 4)]


def test_expressions_are_compiled_once() -> None:
    assert compile_expression("name.given") is compile_expression("name.given")


def test_as_on_several_items_filters_unless_strict() -> None:
    found = compile_expression("Patient.name as HumanName")
    assert len(found.evaluate(PATIENT)) == 2
    with pytest.raises(FhirPathError, match="use ofType"):
        found.evaluate(PATIENT, options=Options(strict=True))

"""What SQL on FHIR needs of FHIRPath: keys, constants put in beforehand, types of results, bounds of periods."""

import pytest

from fhir_server.fhirpath import FhirPathError, compile_expression, evaluate

OBSERVATION = {
    "resourceType": "Observation", "id": "o", "subject": {"reference": "Patient/p/_history/3"},
    "effectivePeriod": {"start": "2020", "end": "2021-02"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("getResourceKey()", ["o"]), ("subject.getReferenceKey()", ["p"]), ("subject.getReferenceKey(Patient)", ["p"]),
        ("subject.getReferenceKey(FHIR.Patient)", ["p"]), ("subject.getReferenceKey('Group')", []),
        ("subject.getResourceKey()", []), ("encounter.getReferenceKey()", []), ("code.getReferenceKey()", []),
        ("effective.lowBoundary()", ["2020-01-01T00:00:00.000+14:00"]),
        ("effective.highBoundary()", ["2021-02-28T23:59:59.999-12:00"]),
    ],
)  # fmt: skip
def test_keys_and_bounds(expression: str, expected: list[str]) -> None:
    assert evaluate(OBSERVATION, expression, strict=False) == expected
    assert compile_expression(expression).values(OBSERVATION) == expected


def test_open_period_has_no_bound_on_that_side() -> None:
    assert (
        evaluate({"resourceType": "Observation", "effectivePeriod": {"start": "2020"}}, "effective.highBoundary()")
        == []
    )


def test_constants_are_put_in_and_keep_their_types() -> None:
    patient = {"resourceType": "Patient", "active": True, "name": [{"use": "usual"}, {"use": "old"}]}
    one, yes = (
        compile_expression("name[%n].use", constants={"n": 1}),
        compile_expression("active = %n", constants={"n": True}),
    )
    assert one.values(patient) == ["old"]
    assert yes.values(patient) == [True]
    assert one.is_plain("Patient")


def test_variables_that_are_not_given_are_known_beforehand() -> None:
    found = compile_expression("name.where(use = %use and %ucum.exists()).select(%other | %resource)")
    assert found.undefined == {"use", "other"}
    assert compile_expression("%use", constants={"use": "x"}).undefined == frozenset()


def test_types_of_results_are_inferred() -> None:
    assert compile_expression("name").check("Patient") == {"HumanName"}
    assert compile_expression("value.ofType(Quantity).value").check("Observation") == {"decimal"}
    assert compile_expression("name.given.join(' ')").check("Patient") == {"System.String"}
    assert compile_expression("resolve()").check("Reference") is None
    with pytest.raises(FhirPathError):
        compile_expression("nothing").check("Patient")


def test_join_is_compiled_onto_the_json() -> None:
    joined = compile_expression("name.given.join(', ')")
    assert joined.is_plain("Patient")
    assert joined.values({"resourceType": "Patient", "name": [{"given": ["a", "b"]}, {}]}) == ["a, b"]
    odd = {"resourceType": "Patient", "name": [{"given": [None, "b"], "_given": [{"id": "x"}, None]}]}
    assert joined.values(odd) == ["b"]
    assert not compile_expression("multipleBirth.ofType(integer).join()").is_plain("Patient")

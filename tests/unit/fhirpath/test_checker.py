"""Strict mode: names that the types of R4 do not have, and orders that are none."""

import pytest

from fhir_server import definitions
from fhir_server.fhirpath import FhirPathError, compile_expression


@pytest.mark.parametrize(
    ("type_name", "expression", "message", "column"),
    [
        ("Patient", "name.given1", "HumanName has no element 'given1'", 6),
        ("Patient", "name.where(usee = 'x')", "HumanName has no element 'usee'", 12),
        ("Patient", "Encounter.name", "the expression is about Encounter, the input is Patient", 1),
        ("Patient", "Encounter.status | Bundle.type", "about Encounter", 1),
        ("Observation", "(value as Period).unit", "Period has no element 'unit'", 19),
        ("Observation", "valueQuantity", "has no element 'valueQuantity'", 1),
        ("Observation", "code.coding.first().foo", "Coding has no element 'foo'", 21),
        ("Patient", "children().skip(1)", "no order", 12),
        ("Patient", "descendants()[0]", "no order", 14),
        ("Patient", "name.endsWith('x')", "endsWith() takes a string, not HumanName", 6),
        ("Questionnaire", "repeat(item).link", "Questionnaire.item has no element 'link'", 14),
        ("Patient", "%resource.foo", "Patient has no element 'foo'", 11),
        ("Patient", "1.foo", "System.Integer has no element 'foo'", 3),
    ],
)
def test_what_cannot_be_there_is_refused(type_name: str, expression: str, message: str, column: int) -> None:
    with pytest.raises(FhirPathError) as caught:
        compile_expression(expression).check(type_name)
    assert message in caught.value.message
    assert caught.value.position is not None
    assert caught.value.position.column == column


@pytest.mark.parametrize(
    ("type_name", "expression"),
    [
        ("Patient", "Patient.name | Encounter.status"),
        ("Patient", "Resource.meta.tag | DomainResource.text"),
        ("Patient", "contained.anything.goes"),
        ("Bundle", "entry.resource.name.family"),
        ("Observation", "value.unit"),
        ("Patient", "generalPractitioner.resolve().qualification"),
        ("Patient", "children().name"),
        ("Patient", "iif(active, name, contact.name).family"),
        ("Patient", "birthDate.extension('x').value"),
    ],
)
def test_what_may_be_there_is_let_through(type_name: str, expression: str) -> None:
    compile_expression(expression).check(type_name)


def test_every_search_parameter_passes_for_every_type_of_its_base() -> None:
    parameters = [p for p in definitions.load().search_parameters if p.expression]
    assert len(parameters) > 1300
    for parameter in parameters:
        for base in parameter.base:
            compile_expression(str(parameter.expression)).check(base)

"""Loaded definitions add to the R4 facts without changing them."""

from fhir_server.definitions import (
    Element,
    ElementType,
    PatientLink,
    SearchParameterDefinition,
    TypeDefinition,
    load,
)

R4 = load()


def view_definition(abstract: bool = False) -> TypeDefinition:
    name = Element("name", "ViewDefinition.name", 0, 1, (ElementType("string"),))
    return TypeDefinition(
        name="ViewDefinition",
        kind="resource",
        base="DomainResource",
        abstract=abstract,
        elements=(name,),
        by_name={"name": name},
    )


def test_added_resource_type_has_an_endpoint_and_elements() -> None:
    more = R4.with_types([view_definition()])
    assert len(more.resource_types) == 146
    assert "ViewDefinition" in more.types
    assert more.types["Patient"] is R4.types["Patient"]
    found = more.element("ViewDefinition.name")
    assert found is not None
    assert found.types[0].code == "string"
    assert set(more.types) == {*R4.types, "ViewDefinition"}


def test_r4_facts_stay_as_they_are() -> None:
    R4.with_types([view_definition()])
    assert len(R4.resource_types) == 145
    assert "ViewDefinition" not in R4.types
    assert "ViewDefinition" not in R4.patient_links


def test_added_resource_type_reaches_no_patient_unless_said() -> None:
    assert R4.with_types([view_definition()]).patient_links["ViewDefinition"] == ()
    link = PatientLink("subject")
    more = R4.with_types([view_definition()], patient_links={"ViewDefinition": (link,)})
    assert more.patient_links["ViewDefinition"] == (link,)
    assert more.patient_links["Task"] == R4.patient_links["Task"]


def test_abstract_type_has_no_endpoint() -> None:
    assert R4.with_types([view_definition(abstract=True)]).resource_types == R4.resource_types


def test_search_parameters_are_added_or_replaced_by_url() -> None:
    new = SearchParameterDefinition("http://example.org/p", "p", "p", ("Patient",), "string", "Patient.name")
    changed = SearchParameterDefinition(R4.search_parameters[0].url, "x", "x", ("Patient",), "string", "Patient.name")
    more = R4.with_types([], [new, changed])
    assert len(more.search_parameters) == 1376
    assert new in more.search_parameters
    assert changed in more.search_parameters
    assert R4.search_parameters[0] not in more.search_parameters

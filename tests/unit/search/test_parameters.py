"""The registry of search parameters."""

from typing import Any

import pytest

from fhir_server import definitions
from fhir_server.search.parameters import ParameterRegistry

STANDARD = ParameterRegistry.standard()


def search_parameter(**fields: Any) -> dict[str, Any]:
    code = fields.get("code", "nickname")
    default = {
        "resourceType": "SearchParameter",
        "url": f"http://example.org/SearchParameter/{code}",
        "status": "active",
        "code": "nickname",
        "base": ["Patient"],
        "type": "string",
        "expression": "Patient.name.where(use = 'nickname').given",
    }
    return default | fields


def test_every_type_with_an_endpoint_has_parameters() -> None:
    assert STANDARD.types == definitions.load().resource_types
    assert len(STANDARD.types) == 145


def test_a_type_has_its_own_parameters_and_those_of_all_resources() -> None:
    codes = set(STANDARD.of("Patient"))
    assert {"name", "birthdate", "general-practitioner"} <= codes
    assert {"_id", "_lastUpdated", "_tag", "_profile", "_security", "_source", "_text", "_content"} <= codes
    assert "_query" not in codes


def test_binary_is_no_domain_resource_and_has_no_narrative_to_search() -> None:
    assert STANDARD.get("Binary", "_text") is None
    assert STANDARD.get("Binary", "_content") is not None


def test_a_parameter_says_what_it_is() -> None:
    subject = STANDARD.get("Observation", "subject")
    assert subject is not None
    assert (subject.type, subject.base_type) == ("reference", "Observation")
    assert subject.targets == ("Group", "Device", "Patient", "Location")
    date = STANDARD.get("Observation", "date")
    assert date is not None
    assert "sa" in date.comparators
    name = STANDARD.get("Patient", "name")
    assert name is not None
    assert "exact" in name.modifiers


def test_a_composite_knows_its_components() -> None:
    found = STANDARD.get("Observation", "component-code-value-quantity")
    assert found is not None
    assert [(c.code, c.type, c.expression) for c in found.components] == [
        ("component-code", "token", "code"),
        ("component-value-quantity", "quantity", "value.as(Quantity)"),
    ]
    assert found.multiple_or is False


def test_unknown_types_and_codes_are_none() -> None:
    assert STANDARD.get("Patient", "nope") is None
    assert STANDARD.get("Nope", "name") is None
    assert dict(STANDARD.of("Nope")) == {}


def test_the_parameters_that_types_share_have_one_kind() -> None:
    shared = STANDARD.common(["Patient", "Observation"])
    assert "identifier" in shared
    assert "_tag" in shared
    assert "name" not in shared
    assert set(STANDARD.common(["Patient"])) == set(STANDARD.of("Patient"))
    assert STANDARD.common([]) == {}


def test_a_custom_parameter_stands_beside_the_standard_ones() -> None:
    registry = STANDARD.with_custom([search_parameter()])
    found = registry.get("Patient", "nickname")
    assert found is not None
    assert (found.type, found.base_type) == ("string", "Patient")
    assert registry.get("Practitioner", "nickname") is None
    assert registry.get("Patient", "name") == STANDARD.get("Patient", "name")
    assert STANDARD.get("Patient", "nickname") is None


def test_with_custom_starts_from_the_standard_ones_each_time() -> None:
    registry = STANDARD.with_custom([search_parameter()]).with_custom([search_parameter(code="other")])
    assert registry.get("Patient", "nickname") is None
    assert registry.get("Patient", "other") is not None


@pytest.mark.parametrize("status", ["draft", "retired", "unknown", None])
def test_only_active_ones_count(status: str | None) -> None:
    assert STANDARD.with_custom([search_parameter(status=status)]).get("Patient", "nickname") is None


def test_a_custom_parameter_of_all_resources_stands_on_every_type() -> None:
    custom = search_parameter(code="language", base=["Resource"], type="token", expression="Resource.language")
    registry = STANDARD.with_custom([custom])
    assert registry.get("Binary", "language") is not None
    # Patient has a `language` of its own, which is another thing.
    assert registry.get("Patient", "language") == STANDARD.get("Patient", "language")


def test_a_parameter_of_the_specification_cannot_be_replaced() -> None:
    custom = search_parameter(code="identifier", type="token", expression="Patient.link.other.identifier")
    registry = STANDARD.with_custom([custom])
    assert registry.get("Patient", "identifier") == STANDARD.get("Patient", "identifier")


def test_of_two_custom_ones_of_a_code_the_last_url_wins_in_any_order() -> None:
    first, last = (
        search_parameter(url=f"http://example.org/{n}", expression=f"Patient.{n}.exists()") for n in ("gender", "name")
    )
    for order in ([first, last], [last, first]):
        found = STANDARD.with_custom(order).get("Patient", "nickname")
        assert found is not None
        assert found.expression == "Patient.name.exists()"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"expression": "Patient.name.where("}, "column 20"),
        ({"expression": "Patient.nmae.given"}, "Patient has no element 'nmae' .*column 9"),
        ({"expression": "Patient.name.frobnicate()"}, "no function frobnicate.*column 14"),
        ({"expression": "Patient.deceased.as(Foo)"}, "no type Foo"),
        ({"expression": None}, "without an expression"),
        ({"code": None}, "needs code"),
        ({"base": []}, "needs code, base"),
        ({"base": "Patient"}, "needs code, base"),
        ({"type": "text"}, "needs code, base and type"),
        ({"base": ["Pation"]}, "no resource type 'Pation'"),
        ({"base": ["HumanName"]}, "no resource type 'HumanName'"),
        ({"type": "composite"}, "two components"),
        (
            {"type": "composite", "component": [{"definition": "http://nope", "expression": "given"}] * 2},
            "no search parameter of this server",
        ),
        (
            {
                "type": "composite",
                "component": [
                    {"definition": "http://hl7.org/fhir/SearchParameter/individual-given", "expression": "given("}
                ]
                * 2,
            },
            "column",
        ),
    ],
)
def test_a_definition_that_cannot_work_is_refused_and_says_where(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        STANDARD.check(search_parameter(**fields))
    with pytest.raises(ValueError, match=message):
        STANDARD.with_custom([search_parameter(**fields)])


def test_a_custom_composite_takes_its_components_from_known_parameters() -> None:
    base = "http://hl7.org/fhir/SearchParameter"
    component = [
        {"definition": f"{base}/individual-family|4.0.1", "expression": "family"},
        {"definition": f"{base}/individual-given", "expression": "given"},
    ]
    custom = search_parameter(code="full", type="composite", expression="Patient.name", component=component)
    found = STANDARD.with_custom([custom]).get("Patient", "full")
    assert found is not None
    assert [(c.type, c.expression) for c in found.components] == [("string", "family"), ("string", "given")]


def test_the_version_changes_with_what_extraction_depends_on_and_by_type() -> None:
    custom = STANDARD.with_custom([search_parameter()])
    other = STANDARD.with_custom([search_parameter(expression="Patient.name.given")])
    assert len({STANDARD.version, custom.version, other.version}) == 3
    assert custom.version == STANDARD.with_custom([search_parameter()]).version
    assert custom.version_of("Patient") != STANDARD.version_of("Patient")
    assert custom.version_of("Observation") == STANDARD.version_of("Observation")


def test_the_version_is_the_same_in_every_process() -> None:
    assert STANDARD.with_custom([]).version == STANDARD.version

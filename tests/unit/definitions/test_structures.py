"""Resource types from StructureDefinitions: their elements as those of R4 are."""

from typing import Any

import pytest

from fhir_server.definitions import WrongStructure, load, read_structure, with_structures
from fhir_server.search.parameters import ParameterRegistry
from fhir_server.validation.structure.validator import structure_of

R4 = load()
BASE = "http://hl7.org/fhir/StructureDefinition/"


def structure(*elements: dict[str, Any], **members: Any) -> dict[str, Any]:
    """A resource type `Recipe` with these elements."""
    return {
        "resourceType": "StructureDefinition", "url": "http://example.org/Recipe", "kind": "resource", "type": "Recipe",
        "baseDefinition": f"{BASE}DomainResource", "abstract": False,
        "snapshot": {"element": [{"path": "Recipe", "min": 0, "max": "*"}, *elements]}, **members,
    }  # fmt: skip


def element(path: str, *types: str, **members: Any) -> dict[str, Any]:
    return {"path": f"Recipe.{path}", "min": 0, "max": "1", "type": [{"code": type_} for type_ in types], **members}


STEPS = (
    element(
        "name",
        "string",
        min=1,
        constraint=[{"key": "rec-1", "severity": "error", "human": "short", "expression": "length() < 20"}],
    ),
    element("id", "http://hl7.org/fhirpath/System.String"),
    element("made[x]", "date", "integer64", "Period"),
    element("step", "BackboneElement", max="*"),
    element("step.text", "string", min=1),
    element("step.step", max="*", contentReference="#Recipe.step"),
    element("cook", "Reference"),
)


def test_elements_of_the_base_come_first_and_need_not_be_repeated() -> None:
    recipe = with_structures(R4, [structure(*STEPS)]).types["Recipe"]
    names = [each.name for each in recipe.elements]
    assert names[:3] == ["id", "meta", "implicitRules"]
    assert names[-4:] == ["name", "made", "step", "cook"]
    assert recipe.by_name["id"].path == "Recipe.id"
    assert recipe.by_name["id"].types == R4.types["Patient"].by_name["id"].types
    assert recipe.url == "http://example.org/Recipe"


def test_choices_have_the_types_that_r4_has() -> None:
    recipe = with_structures(R4, [structure(*STEPS)]).types["Recipe"]
    assert set(recipe.by_name["madeDate"].json_names) == {"madeDate", "madePeriod"}


def test_nested_types_and_content_references_are_followed() -> None:
    facts = with_structures(R4, [structure(*STEPS)])
    found = facts.element("Recipe.step.step.step.text")
    assert found is not None
    assert (found.path, found.min) == ("Recipe.step.text", 1)


def test_resources_of_the_type_are_checked_and_have_the_search_parameters_of_all() -> None:
    facts = with_structures(R4, [structure(*STEPS)])
    good = {"resourceType": "Recipe", "name": "soup", "step": [{"text": "boil", "step": [{"text": "stir"}]}]}
    check = structure_of(facts)
    assert check.good(good, "Recipe", transaction=False)
    assert not check.good({**good, "step": [{"step": [{}]}]}, "Recipe", transaction=False)
    assert not check.good({"resourceType": "Recipe"}, "Recipe", transaction=False)
    assert {"_id", "_lastUpdated", "_tag"} <= set(ParameterRegistry.of_definitions(facts).of("Recipe"))
    assert "Recipe" not in R4.resource_types


def test_invariants_are_those_of_r4_or_the_types_own() -> None:
    facts = with_structures(R4, [structure(*STEPS)])
    assert facts.types["Recipe"].by_name["name"].constraints == ("rec-1",)
    assert facts.invariants["rec-1"].expression == "length() < 20"
    clash = {"key": "dom-2", "severity": "warning", "human": "mine", "expression": "true"}
    other = with_structures(R4, [structure(element("name", "string", constraint=[clash]))])
    assert other.types["Recipe"].by_name["name"].constraints == ("dom-2@Recipe",)
    assert other.invariants["dom-2"] == R4.invariants["dom-2"]


def test_element_of_a_type_that_is_not_known_is_refused() -> None:
    with pytest.raises(WrongStructure, match=r"Recipe\.x has no type that is known"):
        read_structure(structure(element("x", "Nonsense")), R4)

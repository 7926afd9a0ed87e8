"""Which codes subsume which.

Spec: https://hl7.org/fhir/R4/codesystem.html#hierarchy
"""

import pytest

from fhir_server.errors import BadValue, TooCostly
from fhir_server.search.query import TokenValue
from fhir_server.terminology import Terminology
from tests.unit.terminology.builders import ANIMALS, code_system, concept, terminology

CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"


def below(service: Terminology, system: str, code: str) -> set[str | None]:
    return {value.code for value in service.descendants(system, code)}


def above(service: Terminology, system: str, code: str) -> set[str | None]:
    return {value.code for value in service.ancestors(system, code)}


def test_nesting_and_properties_make_one_hierarchy() -> None:
    assert below(terminology(), ANIMALS, "mammal") == {"mammal", "dog", "poodle", "cat", "bat"}
    assert below(terminology(), ANIMALS, "bird") == {"bird", "tit"}
    assert above(terminology(), ANIMALS, "poodle") == {"poodle", "dog", "mammal"}
    assert terminology().descendants(ANIMALS, "cat") == (TokenValue(ANIMALS, "cat"),)


def test_a_code_has_several_parents() -> None:
    mule = code_system("m", "urn:m", concept("horse", concept("mule")), concept("donkey"), concept("ass"))
    mule["concept"][0]["concept"][0]["property"] = [
        {"code": "parent", "valueCode": "donkey"},
        {"code": "parent", "valueCoding": {"code": "ass"}},
    ]
    assert above(terminology(mule), "urn:m", "mule") == {"mule", "horse", "donkey", "ass"}


def test_children_may_be_named_by_their_parent_and_properties_have_names_of_their_own() -> None:
    uri = "http://hl7.org/fhir/concept-properties#parent"
    own = [{"code": "up", "uri": uri, "type": "code"}]
    system = code_system("s", "urn:s", concept("a", child="b"), concept("b"), concept("c", up="b"), property=own)
    assert below(terminology(system), "urn:s", "a") == {"a", "b", "c"}


def test_parents_in_a_circle_end() -> None:
    circle = code_system("c", "urn:c", concept("a", parent="b"), concept("b", parent="a"))
    assert below(terminology(circle), "urn:c", "a") == above(terminology(circle), "urn:c", "a") == {"a", "b"}


def test_a_parent_that_does_not_exist_is_no_code() -> None:
    system = code_system("c", "urn:c", concept("a", parent="nowhere"))
    assert above(terminology(system), "urn:c", "a") == {"a"}


def test_hierarchies_of_r4_are_there_and_the_store_goes_before_them() -> None:
    assert below(terminology(), CLINICAL, "active") == {"active", "recurrence", "relapse"}
    assert above(terminology(), CLINICAL, "remission") == {"remission", "inactive"}
    assert below(terminology(), "http://hl7.org/fhir/administrative-gender", "male") == {"male"}
    assert below(terminology(code_system("c", CLINICAL, concept("active"))), CLINICAL, "active") == {"active"}


def test_an_unknown_system_and_an_unknown_code_are_refused_by_name() -> None:
    with pytest.raises(BadValue, match="urn:nowhere"):
        terminology().descendants("urn:nowhere", "x")
    with pytest.raises(BadValue, match="'unicorn'"):
        terminology().ancestors(ANIMALS, "unicorn")


def test_too_many_codes_are_too_costly() -> None:
    with pytest.raises(TooCostly, match="more than 4 codes"):
        terminology(most=4).descendants(ANIMALS, "mammal")

"""Masks on plain JSON: what goes, what stays, what stands in its place, and which searches would tell."""

import json
from typing import Any

import pytest

from fhir_server.auth.mask import ABSENT, Mask
from fhir_server.auth.masks import BadMask, Rule, of_roles, read_rules
from fhir_server.definitions import load
from fhir_server.model.json import encode, make_body
from fhir_server.model.keys import ResourceKey
from fhir_server.search.parameters import ParameterRegistry

FACTS = load()
REGISTRY = ParameterRegistry.standard()
PATIENT = {
    "resourceType": "Patient", "id": "a", "text": {"status": "generated", "div": "<div>Ann, 555</div>"},
    "name": [{"family": "Able", "given": ["Ann"]}], "birthDate": "1980-01-01", "_birthDate": {"id": "b"},
    "telecom": [{"system": "phone", "value": "555"}, {"system": "email", "value": "a@b"},
                {"system": "phone", "value": "6"}],
    "contact": [{"name": {"text": "Bob"}, "telecom": [{"value": "7"}]}, {"name": {"text": "Cay"}}],
    "link": [{"other": {"reference": "Patient/b"}, "type": "seealso"}],
}  # fmt: skip


def masked(resource: dict[str, Any], *rules: Any) -> dict[str, Any]:
    read = read_rules([rule if isinstance(rule, dict) else {"path": rule} for rule in rules], FACTS)
    key = ResourceKey(resource["resourceType"], resource["id"])
    return json.loads(Mask(read, FACTS, REGISTRY).body(key, make_body(encode(resource), key)).data)


def labels(resource: dict[str, Any]) -> list[str]:
    return [label["code"] for label in resource["meta"].get("security", [])]


def test_an_element_goes_with_its_companion_and_the_narrative() -> None:
    seen = masked(PATIENT, "Patient.birthDate")
    assert not {"birthDate", "_birthDate", "text"} & seen.keys()
    assert labels(seen) == ["SUBSETTED"]
    assert seen["name"] == PATIENT["name"]


def test_members_of_lists_are_chosen_by_an_expression() -> None:
    seen = masked(PATIENT, "Patient.telecom.where(system = 'phone')")
    assert seen["telecom"] == [{"system": "email", "value": "a@b"}]
    assert "telecom" not in masked(PATIENT, "Patient.telecom")


def test_parts_of_backbones_go_and_the_rest_stays() -> None:
    seen = masked(PATIENT, "Patient.contact.telecom")
    assert seen["contact"] == [{"name": {"text": "Bob"}}, {"name": {"text": "Cay"}}]


def test_another_value_stands_in_its_place() -> None:
    seen = masked(PATIENT, {"path": "Patient.name", "with": {"text": "hidden"}})
    assert seen["name"] == [{"text": "hidden"}]
    assert labels(seen) == ["MASKED"]


def test_what_must_be_there_is_absent_for_a_reason() -> None:
    observation = {
        "resourceType": "Observation",
        "id": "o",
        "status": "final",
        "code": {"text": "HIV"},
        "valueInteger": 3,
    }
    seen = masked(observation, "Observation.code", "Observation.value", "Observation.status")
    assert seen["code"] == ABSENT
    assert seen["_status"] == ABSENT
    assert not {"status", "valueInteger"} & seen.keys()
    assert masked(PATIENT, "Patient.link.other")["link"] == [{"other": ABSENT, "type": "seealso"}]


def test_resources_within_resources_are_masked_too() -> None:
    inside = {
        "resourceType": "Observation",
        "id": "o",
        "status": "final",
        "code": {"text": "x"},
        "contained": [PATIENT],
    }
    assert "telecom" not in masked(inside, "Patient.telecom")["contained"][0]
    message = {"resourceType": "Bundle", "id": "b", "type": "collection", "entry": [{"resource": PATIENT}]}
    seen = masked(message, "Patient.telecom")
    assert "telecom" not in seen["entry"][0]["resource"]
    assert labels(seen) == ["SUBSETTED"]


def test_what_has_nothing_to_hide_stays_as_it_is_to_the_byte() -> None:
    key = ResourceKey("Patient", "a")
    body = make_body(encode({"resourceType": "Patient", "id": "a", "multipleBirthInteger": 1}), key)
    assert Mask(read_rules([{"path": "Patient.telecom"}], FACTS), FACTS, REGISTRY).body(key, body) is body


def test_decimals_keep_their_digits() -> None:
    body = (
        b'{"resourceType":"Observation","id":"o","status":"final","code":{},"valueQuantity":{"value":1.20},"note":[{}]}'
    )
    key = ResourceKey("Observation", "o")
    seen = Mask(read_rules([{"path": "Observation.note"}], FACTS), FACTS, REGISTRY).body(key, make_body(body, key))
    assert b'"value":1.20' in seen.data


@pytest.mark.parametrize(
    "rule",
    [
        {}, {"path": 3}, {"path": "Patient"}, {"path": "Patient.id"}, {"path": "Patient.meta.tag"},
        {"path": "Nobody.name"}, {"path": "Observation.nothing"},
        {"path": "Patient.nothing"}, {"path": "Patient.name("}, {"path": "AuditEvent.agent"},
        {"path": "HumanName.given"},
        {"path": "Patient.name", "why": "x"},
    ],
)  # fmt: skip
def test_a_rule_without_meaning_is_refused(rule: dict[str, Any]) -> None:
    with pytest.raises(BadMask):
        read_rules([rule], FACTS)


def test_somebody_with_several_roles_sees_what_one_of_them_may_see() -> None:
    table = {
        "billing": (Rule("Patient.telecom"), Rule("Patient.contact"), Rule("Observation.note")),
        "clerk": (Rule("Patient.contact.telecom"), Rule("Observation.note")),
    }
    assert [rule.path for rule in of_roles(table, ("billing",))] == [rule.path for rule in table["billing"]]
    assert {rule.path for rule in of_roles(table, ("billing", "clerk"))} == {
        "Patient.contact.telecom",
        "Observation.note",
    }
    assert of_roles(table, ("billing", "clinician")) == ()
    assert of_roles({"*": (Rule("Patient.telecom"),)}, ()) == (Rule("Patient.telecom"),)
    assert of_roles({"*": (Rule("Patient.telecom"),)}, ("nurse",)) == ()


def test_parameters_that_tell_of_an_element_are_known() -> None:
    def unasked(*paths: str) -> frozenset[str]:
        rules = read_rules([{"path": path} for path in paths], FACTS)
        return Mask(rules, FACTS, REGISTRY).unasked[rules[0].type]

    assert unasked("Patient.telecom") == {"telecom", "phone", "email", "_text", "_content"}
    assert {"address", "address-city"} <= unasked("Patient.address.city")
    assert "birthdate" not in unasked("Patient.address")
    assert {"patient", "subject", "*"} <= unasked("Observation.subject")
    value = unasked("Observation.value")
    assert {"value-quantity", "code-value-quantity", "combo-value-quantity"} <= value
    assert not {"code", "date", "patient", "*"} & value
    assert "code-value-quantity" in unasked("Observation.code")

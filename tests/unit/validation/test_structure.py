"""Elements, lists, nulls, siblings of primitives, extensions: what may stand where."""

from typing import Any

import pytest

from fhir_server.definitions import load
from fhir_server.definitions.model import Element, ElementType, TypeDefinition
from fhir_server.validation import StructureValidator
from tests.unit.validation.builders import Json, check, observation, only_issue, patient, places

EXTENSION = {"url": "http://x.org/a", "valueCode": "b"}
EXTRA = {"extension": [EXTENSION]}


def test_unknown_element_is_named_with_the_nearest_known_one() -> None:
    issue = only_issue(patient(gendr="male"))
    assert issue.diagnostics == "'gendr' is not an element of Patient; did you mean gender?"
    assert issue.code == "structure"
    assert only_issue(patient(birthdate="2000")).diagnostics.endswith("did you mean birthDate?")
    assert "did you mean" not in only_issue(patient(xyzzy=1)).diagnostics


def test_type_that_a_choice_cannot_have_is_answered_with_those_that_it_can() -> None:
    issue = only_issue(patient(deceasedString="yes"))
    assert issue.diagnostics == (
        "'deceasedString' is not an element of Patient; deceased[x] may be deceasedBoolean, deceasedDateTime"
    )


def test_unknown_resource_type_is_named_with_the_nearest_known_one() -> None:
    assert only_issue({"resourceType": "Pateint"}).diagnostics.endswith("did you mean Patient?")


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("foo bar", "Patient.`foo bar`"),
        ("a`b", "Patient.`a\\u0060b`"),
        ("", "Patient.``"),
        ("été", "Patient.`été`"),
        ("x\n", "Patient.`x\\u000a`"),
        ("name[0]", "Patient.`name[0]`"),
        ("_foo", "Patient._foo"),
        ("_name", "Patient._name"),
        ("_resourceType", "Patient._resourceType"),
        ("fhir_comments", "Patient.fhir_comments"),
    ],
)
def test_place_of_an_unknown_element_is_delimited_where_it_must_be(name: str, place: str) -> None:
    assert places({**patient(), name: "x"}) == [place]


def test_resource_type_is_an_element_where_the_definition_says_so() -> None:
    scenario = {"resourceType": "ExampleScenario", "status": "draft"}
    instance = {"resourceId": "a", "resourceType": "Patient"}
    assert check({**scenario, "instance": [instance]}) == []
    assert places({**scenario, "instance": [{**instance, "resourceType": "Foo"}]}) == [
        "ExampleScenario.instance[0].resourceType"
    ]
    assert places(patient(name=[{"resourceType": "HumanName", "family": "A"}])) == ["Patient.name[0].resourceType"]


@pytest.mark.parametrize(
    "changes",
    [
        {"_birthDate": {"id": "a"}},
        {"_birthDate": EXTRA},
        {"birthDate": None, "_birthDate": EXTRA},
        {"_active": EXTRA},
        {"_id": EXTRA},
        {"name": [{"given": ["A", "B"], "_given": [None, EXTRA]}]},
        {"name": [{"given": [None, "B"], "_given": [EXTRA, {"id": "b"}]}]},
        {"name": [{"_given": [EXTRA]}]},
        {"name": [{"given": ["A"], "_given": [None]}]},
    ],
)
def test_sibling_of_a_primitive_is_accepted(changes: Json) -> None:
    assert check(patient(**changes)) == []


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"_birthDate": {}}, "birthDate"),
        ({"_birthDate": "x"}, "birthDate"),
        ({"_birthDate": [EXTRA]}, "birthDate"),
        ({"_birthDate": {"extension": []}}, "birthDate.extension"),
        ({"_birthDate": {"value": "x"}}, "birthDate.value"),
        ({"_birthDate": {"id": "a", "modifierExtension": [EXTENSION]}}, "birthDate.modifierExtension"),
        ({"_birthDate": {"extension": [{"url": "a"}]}}, "birthDate.extension[0]"),
        ({"birthDate": None, "_birthDate": {"id": "a"}}, "birthDate"),
        ({"_maritalStatus": EXTRA}, "_maritalStatus"),
        ({"__birthDate": EXTRA}, "__birthDate"),
        ({"name": [{"given": ["A"], "_given": [EXTRA, EXTRA]}]}, "name[0].given"),
        ({"name": [{"given": ["A", "B"], "_given": [EXTRA]}]}, "name[0].given"),
        ({"name": [{"given": [None], "_given": [None]}]}, "name[0].given[0]"),
        ({"name": [{"given": [None, "B"], "_given": [None, EXTRA]}]}, "name[0].given[0]"),
        ({"name": [{"given": ["A", 5], "_given": [EXTRA, None]}]}, "name[0].given[1]"),
        ({"name": [{"given": ["A"], "_given": EXTRA}]}, "name[0].given"),
        ({"name": [{"given": ["A"], "_given": []}]}, "name[0].given"),
        ({"name": [{"_given": []}]}, "name[0].given"),
        ({"name": [{"_given": [None]}]}, "name[0].given[0]"),
        ({"name": [{"given": "A", "_given": [EXTRA]}]}, "name[0].given"),
        ({"name": [{"given": [None], "_given": [{"id": "a"}]}]}, "name[0].given[0]"),
        ({"extension": [{"url": "u:a", "_url": EXTRA, "valueCode": "b"}]}, "extension[0]._url"),
        ({"name": [{"id": "a", "_id": EXTRA, "family": "A"}]}, "name[0]._id"),
    ],
)
def test_bad_sibling_of_a_primitive_is_refused(changes: Json, place: str) -> None:
    assert places(patient(**changes)) == [f"Patient.{place}"]


def test_null_beside_a_sibling_is_refused() -> None:
    assert places({**patient(), "birthDate": None, "_birthDate": None}) == ["Patient.birthDate"]


def test_extension_takes_the_place_of_a_required_value() -> None:
    assert check(observation(status=None, _status=EXTRA)) == []


def test_value_and_sibling_of_one_choice_exclude_each_other() -> None:
    assert check(patient(deceasedBoolean=True, _deceasedBoolean=EXTRA)) == []
    assert places(patient(deceasedBoolean=True, _deceasedDateTime=EXTRA)) == ["Patient.deceased"]


@pytest.mark.parametrize(
    ("extension", "place"),
    [
        ({"valueCode": "a"}, "Patient.extension[0].url"),
        ({"url": "", "valueCode": "a"}, "Patient.extension[0].url"),
        ({"url": "a b", "valueCode": "a"}, "Patient.extension[0].url"),
        ({"url": "u:a", "valueFoo": "a"}, "Patient.extension[0].valueFoo"),
        ({"url": "u:a", "valueCode": "a", "valueString": "b"}, "Patient.extension[0].value"),
        ({"url": "u:a", "extension": [{"url": "u:b"}]}, "Patient.extension[0].extension[0]"),
    ],
)
def test_bad_extension_is_refused(extension: Json, place: str) -> None:
    assert place in places(patient(extension=[extension]))


def test_modifier_extension_stands_on_resources_and_backbones_only() -> None:
    assert check(patient(modifierExtension=[EXTENSION])) == []
    assert check(patient(contact=[{"modifierExtension": [EXTENSION]}])) == []
    assert places(patient(name=[{"family": "A", "modifierExtension": [EXTENSION]}])) == [
        "Patient.name[0].modifierExtension"
    ]


def test_content_reference_is_followed() -> None:
    questionnaire: Json = {"resourceType": "Questionnaire", "status": "draft"}
    item = {"linkId": "1", "type": "group", "item": [{"linkId": "1.1", "type": "string"}]}
    assert check({**questionnaire, "item": [item]}) == []
    item["item"] = [{"linkId": "1.1", "type": "text", "foo": 1, "item": [{"type": "nothing"}]}]
    assert places({**questionnaire, "item": [item]}) == [
        "Questionnaire.item[0].item[0].foo",
        "Questionnaire.item[0].item[0].item[0].linkId",
        "Questionnaire.item[0].item[0].item[0].type",
    ]


def test_simple_quantity_has_no_comparator() -> None:
    dose = {"quantity": {"value": 1, "comparator": "<"}}
    activity = {"resourceType": "ActivityDefinition", "status": "draft", **dose}
    assert places(activity) == ["ActivityDefinition.quantity.comparator"]
    assert check(observation(valueQuantity={"value": 1, "comparator": "<"})) == []


def test_element_with_an_id_alone_is_empty() -> None:
    issue = only_issue(patient(name=[{"id": "a"}]))
    assert issue.expression == ("Patient.name[0]",)
    assert "ele-1" in issue.diagnostics


def test_resource_with_nothing_but_its_type_is_good() -> None:
    assert check({"resourceType": "Patient"}) == []


def test_missing_choice_is_named_with_its_types() -> None:
    use: Json = {"resourceType": "MedicationRequest", "status": "active", "intent": "order"}
    issue = only_issue({**use, "subject": {"reference": "Patient/1"}})
    assert issue.expression == ("MedicationRequest", "MedicationRequest.medication")
    assert "one of medicationCodeableConcept, medicationReference is missing" in issue.diagnostics
    assert issue.code == "required"


def test_resource_within_a_bundle_is_checked_whatever_the_bundle() -> None:
    bundle: Json = {"resourceType": "Bundle", "type": "collection"}
    assert check({**bundle, "entry": [{"resource": patient()}, {"resource": observation()}]}) == []
    entries: list[Any] = [
        {"resource": patient(gender="x")},
        {"resource": {"id": "a"}},
        {"resource": "x"},
        {"resource": []},
    ]
    assert places({**bundle, "entry": entries}) == [
        "Bundle.entry[0].resource.gender",
        "Bundle.entry[1].resource",
        "Bundle.entry[2].resource",
        "Bundle.entry[3].resource",
    ]


def test_loaded_type_is_validated_like_those_of_r4() -> None:
    elements = (
        Element("id", "View.id", 0, 1, (ElementType("id"),)),
        Element("name", "View.name", 1, 1, (ElementType("string"),)),
        Element("select", "View.select", 0, None, (ElementType("BackboneElement"),), type_key="View.select"),
    )
    inner = (
        Element("path", "View.select.path", 0, 1, (ElementType("string"),)),
        Element("select", "View.select.select", 0, None, (), content="View.select", type_key="View.select"),
    )
    types = [
        TypeDefinition(
            "View", "resource", "Resource", False, elements, {name: e for e in elements for name in e.json_names}
        ),
        TypeDefinition("View.select", "backbone", "BackboneElement", False, inner, {e.name: e for e in inner}),
    ]
    validator = StructureValidator(load().with_types(types))
    assert validator.check({"resourceType": "View", "name": "a", "select": [{"select": [{"path": "x"}]}]}) == []
    assert len(validator.check({"resourceType": "View", "select": [{"select": [{"foo": "x"}]}]})) == 2
    assert validator.check(observation(subject={"reference": "Patient/1"})) == []
    assert validator.check({"resourceType": "Basic", "code": {"text": "x"}, "subject": {"reference": "View/1"}}) == []

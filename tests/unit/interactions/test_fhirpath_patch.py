"""FHIRPath Patch, statement by statement, and what is no patch.

Spec: https://hl7.org/fhir/R4/fhirpatch.html
"""

from typing import Any

import pytest

from fhir_server import definitions
from fhir_server.errors import BadRequest, InvalidResource
from fhir_server.interactions.patching.fhirpath_patch import fhirpath_patch

FACTS = definitions.load()
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "x",
    "deceasedBoolean": False,
    "birthDate": "2000-01-01",
    "name": [{"family": "F", "given": ["A", "B"]}, {"family": "G"}],
}
EXTENSION = [{"name": "url", "valueUri": "http://example.org/e"}, {"name": "value", "valueCode": "c"}]
AS_JSON = {"url": "http://example.org/e", "valueCode": "c"}


def operation(**parts: Any) -> dict[str, Any]:
    listed = []
    for name, value in parts.items():
        kind = "valueInteger" if isinstance(value, int) else "valueString"
        listed.append({"name": name, **(value if isinstance(value, dict) else {kind: value})})
    return {"name": "operation", "part": listed}


def patched(*operations: Any) -> dict[str, Any]:
    return fhirpath_patch(PATIENT, {"resourceType": "Parameters", "parameter": list(operations)}, FACTS)


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        # a list that is not there yet takes its first item
        (
            operation(type="insert", path="Patient.identifier", index=0, value={"valueIdentifier": {"value": "1"}}),
            {"identifier": [{"value": "1"}]},
        ),
        (
            operation(type="insert", path="Patient.name[1].`given`", index=0, value={"valueString": "C"}),
            {"name": [PATIENT["name"][0], {"family": "G", "given": ["C"]}]},
        ),
        (
            operation(type="insert", path="Patient.name", index=2, value={"valueHumanName": {"family": "H"}}),
            {"name": [*PATIENT["name"], {"family": "H"}]},
        ),
        # primitives have extensions and ids
        (
            operation(type="add", path="Patient.birthDate", name="extension", value={"part": EXTENSION}),
            {"_birthDate": {"extension": [AS_JSON]}},
        ),
        (
            operation(type="add", path="Patient.name[0].given[1]", name="extension", value={"part": EXTENSION}),
            {
                "name": [
                    {"family": "F", "given": ["A", "B"], "_given": [None, {"extension": [AS_JSON]}]},
                    PATIENT["name"][1],
                ]
            },
        ),
        (
            operation(type="add", path="Patient.name[0].given[0]", name="id", value={"valueString": "g"}),
            {"name": [{"family": "F", "given": ["A", "B"], "_given": [{"id": "g"}, None]}, PATIENT["name"][1]]},
        ),
        (
            operation(type="replace", path="Patient.birthDate", value={"_valueDate": {"extension": [AS_JSON]}}),
            {"birthDate": None, "_birthDate": {"extension": [AS_JSON]}},
        ),
        # what is not there need not be deleted
        (operation(type="delete", path="Patient.gender"), {}),
        (operation(type="move", path="Patient.name", source=1, destination=0), {"name": PATIENT["name"][::-1]}),
        (operation(type="move", path="Patient.name", source=1, destination=1), {}),
        (
            operation(type="add", path="Patient", name="multipleBirth", value={"valueInteger": 2}),
            {"multipleBirthInteger": 2},
        ),
    ],
)
def test_an_operation_changes_what_it_names(given: Any, changed: dict[str, Any]) -> None:
    expected = {name: value for name, value in {**PATIENT, **changed}.items() if value is not None}
    assert patched(given) == expected


def test_operations_see_what_those_before_them_did() -> None:
    add = operation(type="add", path="Patient.birthDate", name="extension", value={"part": EXTENSION})
    replace = operation(type="replace", path="Patient.birthDate.extension.value", value={"valueBoolean": True})
    assert patched(add, replace)["_birthDate"] == {"extension": [{"url": "http://example.org/e", "valueBoolean": True}]}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (operation(type="add", path="Patient", name="deceased", value={"valueDateTime": "2020"}), "there already"),
        (operation(type="add", path="Patient.birthDate", name="value", value={"valueString": "x"}), "no element"),
        (operation(type="add", path="Patient.name", name="text", value={"valueString": "x"}), "2 elements"),
        (operation(type="add", path="Patient.photo", name="url", value={"valueUrl": "x"}), "No content"),
        (operation(type="insert", path="Patient.photo", index=1, value={"valueAttachment": {}}), "No content"),
        (operation(type="insert", path="Patient.gender", index=0, value={"valueCode": "male"}), "No content"),
        (operation(type="insert", path="Patient.birthDate", index=0, value={"valueDate": "2001"}), "not one list"),
        (operation(type="insert", path="Patient.name.given", index=3, value={"valueString": "x"}), "beyond"),
        (operation(type="delete", path="Patient.name"), "2 elements"),
        (operation(type="delete", path="'x'"), "computed"),
        (operation(type="replace", path="Patient", value={"valueString": "x"}), "itself"),
        (operation(type="replace", path="Patient.gender", value={"valueCode": "male"}), "No content"),
        (operation(type="move", path="Patient.photo", source=0, destination=0), "No content"),
        (operation(type="move", path="Patient.name", source=2, destination=0), "beyond"),
    ],
)
def test_what_cannot_be_applied_is_refused(given: Any, says: str) -> None:
    with pytest.raises(InvalidResource, match=says):
        patched(given)


@pytest.mark.parametrize(
    "given",
    [
        "x",
        None,
        {"name": ["operation"]},
        {"name": "change", "part": []},
        {"name": "operation", "part": "x"},
        {"name": "operation", "part": [None]},
        operation(type="move", path="Patient.name", source=0),
        operation(type="move", path="Patient.name", source=-1, destination=0),
        operation(type="insert", path="Patient.name", value={"valueHumanName": {}}),
        operation(type="replace", path="Patient.birthDate", value={}),
        operation(type="replace", path="Patient.birthDate", value={"valueDate": "2001", "valueString": "x"}),
        operation(type="replace", path="Patient.birthDate", value={"_valueDate": 1}),
        operation(type="replace", path="Patient.birthDate", value={"part": {"name": "x"}}),
        operation(type="replace", path="Patient.birthDate +", value={"valueDate": "2001"}),
        operation(type="delete", path="Patient.nothing()"),
    ],
)
def test_what_is_no_patch_is_refused(given: Any) -> None:
    with pytest.raises(BadRequest):
        patched(given)


@pytest.mark.parametrize("parameter", ["x", {"name": "operation"}, True])
def test_parameters_that_are_no_list_are_refused(parameter: Any) -> None:
    with pytest.raises(BadRequest):
        fhirpath_patch(PATIENT, {"resourceType": "Parameters", "parameter": parameter}, FACTS)

"""Small good and bad resources of every kind of fault, each with the place where it must be found."""

from decimal import Decimal
from typing import Any

import pytest

from tests.unit.validation.builders import DIV, Json, check, condition, observation, patient, places

VALID: dict[str, Json] = {
    "patient": patient(),
    "observation": observation(),
    "condition": condition(),
    "partial date": patient(birthDate="1974-12"),
    "year": patient(birthDate="1974"),
    "primitive with extension": patient(
        _birthDate={"extension": [{"url": "http://x.org/time", "valueDateTime": "1974-12-25T14:35:45-05:00"}]}
    ),
    "primitive with extension instead of a value": patient(
        birthDate=None, _birthDate={"extension": [{"url": "http://x.org/absent", "valueCode": "unknown"}]}
    ),
    "null in given with its place taken by _given": patient(
        name=[
            {"given": ["Peter", None], "_given": [None, {"extension": [{"url": "http://x.org/a", "valueCode": "b"}]}]}
        ]
    ),
    "reference by urn": observation(subject={"reference": "urn:uuid:018f428e-34f6-4707-8009-5ad742f901e7"}),
    "exponent": observation(valueQuantity={"value": Decimal("1E-22")}),
    "contained": observation(
        contained=[{"resourceType": "Patient", "id": "a", "active": True}], subject={"reference": "#a"}
    ),
    "narrative": patient(text={"status": "generated", "div": DIV.format("<p>A <b>man</b></p>")}),
}


@pytest.mark.parametrize("name", VALID)
def test_good_resource_has_no_findings(name: str) -> None:
    assert check(VALID[name]) == []


# The resource, and the places of all findings.
INVALID: dict[str, tuple[Any, list[str]]] = {
    "unknown element at the top": (patient(foo="bar"), ["Patient.foo"]),
    "unknown element in a data type": (patient(name=[{"family": "A", "middle": "B"}]), ["Patient.name[0].middle"]),
    "unknown element in a backbone": (
        patient(contact=[{"name": {"text": "x"}, "age": 3}]),
        ["Patient.contact[0].age"],
    ),
    "boolean as string": (patient(active="true"), ["Patient.active"]),
    "date as number": (patient(birthDate=1974), ["Patient.birthDate"]),
    "integer as string": (
        patient(telecom=[{"system": "phone", "value": "1", "rank": "1"}]),
        ["Patient.telecom[0].rank"],
    ),
    "decimal as string": (observation(valueQuantity={"value": "72.5"}), ["Observation.value.ofType(Quantity).value"]),
    "string as number": (patient(name=[{"family": 5}]), ["Patient.name[0].family"]),
    "object for string": (patient(name=[{"family": {"text": "x"}}]), ["Patient.name[0].family"]),
    "string for object": (patient(name=["Peter"]), ["Patient.name[0]"]),
    "required status missing": (observation(status=None), ["Observation.status"]),
    "required code missing": (observation(code=None), ["Observation.code"]),
    "required element missing in a backbone": (
        patient(communication=[{"preferred": True}]),
        ["Patient.communication[0].language"],
    ),
    "resourceType missing": ({"id": "a", "active": True}, ["Resource"]),
    "resourceType unknown": ({"resourceType": "Pateint"}, ["Resource"]),
    "resourceType abstract": ({"resourceType": "DomainResource"}, ["Resource"]),
    "resourceType a data type": ({"resourceType": "HumanName"}, ["Resource"]),
    "resourceType a backbone": ({"resourceType": "Patient.contact"}, ["Resource"]),
    "resourceType not a string": ({"resourceType": ["Patient"]}, ["Resource"]),
    "list for 0..1": (patient(gender=["male"]), ["Patient.gender"]),
    "object for 0..*": (patient(name={"family": "A"}), ["Patient.name"]),
    "two values for 0..1": (
        patient(maritalStatus=[{"text": "M"}, {"text": "S"}]),
        ["Patient.maritalStatus"],
    ),
    "gender not in its value set": (patient(gender="man"), ["Patient.gender"]),
    "status not in its value set": (observation(status="done"), ["Observation.status"]),
    "name.use not in its value set": (patient(name=[{"use": "legal", "family": "A"}]), ["Patient.name[0].use"]),
    "code with a space at its end": (
        observation(code={"coding": [{"system": "http://loinc.org", "code": "29463-7 "}]}),
        ["Observation.code.coding[0].code"],
    ),
    "two values of deceased[x]": (
        patient(deceasedBoolean=True, deceasedDateTime="2015"),
        ["Patient.deceased"],
    ),
    "two values of value[x]": (observation(valueString="72"), ["Observation.value"]),
    "type that value[x] cannot have": (
        observation(valueQuantity=None, valueMoney={"value": 1}),
        ["Observation.valueMoney"],
    ),
    "month 13": (patient(birthDate="1974-13-01"), ["Patient.birthDate"]),
    "30 February": (patient(birthDate="2024-02-30"), ["Patient.birthDate"]),
    "29 February of a common year": (patient(birthDate="2023-02-29"), ["Patient.birthDate"]),
    "date in another form": (patient(birthDate="25/12/1974"), ["Patient.birthDate"]),
    "time without a zone": (
        observation(effectiveDateTime="2016-03-28T09:15:00"),
        ["Observation.effective.ofType(dateTime)"],
    ),
    "instant without a time": (observation(issued="2016-03-28"), ["Observation.issued"]),
    "reference that is none": (observation(subject={"reference": "not a ref"}), ["Observation.subject.reference"]),
    "reference without an id": (observation(subject={"reference": "Patient/"}), ["Observation.subject.reference"]),
    "reference to no type": (observation(subject={"reference": "Foo/1"}), ["Observation.subject.reference"]),
    "reference to a type that may not stand there": (
        observation(subject={"reference": "Practitioner/1"}),
        ["Observation.subject.reference"],
    ),
    "id with a blank": (patient(id="a b"), ["Patient.id"]),
    "id with an underscore": (patient(id="a_b"), ["Patient.id"]),
    "id of 65 characters": (patient(id="a" * 65), ["Patient.id"]),
    "empty list": (patient(name=[]), ["Patient.name"]),
    "empty object": (patient(maritalStatus={}), ["Patient.maritalStatus"]),
    "empty object in a list": (patient(name=[{}]), ["Patient.name[0]"]),
    "null": ({**patient(), "gender": None}, ["Patient.gender"]),
    "null in a list of objects": (patient(name=[None]), ["Patient.name[0]"]),
    "null in a list of strings": (patient(name=[{"given": ["A", None]}]), ["Patient.name[0].given[1]"]),
    "empty string": (patient(name=[{"family": ""}]), ["Patient.name[0].family"]),
    "white space": (patient(name=[{"family": " \t "}]), ["Patient.name[0].family"]),
    "orphan contained (dom-3)": (
        observation(contained=[{"resourceType": "Patient", "id": "a"}]),
        ["Observation.contained[0]"],
    ),
    "extension with value and extensions (ext-1)": (
        patient(extension=[{"url": "u:a", "valueCode": "a", "extension": [{"url": "u:b", "valueCode": "b"}]}]),
        ["Patient.extension[0]"],
    ),
    "extension with neither (ext-1)": (patient(extension=[{"url": "u:a"}]), ["Patient.extension[0]"]),
    "script in the narrative": (
        patient(text={"status": "generated", "div": DIV.format("<script>alert(1)</script>")}),
        ["Patient.text.div"],
    ),
    "positiveInt 0": (patient(telecom=[{"system": "phone", "value": "1", "rank": 0}]), ["Patient.telecom[0].rank"]),
    "unsignedInt below 0": (
        {"resourceType": "Bundle", "type": "searchset", "total": -1},
        ["Bundle.total"],
    ),
    "base64 that is none": (
        patient(photo=[{"contentType": "image/png", "data": "not base64!"}]),
        ["Patient.photo[0].data"],
    ),
    "uri with a space": (
        patient(identifier=[{"system": "http://a b", "value": "1"}]),
        ["Patient.identifier[0].system"],
    ),
    "bad content in a contained resource": (
        observation(
            contained=[{"resourceType": "Observation", "id": "a", "status": "done", "code": {"text": "x"}}],
            derivedFrom=[{"reference": "#a"}],
        ),
        ["Observation.contained[0].status"],
    ),
}


@pytest.mark.parametrize("name", INVALID)
def test_bad_resource_is_refused_at_its_place(name: str) -> None:
    resource, expected = INVALID[name]
    assert places(resource) == expected


def test_all_findings_come_at_once() -> None:
    bad = patient(gender="man", birthDate="x", active="yes", foo=1, name=[{"family": 5}, {"given": "A"}])
    assert sorted(places(bad)) == [
        "Patient.active",
        "Patient.birthDate",
        "Patient.foo",
        "Patient.gender",
        "Patient.name[0].family",
        "Patient.name[1].given",
    ]


def test_type_in_the_url_must_be_that_of_the_resource() -> None:
    assert check(patient(), "Patient") == []
    (issue,) = check(patient(), "Observation")
    assert issue.expression == ("Patient",)
    assert "'Patient'" in issue.diagnostics
    assert "Observation" in issue.diagnostics


@pytest.mark.parametrize("value", [None, True, 5, Decimal("1.5"), "Patient", [], [patient()], {}])
def test_what_is_not_a_resource_is_refused(value: object) -> None:
    assert len(check(value)) == 1
    assert len(check(value, "Patient")) == 1

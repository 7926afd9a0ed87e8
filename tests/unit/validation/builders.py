"""Small good resources, and how to ask what is wrong with a changed one."""

from decimal import Decimal
from typing import Any

from fhir_server.errors import Issue
from fhir_server.validation import structure_validator

Json = dict[str, Any]
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">{}</div>'


def patient(**changes: Any) -> Json:
    """A good Patient; a change to None takes the element out."""
    return _changed(
        {
            "resourceType": "Patient",
            "id": "p1",
            "active": True,
            "name": [{"use": "official", "family": "Chalmers", "given": ["Peter", "James"]}],
            "telecom": [{"system": "phone", "value": "(03) 5555 6473", "rank": 1}],
            "gender": "male",
            "birthDate": "1974-12-25",
            "contact": [{"name": {"family": "Curry"}}],
            "communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "en"}]}}],
            "managingOrganization": {"reference": "Organization/1"},
        },
        changes,
    )


def observation(**changes: Any) -> Json:
    """A good Observation; a change to None takes the element out."""
    return _changed(
        {
            "resourceType": "Observation",
            "id": "o1",
            "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7", "display": "Body Weight"}]},
            "subject": {"reference": "Patient/p1"},
            "effectiveDateTime": "2016-03-28T09:15:00+02:00",
            "issued": "2016-03-28T09:15:00.500Z",
            "valueQuantity": {
                "value": Decimal("72.50"),
                "unit": "kg",
                "system": "http://unitsofmeasure.org",
                "code": "kg",
            },
        },
        changes,
    )


def condition(**changes: Any) -> Json:
    """A good Condition with a status from a required binding on a CodeableConcept."""
    system = "http://terminology.hl7.org/CodeSystem/condition-clinical"
    status = {"coding": [{"system": system, "code": "active"}]}
    condition = {"resourceType": "Condition", "clinicalStatus": status, "subject": {"reference": "Patient/p1"}}
    return _changed(condition, changes)


def check(resource: object, type_: str | None = None) -> list[Issue]:
    """The findings of the validator; it must say the same on both roads."""
    validator = structure_validator()
    found = validator.check(resource, type_)
    assert found == validator.findings(resource, type_)
    return found


def places(resource: object) -> list[str]:
    """Where a resource is bad: the places of all findings, down to the name that is absent or not known."""
    return [issue.expression[-1] for issue in check(resource)]


def only_issue(resource: object) -> Issue:
    """The one finding on a resource."""
    found = check(resource)
    assert len(found) == 1, found
    return found[0]


def _changed(resource: Json, changes: Json) -> Json:
    names = {name.removesuffix("_") if name.endswith("_") else name: value for name, value in changes.items()}
    return {name: value for name, value in {**resource, **names}.items() if value is not None}

"""Small valid resources, so that a test shows what it is about."""

from typing import Any

_NARRATIVE = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">made for a test</div>'}
_LEAST: dict[str, dict[str, Any]] = {
    "Patient": {"name": [{"family": "Chalmers", "given": ["Peter"]}], "birthDate": "1974-12-25"},
    "Observation": {
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4", "display": "Heart rate"}]},
        "subject": {"reference": "Patient/1"},
        "effectiveDateTime": "2024-05-01T10:00:00Z",
        "valueQuantity": {
            "value": 72, "unit": "beats/minute", "system": "http://unitsofmeasure.org", "code": "/min",
        },
    },
    "Encounter": {
        "status": "in-progress",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "subject": {"reference": "Patient/1"},
    },
    "Condition": {
        "clinicalStatus": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]
        },
        "code": {"text": "Asthma"},
        "subject": {"reference": "Patient/1"},
    },
    "Practitioner": {"name": [{"family": "Careful", "given": ["Adam"]}]},
    "Organization": {"name": "Good Health Clinic"},
}  # fmt: skip


def build(type_: str, **members: Any) -> dict[str, Any]:
    """Return a resource of a type with these members put over the least that it needs.

    Types without a least one of their own begin with nothing but a narrative.
    """
    return {"resourceType": type_, "text": _NARRATIVE, **_LEAST.get(type_, {}), **members}

"""The OperationDefinitions of `$assign-patient`, `$legal-hold` and `$rebuild`."""

from typing import Any, Final


def _definition(code: str, name: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "resourceType": "OperationDefinition",
        "url": f"urn:fhir-server:dicomweb:{code}",
        "name": name,
        "status": "active",
        "kind": "operation",
        "code": code,
        "resource": ["ImagingStudy"],
        "system": False,
        "type": False,
        "instance": True,
        "affectsState": True,
        "parameter": parameters,
    }


def _in(name: str, type_: str, least: int = 0) -> dict[str, Any]:
    return {"name": name, "use": "in", "min": least, "max": "1", "type": type_}


_STUDY: Final = {"name": "return", "use": "out", "min": 1, "max": "1", "type": "ImagingStudy"}
ASSIGN: Final = _definition(
    "assign-patient", "AssignPatient", [_in("patient", "Reference", 1), _in("move", "boolean"), _STUDY]
)
HOLD: Final = _definition("legal-hold", "LegalHold", [_in("on", "boolean", 1), _in("reason", "string"), _STUDY])
REBUILD: Final = _definition("rebuild", "Rebuild", [_STUDY])

"""Elements of other versions of FHIR as extensions.

Spec: https://hl7.org/fhir/R4/versions.html#extensions
"""

import re

_START = "http://hl7.org/fhir/"
_URL = re.compile(r"http://hl7\.org/fhir/([1-6]\.[0-9])/StructureDefinition/extension-([A-Za-z][\w.]*)(?:\[x\])?")

# Elements that change the meaning of what they stand in, and that R4 does not have.
_MODIFIERS = {
    "1.0": frozenset((
        "Patient.animal", "Immunization.wasNotGiven", "MedicationAdministration.wasNotGiven",
        "MedicationStatement.wasNotTaken", "Procedure.notPerformed",
    )),
    "3.0": frozenset((
        "Patient.animal", "Immunization.notGiven", "MedicationAdministration.notGiven", "Procedure.notDone",
        "Communication.notDone", "MedicationStatement.taken", "CarePlan.activity.detail.prohibited",
    )),
    "5.0": frozenset(("DeviceRequest.doNotPerform", "Task.doNotPerform")),
}  # fmt: skip


def is_cross_version(url: str) -> bool:
    """Whether a URL is that of an element of a version of FHIR."""
    return _URL.fullmatch(url) is not None


def is_modifier(url: str) -> bool:
    """Whether such an element must stand among the modifier extensions."""
    match = _URL.fullmatch(url) if url.startswith(_START) else None
    return match is not None and match[2] in _MODIFIERS.get(match[1], ())

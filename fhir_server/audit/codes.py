"""The codes by which an AuditEvent says what happened.

Spec: https://profiles.ihe.net/ITI/BALP/, https://dicom.nema.org/medical/dicom/current/output/chtml/part15/sect_A.5.html
"""

from collections.abc import Mapping
from typing import Final

from fhir_server.audit.events import ALARM, BREAK_GLASS, REFUSED, REVOKED, SECURITY, SENT, SIGN_IN, SIGN_OUT, TOKEN

Coding = Mapping[str, str]

_DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"
_REST: Final = "http://hl7.org/fhir/restful-interaction"
_IHE: Final = "urn:ihe:event-type-code"
_ENTITY: Final = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_ROLE: Final = "http://terminology.hl7.org/CodeSystem/object-role"
_PARTICIPATION: Final = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
_PROFILES: Final = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."


def _coding(system: str, code: str, display: str) -> Coding:
    return {"system": system, "code": code, "display": display}


REST: Final = _coding("http://terminology.hl7.org/CodeSystem/audit-event-type", "rest", "RESTful Operation")
ALERT: Final = _coding(_DCM, "110113", "Security Alert")
AUTHENTICATION: Final = _coding(_DCM, "110114", "User Authentication")

_SECURITY: Final[Mapping[str, tuple[Coding, Coding]]] = {
    REFUSED: (ALERT, _coding(_DCM, "110132", "Use of Restricted Function")),
    BREAK_GLASS: (ALERT, _coding(_DCM, "110127", "Emergency Override Started")),
    SIGN_IN: (AUTHENTICATION, _coding(_DCM, "110122", "Login")),
    SIGN_OUT: (AUTHENTICATION, _coding(_DCM, "110123", "Logout")),
    TOKEN: (AUTHENTICATION, _coding(_IHE, "ITI-71", "Get Access Token")),
    REVOKED: (ALERT, _coding(_DCM, "110137", "User Security Attributes Changed")),
    SECURITY: (ALERT, _coding(_DCM, "110129", "Security Configuration")),
    ALARM: (ALERT, _coding("http://fhir-server.org/CodeSystem/audit-event", "alarm", "Alarm of the server")),
    SENT: (
        _coding(_DCM, "110106", "Export"),
        _coding("http://fhir-server.org/CodeSystem/audit-event", "sent", "Sent to a system elsewhere"),
    ),
}

_INTERACTIONS: Final = {"search-compartment": "search-type", "job-status": "operation", "job-cancel": "operation"}

SOURCE: Final = _coding(_DCM, "110153", "Source Role ID")
DESTINATION: Final = _coding(_DCM, "110152", "Destination Role ID")
APPLICATION: Final = _coding(_DCM, "110150", "Application")
AUTHOR: Final = _coding(_PARTICIPATION, "AUT", "author (originator)")
RECIPIENT: Final = _coding(_PARTICIPATION, "IRCP", "information recipient")
SERVER: Final = _coding("http://terminology.hl7.org/CodeSystem/security-source-type", "4", "Application Server")
PERSON: Final = _coding(_ENTITY, "1", "Person")
SYSTEM_OBJECT: Final = _coding(_ENTITY, "2", "System Object")
PATIENT: Final = _coding(_ROLE, "1", "Patient")
RESOURCE: Final = _coding(_ROLE, "4", "Domain Resource")
QUERY: Final = _coding(_ROLE, "24", "Query")
REQUEST_ID: Final = {
    "system": "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType",
    "code": "XrequestId",
}
PURPOSES: Final = "http://terminology.hl7.org/CodeSystem/v3-ActReason"

_PROFILED: Final = {
    "read": "Read",
    "vread": "Read",
    "search-type": "Query",
    "search-system": "Query",
    "search-compartment": "Query",
    "create": "Create",
    "update": "Update",
    "patch": "Update",
    "delete": "Delete",
}


def kind(code: str) -> tuple[Coding, Coding]:
    """Return type and subtype of an event."""
    return _SECURITY.get(code) or (REST, interaction(code))


def interaction(code: str) -> Coding:
    """Return the coding of an interaction."""
    known = _INTERACTIONS.get(code, code)
    return {"system": _REST, "code": known, "display": known}


def codes_of(code: str) -> tuple[str, str]:
    """Return the codes of type and subtype."""
    type_, subtype = kind(code)
    return type_["code"], subtype["code"]


def profile(code: str, patients: int) -> str:
    """Return the profile of a successful event; empty where no pattern is for it.

    The patterns for patients are about exactly one.
    """
    name = _PROFILED.get(code, "")
    return f"{_PROFILES}{'Patient' if patients == 1 else ''}{name}" if name else ""


def writes(code: str) -> bool:
    """Tell whether data goes to the server by this interaction, so that who asks is its author."""
    return code in ("create", "update", "patch", "delete", "transaction", "batch")


def from_server(code: str) -> bool:
    """Tell whether the patterns call the server the source: where data is read, not where it is searched for."""
    return code in ("read", "vread") or code.startswith("history")

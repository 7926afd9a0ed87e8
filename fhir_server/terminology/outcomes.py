"""What terminology operations find, as issues with the codings that clients read.

Spec: https://build.fhir.org/ig/HL7/fhir-tx-ecosystem-ig/CodeSystem-tx-issue-type.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.errors import BadValue, FhirError, Issue, NotFound, TooCostly

_TYPES = "http://hl7.org/fhir/tools/CodeSystem/tx-issue-type"
_MESSAGE_ID = "http://hl7.org/fhir/StructureDefinition/operationoutcome-message-id"


@dataclass(frozen=True, slots=True)
class Finding:
    """One issue.

    Attributes:
        severity: error, warning, information.
        code: of IssueType.
        kind: of tx-issue-type.
        key: the id of the message, the same in every language.
        at: FHIRPath of the element.
        told: it is said in `message` too.
        hint: what to do about it, for people, where it ends the request.
    """

    severity: str
    code: str
    kind: str
    key: str
    text: str
    at: str = ""
    told: bool = True
    hint: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the issue of an OperationOutcome."""
        issue: dict[str, Any] = {
            "extension": [{"url": _MESSAGE_ID, "valueString": self.key}],
            "severity": self.severity,
            "code": self.code,
            "details": details(self.kind, self.text),
        }
        if self.at:
            issue |= {"location": [self.at], "expression": [self.at]}
        return issue

    def raised(self) -> FhirError:
        """Return it as what ends the request."""
        shown = f"{self.text} ({self.hint})" if self.hint else self.text
        issue = Issue(shown, self.code, self.severity, (self.at,) if self.at else (), details(self.kind, self.text))
        kind = {"not-found": NotFound, "too-costly": TooCostly}.get(self.code, BadValue)
        return kind(self.text, issues=[issue])


def details(kind: str, text: str) -> Mapping[str, Any]:
    """Return the CodeableConcept of an issue."""
    return {"coding": [{"system": _TYPES, "code": kind}], "text": text}


def error(code: str, kind: str, key: str, text: str, at: str = "") -> Finding:
    """Return an error."""
    return Finding("error", code, kind, key, text, at)


def unknown_value_set(canonical: str) -> Finding:
    """Return that there is no such value set."""
    text = f"A definition for the value Set '{canonical}' could not be found"
    return error("not-found", "not-found", "Unable_to_resolve_value_Set_", text)


def circular(canonical: str, within: str) -> Finding:
    """Return that a value set imports itself."""
    text = f"Cyclic reference detected when including the value set '{canonical}', which imports itself, via [{within}]"
    return error("processing", "vs-invalid", "VALUESET_CIRCULAR_REFERENCE", text)


def too_deep(canonical: str, depth: int) -> Finding:
    """Return that value sets import one another in too long a row."""
    text = f"The value set '{canonical}' is imported by way of more than {depth} others"
    return error("too-costly", "too-costly", "VALUESET_TOO_DEEP", text)


def too_costly(canonical: str, limit: int) -> Finding:
    """Return that an expansion has too many codes."""
    text = f"The value set '{canonical}' expansion has too many codes to display (>{limit})"
    return error("too-costly", "too-costly", "VALUESET_TOO_COSTLY", text)


def no_supplement(canonicals: str) -> Finding:
    """Return that a supplement is missing that has to be there."""
    text = f"Required supplement not found: {canonicals}"
    return error("not-found", "not-found", "VALUESET_SUPPLEMENT_MISSING", text)

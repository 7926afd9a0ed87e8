"""What is to be said of a concept besides being right: abstract, inactive, deprecated, written in another case.

Spec: https://build.fhir.org/ig/HL7/fhir-tx-ecosystem-ig/requirements.html
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fhir_server.terminology.code_system import CodeSystem
from fhir_server.terminology.members import extension
from fhir_server.terminology.membership import Match
from fhir_server.terminology.outcomes import Finding, error
from fhir_server.terminology.statuses import standards_status

if TYPE_CHECKING:
    from fhir_server.terminology.codings import Setting

_DEPRECATED = "http://hl7.org/fhir/StructureDefinition/valueset-deprecated"


def concept_findings(setting: "Setting", match: Match, code: str) -> list[Finding]:
    """Return what is to be said of a code that was found; `at` is relative to the coding, `.` the coding itself."""
    return list(_found(setting, match, code))


def case_differs(system: CodeSystem, given: str, right: str) -> Finding:
    """Return that a code is written in another case than the system writes it."""
    header = system.header
    named = f"{header.url}|{header.version}" if header.version else header.url
    text = (
        f"The code '{given}' differs from the correct code '{right}' by case. Although the code system '{named}' is"
        " case insensitive, implementers are strongly encouraged to use the correct case anyway"
    )
    return Finding("information", "business-rule", "code-rule", "CODE_CASE_DIFFERENCE", text, "code", told=False)


def _found(setting: "Setting", match: Match, code: str) -> Iterator[Finding]:
    concept = match.concept
    if concept is None or setting.request.membership_only:
        return
    if concept.abstract and not setting.request.abstract:
        text = f"Code '{match.url}#{code}' is abstract, and not allowed in this context"
        yield error("business-rule", "code-rule", "ABSTRACT_CODE_NOT_ALLOWED", text, "code")
    if concept.inactive:
        if match.refused or setting.request.active_only:
            text = f"The concept '{code}' is valid but is not active"
            yield error("business-rule", "code-rule", "STATUS_CODE_WARNING_CODE", text, "code")
        status = f"{concept.status} and inactive" if concept.status not in ("", "inactive") else "inactive"
        text = f"The concept '{code}' has a status of {status} and its use should be reviewed"
        yield Finding("warning", "business-rule", "code-comment", "INACTIVE_CONCEPT_FOUND", text, ".")
    elif concept.status == "deprecated":
        text = f"The concept '{code}' has a status of deprecated and its use should be reviewed"
        yield Finding("warning", "business-rule", "code-comment", "DEPRECATED_CONCEPT_FOUND", text, ".")
    yield from _in_value_set(setting, match, code)


def _in_value_set(setting: "Setting", match: Match, code: str) -> Iterator[Finding]:
    listed = match.listed or {}
    if str(extension(listed, _DEPRECATED)).lower() == "true" or standards_status(listed) == "deprecated":
        text = (
            f"The presence of the concept '{code}' in the system '{match.url}' in the value set"
            f" {setting.value_set_name} is marked with a status of deprecated and its use should be reviewed"
        )
        key = "CONCEPT_DEPRECATED_IN_VALUESET"
        yield Finding("warning", "business-rule", "code-comment", key, text, "code", told=False)

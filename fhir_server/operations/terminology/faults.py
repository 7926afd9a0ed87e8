"""What can be wrong with a terminology request, as issues that programs of the terminology ecosystem read.

Spec: https://build.fhir.org/ig/HL7/fhir-tx-ecosystem-ig/CodeSystem-tx-issue-type.html
"""

from collections.abc import Iterator
from contextlib import contextmanager

from fhir_server.errors import BadRequest, FhirError, Issue, NotFound

_TYPES = "http://hl7.org/fhir/tools/CodeSystem/tx-issue-type"


def unknown_system(url: str, version: str = "") -> NotFound:
    """No such code system, or not in that version."""
    named = f"{url}|{version}" if version else url
    return _missing(f"A definition for CodeSystem '{named}' could not be found", "not-found")


def unknown_code(code: str, system: str, version: str = "") -> NotFound:
    """The system has no such code."""
    where = f"'{system}' version '{version}'" if version else f"'{system}'"
    return _missing(f"Unknown code '{code}' in the CodeSystem {where}", "invalid-code")


def unknown_map(canonical: str) -> NotFound:
    """No such concept map."""
    return _missing(f"The ConceptMap '{canonical}' could not be found", "not-found")


def one_of(names: str) -> BadRequest:
    """None, or several, of the ways to say what is meant."""
    return BadRequest(f"exactly one is needed of {names}", expression="Parameters")


def _missing(text: str, kind: str) -> NotFound:
    short = text[:1_000]
    details = {"coding": [{"system": _TYPES, "code": kind}], "text": short}
    return NotFound(short, issues=(Issue(short, "not-found", details=details),))


@contextmanager
def told_as_text() -> Iterator[None]:
    """Give issues that have none `details.text`, where programs look for it."""
    try:
        yield
    except FhirError as error:
        error.issues = tuple(
            issue
            if issue.details
            else Issue(issue.diagnostics, issue.code, issue.severity, issue.expression, {"text": issue.diagnostics})
            for issue in error.issues
        )
        raise

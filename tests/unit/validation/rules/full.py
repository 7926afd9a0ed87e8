"""Full validation of single resources, for tests."""

from functools import cache
from typing import Any

from fhir_server.definitions import load
from fhir_server.errors import Issue
from fhir_server.packages import Entry, Library, core_library
from fhir_server.terminology import Terminology
from fhir_server.validation import Validator

Json = dict[str, Any]
XHTML = '<div xmlns="http://www.w3.org/1999/xhtml">{}</div>'
TOLD = {"status": "generated", "div": XHTML.format("told")}


@cache
def validator() -> Validator:
    """A validator that knows R4 alone."""
    return validator_with()


def validator_with(*entries: Entry) -> Validator:
    """A validator that knows R4 and these."""
    library = Library(entries, core_library())
    return Validator(load(), library, Terminology(library))


def issues(resource: object, **wanted: Any) -> list[Issue]:
    """All findings."""
    return validator().check(resource, **wanted)


def errors(resource: object) -> list[tuple[str, str]]:
    """Place and key (or code, where there is none) of each error."""
    return [(issue.expression[0], key_of(issue)) for issue in issues(resource) if issue.severity == "error"]


def told(resource: object, severity: str) -> list[tuple[str, str]]:
    """Place and code of the findings of a severity, but for the missing narrative."""
    return [
        (issue.expression[0], issue.code)
        for issue in issues(resource)
        if issue.severity == severity and key_of(issue) != "dom-6"
    ]


def key_of(issue: Issue) -> str:
    """The key of the invariant, or the code of the issue."""
    details: Any = issue.details
    return str(details["coding"][0]["code"]) if details else issue.code

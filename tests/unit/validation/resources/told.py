"""What the rules of one resource tell, without those of its structure."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from fhir_server.definitions import load
from fhir_server.model.json import encode
from fhir_server.packages import Entry, Library, core_library
from fhir_server.terminology import Terminology
from fhir_server.validation.findings import Findings
from fhir_server.validation.place import Place
from fhir_server.validation.resources import check
from fhir_server.validation.run import Knowledge, Run

Json = Mapping[str, Any]


@cache
def _core() -> Knowledge:
    return Knowledge(load(), core_library(), Terminology(core_library(), 1000))


def knowledge(*known: Json) -> Knowledge:
    """R4, and resources that a tenant has."""
    if not known:
        return _core()
    entries = [
        Entry(f"{one['resourceType']}/{i}", one["resourceType"], one["url"], "", encode(one))
        for i, one in enumerate(known)
    ]
    library = Library(entries, core_library())
    return Knowledge(load(), library, Terminology(library, 1000))


def told(
    resource: Json, *known: Json, resolve: Callable[[str], Json | None] = lambda _: None, severity: str = "error"
) -> list[str]:
    """Return the places of findings of one severity."""
    return [issue.expression[0] for issue in issues(resource, *known, resolve=resolve) if issue.severity == severity]


def issues(resource: Json, *known: Json, resolve: Callable[[str], Json | None] = lambda _: None) -> list[Any]:
    """Return all findings."""
    findings = Findings()
    check(resource, Place(None, resource["resourceType"]), Run(knowledge(*known), resource, findings, resolve))
    return findings.issues

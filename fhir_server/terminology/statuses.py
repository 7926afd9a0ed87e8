"""Warnings of what a value set rests on: deprecated, withdrawn, retired, experimental or draft resources.

Spec: https://build.fhir.org/ig/HL7/fhir-tx-ecosystem-ig/requirements.html
"""

from collections.abc import Iterable, Iterator

from fhir_server.terminology.code_system import Header, Json
from fhir_server.terminology.composition import Composition
from fhir_server.terminology.members import extension, text
from fhir_server.terminology.outcomes import Finding

_EXTENSION = "http://hl7.org/fhir/StructureDefinition/structuredefinition-standards-status"

Seen = Iterable[tuple[Header | Composition, Composition]]
"""What was met, each with the value set that names it."""


def standards_status(resource: Json) -> str:
    """Return the standards status of a resource or concept: `deprecated`, `withdrawn` ...; empty where none is said."""
    return str(extension(resource, _EXTENSION) or "")


def statuses(top: Composition, seen: Seen) -> Iterator[tuple[str, str, str]]:
    """Yield the status, type and canonical of what should be looked at."""
    for met, source in [(top, None), *seen]:
        if isinstance(met, Header):
            name = f"{met.url}|{met.version}" if met.version else met.url
            found = _status(met.standards_status, met.status, source, experimental=met.experimental)
            type_ = "CodeSystem"
        else:
            name, type_ = met.name, "ValueSet"
            experimental = met.resource.get("experimental") is True
            found = _status(
                standards_status(met.resource), text(met.resource, "status"), source, experimental=experimental
            )
        if found:
            yield found, type_, name


def status_findings(top: Composition, seen: Seen) -> list[Finding]:
    """Return the warnings as issues."""
    return [
        Finding(
            "information",
            "business-rule",
            "status-check",
            f"MSG_{status.upper()}",
            f"Reference to {status} {type_} {name}",
            told=False,
        )
        for status, type_, name in dict.fromkeys(statuses(top, seen))
    ]


def _status(standards: str, status: str, source: Composition | None, *, experimental: bool) -> str:
    if standards in ("deprecated", "withdrawn"):
        return standards
    if status == "retired":
        return status
    if source is None:
        return ""
    if experimental and source.resource.get("experimental") is not True:
        return "experimental"
    drafts = (text(source.resource, "status"), standards_status(source.resource))
    return "draft" if "draft" in (status, standards) and "draft" not in drafts else ""

"""Small profiles as differentials, and what checking a resource against them finds."""

from typing import Any

from fhir_server.definitions import load
from fhir_server.errors import Issue
from fhir_server.model.json import decode, encode
from fhir_server.packages import Library, core_library, entry_of
from fhir_server.terminology import Terminology
from fhir_server.validation.findings import Findings
from fhir_server.validation.place import Place
from fhir_server.validation.profiles import check, check_extension
from fhir_server.validation.run import Knowledge, Run

Json = dict[str, Any]
CORE = "http://hl7.org/fhir/StructureDefinition/"
URL = "http://example.net/profile"
EXTENSION = "http://example.net/extension"


def profile(type_: str, *elements: Json, url: str = URL, **more: Any) -> Json:
    """A profile on a type by its differential; `path`s are given without the type."""
    kind = "resource" if type_ in load().resource_types else "complex-type"
    rows = [{**element, "path": f"{type_}.{element['path']}" if element.get("path") else type_} for element in elements]
    return {
        "resourceType": "StructureDefinition", "url": url, "name": "P", "status": "active", "kind": kind,
        "abstract": False, "type": type_, "baseDefinition": CORE + type_, "derivation": "constraint",
        "differential": {"element": rows}, **more,
    }  # fmt: skip


def extension(
    *elements: Json, url: str = EXTENSION, context: str = "Element", kind: str = "element", **more: Any
) -> Json:
    """A definition of an extension with one context."""
    fixed = {"path": "url", "fixedUri": url}
    return profile("Extension", fixed, *elements, url=url, context=[{"type": kind, "expression": context}], **more)


def simple_extension(code: str, url: str = EXTENSION, **more: Any) -> Json:
    """A definition of an extension with a value of one type."""
    return extension(
        {"path": "extension", "max": "0"}, {"path": "value[x]", "min": 1, "type": [{"code": code}]}, url=url, **more
    )


def knowledge(*definitions: Json) -> Knowledge:
    """R4 with these definitions over it; of those that are a URL and nothing more R4 has its own."""
    definitions = tuple(d for d in definitions if "resourceType" in d)
    entries = [entry_of(f"{d['resourceType']}/{n}", d["resourceType"], encode(d)) for n, d in enumerate(definitions)]
    library = Library(entries, core_library())
    return Knowledge(load(), library, Terminology(library))


def run_of(resource: Json, *definitions: Json, **changes: Any) -> Run:
    """A run on a resource, before anything was checked."""
    run = Run(knowledge(*definitions), resource, Findings())
    for name, value in changes.items():
        setattr(run, name, value)
    return run


def findings(resource: Json, *definitions: Json, **changes: Any) -> list[Issue]:
    """What is found against the first definition."""
    resource = decode(encode(resource))
    run = run_of(resource, *definitions, **changes)
    check(resource, definitions[0]["url"], Place(None, resource["resourceType"]), run)
    return run.findings.issues


def errors(resource: Json, *definitions: Json, **changes: Any) -> list[str]:
    """Code and place of each error."""
    found = findings(resource, *definitions, **changes)
    return [f"{issue.code} {issue.expression[0]}" for issue in found if issue.severity == "error"]


def extension_findings(resource: Json, *definitions: Json, modifier: bool = False, **changes: Any) -> list[Issue]:
    """What is found in the first extension of a resource."""
    name = "modifierExtension" if modifier else "extension"
    run = run_of(resource, *definitions, **changes)
    place = Place(Place(None, resource["resourceType"]), name, 0)
    check_extension(resource[name][0], place, run, modifier=modifier)
    return run.findings.issues


def patient(**elements: Any) -> Json:
    """A Patient with these elements."""
    return {"resourceType": "Patient", **elements}


def observation(**elements: Any) -> Json:
    """An Observation with these elements."""
    return {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, **elements}

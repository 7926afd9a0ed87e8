"""The variables that every expression has: `%resource`, `%ucum`, `%vs-name` and the like.

Spec: https://hl7.org/fhir/R4/fhirpath.html#variables
"""

from collections.abc import Mapping

from fhir_server.fhirpath.context import Run
from fhir_server.fhirpath.errors import FhirPathError
from fhir_server.fhirpath.node import Collection, Node

URLS = {
    "sct": "http://snomed.info/sct",
    "loinc": "http://loinc.org",
    "ucum": "http://unitsofmeasure.org",
}
_PREFIXES: Mapping[str, str] = {
    "vs-": "http://hl7.org/fhir/ValueSet/",
    "cs-": "http://hl7.org/fhir/CodeSystem/",
    "ext-": "http://hl7.org/fhir/StructureDefinition/",
}
_NODES = frozenset({"context", "resource", "rootResource"})
# The pattern that `%us-zip` stood for in the drafts of FHIRPath.
_PATTERNS = {"us-zip": r"[0-9]{5}(-[0-9]{4}){0,1}"}


def is_built_in(name: str) -> bool:
    """Whether a name is one of those that cannot be defined."""
    return name in URLS or name in _NODES or name in _PATTERNS or name.startswith(tuple(_PREFIXES))


def constant(run: Run, name: str) -> Collection:
    """The value of `%name`.

    Raises:
        FhirPathError: there is no such variable.
    """
    if name in run.variables:
        return run.variables[name]
    if name in _NODES:
        return [_node(run, name)]
    text = URLS.get(name) or _PATTERNS.get(name) or _prefixed(name)
    if text is None:
        raise FhirPathError(f"there is no variable %{name}")
    return [text]


def _prefixed(name: str) -> str | None:
    return next((url + name.removeprefix(start) for start, url in _PREFIXES.items() if name.startswith(start)), None)


def _node(run: Run, name: str) -> Node:
    if name == "context":
        return run.context
    resource = _resource_around(run.context)
    if name == "rootResource" and resource.key == "contained" and resource.parent is not None:
        return _resource_around(resource.parent)
    return resource


def _resource_around(node: Node) -> Node:
    """The innermost resource in which a node lies, or the outermost node."""
    while node.parent is not None and not (isinstance(node.value, dict) and "resourceType" in node.value):
        node = node.parent
    return node

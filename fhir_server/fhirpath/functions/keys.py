"""Functions that SQL on FHIR adds: the key of a resource, and the same key from a reference to it.

Spec: https://sql-on-fhir.org/ig/StructureDefinition-ViewDefinition.html#required-additional-functions
"""

from collections.abc import Mapping
from typing import Any

from fhir_server.fhirpath.context import Run
from fhir_server.fhirpath.functions.function import Function, fixed
from fhir_server.fhirpath.node import Collection, Node
from fhir_server.fhirpath.types import TypeModel
from fhir_server.fhirpath.values import string


def resource_key(value: Any) -> str | None:
    """The key of a resource: its id."""
    found = value.get("id") if isinstance(value, dict) and "resourceType" in value else None
    return found if isinstance(found, str) else None


def reference_key(value: Any, wanted: str | None, model: TypeModel) -> str | None:
    """The key of what a relative reference names; None for any other, and for one to another type than is wanted."""
    text = value.get("reference") if isinstance(value, dict) else None
    if not isinstance(text, str):
        return None
    steps = text.partition("/_history/")[0].split("/")
    if len(steps) != 2 or not steps[1] or not model.is_resource(steps[0]):
        return None
    return steps[1] if wanted is None or steps[0] == wanted else None


def get_resource_key(run: Run, focus: Collection) -> Collection:
    """`getResourceKey()`: the key of each resource."""
    keys = (resource_key(item.value) for item in focus if isinstance(item, Node))
    return [key for key in keys if key is not None]


def get_reference_key(run: Run, focus: Collection, of: Collection | None = None) -> Collection:
    """`getReferenceKey([type])`: the key that the referenced resource has."""
    wanted = string(of, "getReferenceKey()") if of else None
    keys = (reference_key(item.value, wanted, run.model) for item in focus if isinstance(item, Node))
    return [key for key in keys if key is not None]


FUNCTIONS: Mapping[str, Function] = {
    "getResourceKey": fixed(get_resource_key),
    "getReferenceKey": Function(get_reference_key, 0, 1),
}

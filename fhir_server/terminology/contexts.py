"""The value set that an element of a profile is bound to: the `context` of $expand and $validate-code.

Spec: https://hl7.org/fhir/R4/valueset-operation-expand.html (parameter `context`)
"""

from collections.abc import Iterator

from fhir_server.packages import Library
from fhir_server.terminology.code_system import Json
from fhir_server.terminology.members import part, parts, text

_TYPES = "http://hl7.org/fhir/StructureDefinition/"


def bound_value_set(library: Library, context: str) -> str:
    """Return the canonical of a value set; empty where the context names no element, or one without a binding.

    Args:
        context: `[URL of a StructureDefinition]#[id or path of an element]`, or a path from a type (`Patient.gender`).
    """
    url, _, path = context.partition("#")
    if not path:
        url, path = _TYPES + context.partition(".")[0], context
    entry = library.find("StructureDefinition", url)
    named = (
        (each for each in _elements(entry.parse()) if path in (text(each, "id"), text(each, "path"))) if entry else ()
    )
    return next((found for each in named if (found := text(part(each, "binding"), "valueSet"))), "")


def _elements(definition: Json) -> Iterator[Json]:
    """Yield the elements; those that a profile changes go before those that it has from its base."""
    yield from parts(part(definition, "differential"), "element")
    yield from parts(part(definition, "snapshot"), "element")

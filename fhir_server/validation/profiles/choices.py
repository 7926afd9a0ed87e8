"""Invariants of guides that name a choice as JSON does: `valueString` for `value.ofType(string)`."""

import re
from collections.abc import Mapping
from weakref import WeakKeyDictionary

from fhir_server.definitions import Definitions

# Texts, delimited names and comments are passed over; what is left are names.
_TOKEN = re.compile(r"'(?:\\.|[^'\\])*'|`(?:\\.|[^`\\])*`|//[^\n]*|/\*.*?\*/|%?[A-Za-z_]\w*", re.DOTALL)
_names: WeakKeyDictionary[Definitions, Mapping[str, str]] = WeakKeyDictionary()


def with_choices(expression: str, definitions: Definitions) -> str:
    """Return the expression with such names spelled out, since FHIRPath knows the element `value` alone.

    Spec: https://hl7.org/fhir/R4/fhirpath.html#polymorphism
    """
    names = _names.get(definitions)
    if names is None:
        names = _names[definitions] = _choices(definitions)
    return _TOKEN.sub(lambda match: names.get(match[0], match[0]), expression)


def _choices(definitions: Definitions) -> Mapping[str, str]:
    """JSON names of choices; those that are the name of an element somewhere are left out."""
    elements = [element for definition in definitions.types.values() for element in definition.elements]
    plain = {element.name for element in elements}
    return {
        name: f"{element.name}.ofType({of.code})"
        for element in elements if element.choice
        for name, of in element.json_names.items() if of and name not in plain
    }  # fmt: skip

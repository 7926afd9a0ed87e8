"""Values of a FHIRPath Patch that are spelled out in nested parts: elements whose type has no name.

Spec: https://hl7.org/fhir/R4/fhirpatch.html
"""

from collections.abc import Mapping
from typing import Any

from fhir_server.definitions import Definitions
from fhir_server.definitions.model import Element, TypeDefinition
from fhir_server.errors import BadRequest


def listed(holder: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """Return the parameters or parts under a key. Raises BadRequest: they are no list of objects with names."""
    found = holder.get(key, [])
    if not isinstance(found, list) or not all(isinstance(p, dict) and isinstance(p.get("name"), str) for p in found):
        raise BadRequest(f"{key!r} in a FHIRPath patch is a list of objects with names", expression="Parameters")
    return found


class Parts(dict[str, Any]):
    """Elements under the names that their parts have; `types`: what `value[x]` said of each."""

    __slots__ = ("types",)

    def __init__(self) -> None:
        super().__init__()
        self.types: dict[str, str] = {}

    def collect(self, name: str, data: Any, type_: str) -> None:
        """Take one part; several of a name are a list."""
        self.types[name] = type_
        if name not in self:
            self[name] = data
        elif isinstance(self[name], list):
            self[name].append(data)
        else:
            self[name] = [self[name], data]


def shaped(value: Any, type_: str | None, definitions: Definitions) -> Any:
    """Return parts as JSON of a type: choices under their full names, what repeats in lists, down to the leaves."""
    if isinstance(value, list):
        return [shaped(each, type_, definitions) for each in value]
    if not isinstance(value, Parts):
        return value
    definition = definitions.types.get(type_ or "")
    if definition is None:
        return dict(value)
    return dict(_element(name, data, value.types, definition, definitions) for name, data in value.items())


def _element(
    name: str, data: Any, types: Mapping[str, str], definition: TypeDefinition, definitions: Definitions
) -> tuple[str, Any]:
    mark, plain = ("_", name[1:]) if name.startswith("_") else ("", name)
    by_name = definition.by_name
    if plain not in by_name:
        plain = f"{plain.removesuffix('[x]')}{types.get(plain, '')}"
    element = by_name.get(plain)
    if element is None:
        return name, data
    data = shaped(data, type_of(element), definitions)
    repeats = element.max is None or element.max > 1
    return mark + plain, [data] if repeats and not isinstance(data, list) else data


def type_of(element: Element | None) -> str | None:
    """Return the key of the one type that an element has."""
    if element is None:
        return None
    if element.type_key is not None:
        return element.type_key
    return element.types[0].code if len(element.types) == 1 else None

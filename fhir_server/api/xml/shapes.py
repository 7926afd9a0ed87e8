"""How each type looks in XML: the fields of the R4 definitions in their order, as both directions need them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from fhir_server.definitions import Definitions, Element, ElementType

FHIR = "http://hl7.org/fhir"
XHTML = "http://www.w3.org/1999/xhtml"

Kind = Literal["attribute", "primitive", "complex", "resource", "xhtml"]
Lexical = Literal["string", "boolean", "integer", "decimal"]

_TOKENS: dict[str, Lexical] = {
    "boolean": "boolean",
    "integer": "integer",
    "positiveInt": "integer",
    "unsignedInt": "integer",
    "decimal": "decimal",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One property: `order` is its place among its siblings, `shape` the type key of what is below it."""

    name: str
    order: int
    many: bool
    kind: Kind
    shape: str
    lexical: Lexical = "string"


class Shapes:
    """The fields of each type, worked out when first asked for."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._shapes: dict[str, Mapping[str, Field]] = {}

    def __getitem__(self, type_key: str) -> Mapping[str, Field]:
        found = self._shapes.get(type_key)
        if found is None:
            found = self._shapes[type_key] = self._build(type_key)
        return found

    def is_resource(self, name: object) -> bool:
        """Tell whether this is a type of which there can be resources."""
        definition = self._definitions.types.get(name) if isinstance(name, str) else None
        return definition is not None and definition.kind == "resource" and not definition.abstract

    def _build(self, type_key: str) -> Mapping[str, Field]:
        return {
            name: self._field(name, order, element, of)
            for order, element in enumerate(self._definitions.types[type_key].elements)
            for name, of in element.json_names.items()
        }

    def _field(self, name: str, order: int, element: Element, of: ElementType | None) -> Field:
        shape = element.type_key or (of.code if of else "")
        return Field(name, order, element.max != 1, self._kind(element, shape), shape, _TOKENS.get(shape, "string"))

    def _kind(self, element: Element, shape: str) -> Kind:
        if element.xml_attribute:
            return "attribute"
        if shape == "xhtml":
            return "xhtml"
        definition = self._definitions.types[shape]
        if definition.kind == "resource":
            return "resource"
        return "primitive" if definition.kind == "primitive-type" else "complex"


@lru_cache(maxsize=8)
def shapes_of(definitions: Definitions) -> Shapes:
    """Return the shapes of these definitions; one value for each."""
    return Shapes(definitions)

"""The definitions as both roads of the validator read them: for each kind of object, what it may and must have.

Spec: https://hl7.org/fhir/R4/json.html
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from fhir_server.definitions import Definitions, Element, ElementType, TypeDefinition
from fhir_server.validation.structure.primitives import ELEMENT_ID, PRIMITIVES, Primitive
from fhir_server.validation.structure.references import UNTYPED, References

_SIMPLE_QUANTITY = "http://hl7.org/fhir/StructureDefinition/SimpleQuantity"
_NARROWED = frozenset(("CodeableConcept", "Coding"))
_ABSTRACT_OBJECTS = frozenset(("Element", "BackboneElement"))

# Levels of nesting through types that may hold themselves: extensions, resources, content references, identifiers.
MAX_NESTING = 100


@dataclass(frozen=True, slots=True)
class Property:
    """One JSON property of an object.

    `element` is the element's name without the type of a choice, `shown` as FHIRPath has it (`value.ofType(Quantity)`),
    `path` its dotted path in the definitions. Exactly
    one of `primitive`, `node` (key of a `Node`) and `resource` is set. `codes` are those of a required binding on a
    code; `value_set` is its URL. `sibling` is the key of the node of `_name`. `nests` marks the edges on which every
    cycle of types lies.
    """

    name: str
    element: str
    path: str
    many: bool
    shown: str
    primitive: Primitive | None = None
    node: str | None = None
    resource: bool = False
    codes: Mapping[str, str] | None = None
    value_set: str = ""
    sibling: str | None = None
    nests: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One kind of object.

    `required` holds the JSON names of each element that must be there, `choices` the names that exclude each other.
    `targets` (of a Reference) and `codes` with `value_set` (of a bound Coding or CodeableConcept) depend on where
    the object stands, so they are part of the key.
    """

    key: str
    type: str
    kind: Literal["resource", "element", "sibling"]
    properties: Mapping[str, Property]
    required: tuple[tuple[str, ...], ...]
    choices: tuple[frozenset[str], ...]
    targets: frozenset[str] | None = None
    codes: Mapping[str, str] | None = None
    value_set: str = ""


class Plan:
    """Nodes by key, made when first asked for.

    A key is that of a type, or `Reference|Patient,Group`, `Quantity|simple`, `Coding|<URL of a value set>`, `_date`.
    """

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._nodes: dict[str, Node] = {}
        self.resource_types = frozenset(
            name for name in _resources(definitions) if not definitions.types[name].abstract
        )
        self.references = References(self.resource_types)
        self.any_target = self.resource_types | {UNTYPED}

    def node(self, key: str) -> Node:
        """The node of a key. Two threads may make it twice; either will do."""
        found = self._nodes.get(key)
        if found is None:
            found = self._nodes[key] = self._make(key)
        return found

    def _make(self, key: str) -> Node:
        if key.startswith("_"):
            return self._sibling(key)
        name, _, variant = key.partition("|")
        definition = self._definitions.types[name]
        properties = self._properties(definition)
        if name == "Quantity" and variant:
            properties.pop("comparator")
        bound = variant if name in _NARROWED else ""
        return Node(
            key=key,
            type=name,
            kind="resource" if definition.kind == "resource" else "element",
            properties=properties,
            required=tuple(tuple(e.json_names) for e in definition.elements if e.min),
            choices=tuple(frozenset(e.json_names) for e in definition.elements if e.choice),
            targets=self._targets(variant) if name == "Reference" else None,
            codes=self._definitions.required_codes.get(bound),
            value_set=bound,
        )

    def _sibling(self, key: str) -> Node:
        properties = self._properties(self._definitions.types[key[1:]])
        return Node(key, key[1:], "sibling", properties, (), ())

    def _targets(self, variant: str) -> frozenset[str]:
        names = variant.split(",") if variant else []
        return frozenset(names) | {UNTYPED} if names and "Resource" not in names else self.any_target

    def _properties(self, definition: TypeDefinition) -> dict[str, Property]:
        return {
            name: self._property(name, element, of)
            for element in definition.elements
            if element.max != 0
            for name, of in element.json_names.items()
        }

    def _property(self, name: str, element: Element, of: ElementType | None) -> Property:
        many = element.max is None or element.max > 1
        shown = f"{element.name}.ofType({of.code})" if element.choice and of else element.name
        common = Property(name, element.name, element.path, many, shown)
        if element.type_key:
            return replace(common, node=element.type_key, nests=element.content is not None)
        code = of.code if of else "Element"
        if code in PRIMITIVES:
            return self._primitive(common, element, code)
        definition = self._definitions.types[code]
        if definition.kind == "resource":
            return replace(common, resource=True, nests=True)
        key = _variant(code, element, of)
        return replace(common, node=key, nests=code == "Extension" or element.path == "Reference.identifier")

    def _primitive(self, common: Property, element: Element, code: str) -> Property:
        if element.xml_attribute:
            return replace(common, primitive=ELEMENT_ID if element.name == "id" else PRIMITIVES[code])
        required = element.binding is not None and element.binding.strength == "required" and code == "code"
        value_set = element.binding.value_set if required and element.binding else ""
        codes = self._definitions.required_codes.get(value_set)
        sibling = "_xhtml" if code == "xhtml" else "_string"
        return replace(common, primitive=PRIMITIVES[code], codes=codes, value_set=value_set, sibling=sibling)


def missing(node: Node, names: Iterable[str]) -> list[tuple[str, ...]]:
    """The JSON names of each required element of which an object with these properties has none."""
    there = {name.removeprefix("_") for name in names}
    return [options for options in node.required if there.isdisjoint(options)]


def shape_fault(node: Node, names: Iterable[str]) -> bool:
    """Whether the names of an object's properties alone make it bad."""
    keys = set(names)
    values = {name.removeprefix("_") for name in keys}
    return (
        any(_unknown(node, name) for name in keys)
        or bool(missing(node, keys))
        or any(len(values & choice) > 1 for choice in node.choices)
        or bool(emptiness(node, values))
    )


def content_elements(node: Node) -> frozenset[str]:
    """The elements of which an object of a data type must have at least one to mean something."""
    names = frozenset(found.element for found in node.properties.values())
    if node.type == "Reference" and node.kind == "element":
        return frozenset(("reference", "identifier", "display", "extension"))
    return names if node.kind == "sibling" else names - {"id"}


def emptiness(node: Node, names: Iterable[str]) -> str:
    """Say what an object of a data type lacks to mean something, given the names of its values; or nothing."""
    found = [node.properties.get(name) for name in names]
    if node.kind == "resource" or None in found:
        return ""  # what is unknown is a fault already, and may have been meant as content
    elements = {one.element for one in found if one}
    if node.type == "Extension" and ("value" in elements) == ("extension" in elements):
        return "an extension must have either a value or extensions, not both (ext-1)"
    if not elements.isdisjoint(content_elements(node)):
        return ""
    if node.type == "Reference" and not elements <= {"id"}:
        return "a reference must have a reference, an identifier or a display"
    return "an object must have content beside its id (ele-1)"


def _unknown(node: Node, name: str) -> bool:
    if name == "resourceType" and node.kind == "resource":
        return False
    found = node.properties.get(name)
    if found is None and name.startswith("_"):
        found = node.properties.get(name[1:])
        return found is None or found.sibling is None
    return found is None


def _variant(code: str, element: Element, of: ElementType | None) -> str:
    """The key of a data type as narrowed by the element that has it."""
    if code == "Reference" and of and of.targets:
        return "Reference|" + ",".join(of.targets)
    if code == "Quantity" and of and _SIMPLE_QUANTITY in of.profiles:
        return "Quantity|simple"
    if code in _NARROWED and element.binding and element.binding.strength == "required":
        return f"{code}|{element.binding.value_set}"
    return code


def _resources(definitions: Definitions) -> Iterable[str]:
    # Only rows that start with a capital and have no dot can be resources: this keeps the others unparsed.
    for name in definitions.types:
        if name[0].isupper() and "." not in name and definitions.types[name].kind == "resource":
            yield name

"""The R4 type model as FHIRPath sees it: which children an element has, and which type is a kind of which.

Spec: https://hl7.org/fhir/R4/fhirpath.html#types
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from fhir_server import definitions
from fhir_server.definitions import Definitions, Element, TypeDefinition
from fhir_server.fhirpath.ast import TypeName
from fhir_server.fhirpath.errors import FhirPathError
from fhir_server.fhirpath.long import Long
from fhir_server.fhirpath.quantity import Quantity
from fhir_server.fhirpath.temporal import Temporal

SYSTEM_TYPES = frozenset(
    {"Boolean", "String", "Integer", "Long", "Decimal", "Date", "DateTime", "Time", "Quantity", "Any"}
)
# The FHIR primitives by what they become in an expression; all others become strings.
SYSTEM_OF_PRIMITIVE = {
    "boolean": "Boolean", "integer": "Integer", "positiveInt": "Integer", "unsignedInt": "Integer",
    "decimal": "Decimal", "date": "Date", "dateTime": "DateTime", "instant": "DateTime", "time": "Time",
}  # fmt: skip
_SYSTEM_OF_PYTHON = {bool: "Boolean", int: "Integer", Long: "Long", Decimal: "Decimal", float: "Decimal", str: "String"}
QUANTITIES = frozenset({"Quantity", "Age", "Count", "Distance", "Duration"})


@dataclass(frozen=True, slots=True)
class Child:
    """One JSON property that a FHIRPath name may stand for.

    Attributes:
        key: the JSON property (`valueQuantity` for the name `value`).
        type: the FHIR type; None when the resource inside says it itself.
        primitive: whether the property may have a `_key` beside it.
    """

    key: str
    type: str | None
    primitive: bool


class TypeModel:
    """Definitions prepared for navigation; tables are built for a type when it is first met."""

    def __init__(self, facts: Definitions) -> None:
        self._types = facts.types
        self._tables: dict[str, Mapping[str, tuple[Child, ...]]] = {}
        self._kinds: dict[str, frozenset[str]] = {}

    def known(self, name: str) -> bool:
        """Whether there is a FHIR type of this name."""
        return name in self._types

    def is_resource(self, name: str) -> bool:
        """Whether the name is that of a resource type, abstract ones included."""
        return name in self._types and self._types[name].kind == "resource"

    def is_primitive(self, name: str | None) -> bool:
        """Whether values of the type are JSON scalars."""
        return name in self._types and self._types[name].kind == "primitive-type"  # type: ignore[index]

    def children(self, name: str) -> Mapping[str, tuple[Child, ...]]:
        """FHIRPath name to JSON properties, for one type; empty for a type that is not known."""
        table = self._tables.get(name)
        if table is None:
            table = self._tables[name] = self._table(name)
        return table

    def by_key(self, name: str, key: str) -> tuple[str, Child] | None:
        """FHIRPath name and child of a JSON property of a type."""
        for path_name, children in self.children(name).items():
            for child in children:
                if child.key == key:
                    return path_name, child
        return None

    def kinds(self, name: str) -> frozenset[str]:
        """The type itself and all that it is a kind of."""
        found = self._kinds.get(name)
        if found is None:
            found = self._kinds[name] = frozenset(self._ancestors(name))
        return found

    def resolve(self, type_name: TypeName) -> TypeName:
        """Say which namespace a type name means; an unqualified `Quantity` stays open.

        Raises:
            FhirPathError: there is no such type.
        """
        namespace, name = type_name.namespace, type_name.name
        if namespace == "System" or (namespace is None and name in SYSTEM_TYPES and not self.known(name)):
            return TypeName("System", name)
        if namespace not in (None, "FHIR") or not self.known(name):
            raise FhirPathError(f"there is no type {type_name}")
        return type_name if namespace is None and name in SYSTEM_TYPES else TypeName("FHIR", name)

    def _ancestors(self, name: str) -> list[str]:
        names: list[str] = []
        current: str | None = name
        while current is not None and current not in names:
            names.append(current)
            definition = self._types.get(current)
            current = definition.base if definition else None
        return names

    def _table(self, name: str) -> Mapping[str, tuple[Child, ...]]:
        definition: TypeDefinition | None = self._types.get(name)
        if definition is None:
            return {}
        return {element.name: self._children_of(element) for element in definition.elements}

    def _children_of(self, element: Element) -> tuple[Child, ...]:
        return tuple(
            self._child(key, element.type_key or (of.code if of else None)) for key, of in element.json_names.items()
        )

    def _child(self, key: str, type_name: str | None) -> Child:
        if type_name == "Resource":
            return Child(key, None, False)
        return Child(key, type_name, self.is_primitive(type_name))


@cache
def model_of(facts: Definitions) -> TypeModel:
    """The model of these definitions, made once for each."""
    return TypeModel(facts)


def default_model() -> TypeModel:
    """The model of the installed R4 definitions."""
    return model_of(definitions.load())


def system_type(value: object) -> str:
    """The System type of a bare value of the engine."""
    if isinstance(value, Temporal):
        return value.kind
    if isinstance(value, Quantity):
        return "Quantity"
    return _SYSTEM_OF_PYTHON.get(type(value), "Any")

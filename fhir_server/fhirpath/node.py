"""Node: an element of a resource with its FHIR type and its place; the results of typed evaluation."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, TypeAlias

from fhir_server.fhirpath.quantity import Quantity
from fhir_server.fhirpath.temporal import Temporal
from fhir_server.fhirpath.types import TypeModel


class Node:
    """A value with its type and place.

    A plain class with slots and not a frozen dataclass, because one is made for each element that a path visits and
    a frozen one takes four times as long. Nothing changes a node after it is made.

    Attributes:
        value: the JSON value; None for a primitive that has nothing but extensions.
        type: the FHIR type (`code`, `HumanName`, `Patient.contact`) or System type (`System.String`); None unknown.
        parent: the node that it was reached from; None for the root and for computed values.
        key: the JSON property in the parent; empty at the root.
        index: the place in the JSON array; None when the property is not an array.
        extra: the companion of a primitive (`_birthDate`) with its id and extensions.
    """

    __slots__ = ("extra", "index", "key", "parent", "type", "value")

    def __init__(
        self,
        value: Any,
        type: str | None,
        parent: "Node | None" = None,
        key: str = "",
        index: int | None = None,
        extra: "dict[str, Any] | None" = None,
    ) -> None:
        self.value = value
        self.type = type
        self.parent = parent
        self.key = key
        self.index = index
        self.extra = extra

    @property
    def location(self) -> tuple[str | int, ...]:
        """Keys and indexes from the root of the resource; empty for the root and for computed values."""
        steps: list[str | int] = []
        for node in self._upwards():
            if node.index is not None:
                steps.append(node.index)
            if node.key:
                steps.append(node.key)
        return tuple(reversed(steps))

    def path(self, model: TypeModel) -> str:
        """The place as FHIRPath: `Observation.value.ofType(Quantity).code`, `Patient.name[0].given[1]`.

        Spec: https://hl7.org/fhir/R4/operationoutcome-definitions.html#OperationOutcome.issue.expression
        """
        return "".join(reversed([_step(node, model) for node in self._upwards()]))

    def _upwards(self) -> Iterator["Node"]:
        node: Node | None = self
        while node is not None:
            yield node
            node = node.parent

    def __repr__(self) -> str:
        return f"Node({self.value!r}, {self.type!r}, {self.location!r})"


# What collections hold: elements as nodes, computed values bare.
Item: TypeAlias = Node | bool | int | Decimal | str | Temporal | Quantity
Collection: TypeAlias = list[Item]

_TYPE_OF_JSON = {str: "string", bool: "boolean", int: "integer", Decimal: "decimal", float: "decimal"}


def _step(node: Node, model: TypeModel) -> str:
    index = "" if node.index is None else f"[{node.index}]"
    if node.parent is None:
        return node.type or str(node.key)
    known = model.by_key(node.parent.type, node.key) if node.parent.type else None
    if known is None or known[0] == node.key:
        return f".{node.key}{index}"
    return f".{known[0]}{index}.ofType({known[1].type})"


def root(resource: Any, model: TypeModel) -> Node:
    """The node of a whole resource (or of any JSON object; its type is then not known)."""
    return Node(resource, resource_type(resource, model))


def resource_type(value: Any, model: TypeModel) -> str | None:
    """The type that a resource names itself; None when it names none that is known."""
    name = value.get("resourceType") if isinstance(value, dict) else None
    return name if isinstance(name, str) and model.known(name) else None


def guessed_type(value: Any, model: TypeModel) -> str | None:
    """The type of a value that no definition describes: a resource's own, or what its JSON form suggests."""
    if isinstance(value, dict):
        return resource_type(value, model)
    return _TYPE_OF_JSON.get(type(value))


def members(node: Node, name: str, model: TypeModel) -> Iterator[Node]:
    """The child elements of a node that a name stands for, in order."""
    value = node.value
    if node.type is None:
        if isinstance(value, dict):
            yield from _untyped(node, value, name, model)
        return
    for child in model.children(node.type).get(name, ()):
        if isinstance(value, dict):
            yield from elements(node, value, child.key, child.type, model)
        elif node.extra is not None:
            yield from elements(node, node.extra, child.key, child.type, model)


def elements(node: Node, fields: dict[str, Any], key: str, type_name: str | None, model: TypeModel) -> Iterator[Node]:
    """The elements of one JSON property, companions of primitives joined in."""
    value = fields.get(key)
    extra = fields.get("_" + key)
    if isinstance(value, list) or isinstance(extra, list):
        yield from _array(node, (value, extra), key, type_name, model)
    elif value is not None or extra is not None:
        actual = type_name or guessed_type(value, model)
        yield Node(value, actual, node, key, None, extra if isinstance(extra, dict) else None)


def _array(node: Node, found: tuple[Any, Any], key: str, type_name: str | None, model: TypeModel) -> Iterator[Node]:
    values, extras = (part if isinstance(part, list) else [] for part in found)
    for index in range(max(len(values), len(extras))):
        value = values[index] if index < len(values) else None
        extra = extras[index] if index < len(extras) and isinstance(extras[index], dict) else None
        if value is not None or extra is not None:
            yield Node(value, type_name or guessed_type(value, model), node, key, index, extra)


def _untyped(node: Node, fields: dict[str, Any], name: str, model: TypeModel) -> Iterator[Node]:
    """Children of an object without a known type: by key, else as a choice (`valueQuantity` for `value`)."""
    if name in fields or "_" + name in fields:
        yield from elements(node, fields, name, None, model)
        return
    for key in fields:
        suffix = key.removeprefix(name)
        if suffix != key and (of := choice_type(suffix, model)):
            yield from elements(node, fields, key, of, model)


def choice_type(suffix: str, model: TypeModel) -> str | None:
    """The type that the end of a choice's key names: `Quantity`, or `dateTime` for `DateTime`."""
    if not suffix[:1].isupper():
        return None
    lowered = suffix[0].lower() + suffix[1:]
    if model.known(lowered) and model.is_primitive(lowered):
        return lowered
    return suffix if model.known(suffix) else None


def children(node: Node, model: TypeModel) -> Iterator[Node]:
    """All child elements of a node, in the order of the JSON."""
    fields = node.value if isinstance(node.value, dict) else node.extra
    if fields is None:
        return
    seen: set[str] = set()
    for raw_key in fields:
        key = raw_key.removeprefix("_")
        if key in seen or key == "resourceType":
            continue
        seen.add(key)
        known = model.by_key(node.type, key) if node.type else None
        if known is not None or node.type is None:
            yield from elements(node, fields, key, known[1].type if known else None, model)

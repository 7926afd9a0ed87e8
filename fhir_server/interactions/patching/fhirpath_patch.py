"""FHIRPath Patch: a Parameters resource of operations. Spec: https://hl7.org/fhir/R4/fhirpatch.html"""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from fhir_server.definitions import Definitions
from fhir_server.errors import BadRequest, InvalidResource
from fhir_server.fhirpath import FhirPathError, Node, ast, compile_expression
from fhir_server.interactions.patching.elements import Elements, Value
from fhir_server.interactions.patching.parts import listed

Part = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Operation:
    """One operation as read from its parts; `number` counts from 0, for messages."""

    number: int
    kind: str
    path: str
    name: str = ""
    value: Value | None = None
    index: int | None = None
    source: int | None = None
    destination: int | None = None

    def fail(self, reason: str) -> InvalidResource:
        """Return the error that the operation cannot be applied."""
        return InvalidResource(
            f"operation {self.number} ({self.kind}) cannot be applied: {reason}", expression=self.path
        )


def fhirpath_patch(resource: dict[str, Any], parameters: Mapping[str, Any], definitions: Definitions) -> dict[str, Any]:
    """Return a copy of the resource with the operations applied one after another.

    Raises:
        BadRequest: the Parameters are no patch: an operation lacks a part, or an expression is wrong.
        InvalidResource: a path selects nothing, or several elements where one is meant, or an index is out of range.
    """
    patched = deepcopy(resource)
    elements = Elements(definitions)
    for number, parameter in enumerate(listed(parameters, "parameter")):
        operation = _read(number, parameter)
        _APPLY[operation.kind](elements, patched, operation)
    return patched


def _read(number: int, parameter: Part) -> _Operation:
    if parameter.get("name") != "operation":
        raise BadRequest(f"parameter {number} of a patch is named 'operation', not {parameter.get('name')!r}")
    parts = {part["name"]: part for part in listed(parameter, "part")}
    kind = _text(number, parts, "type")
    if kind not in _APPLY:
        raise BadRequest(f"operation {number}: {kind!r} is none of {', '.join(_APPLY)}")
    found = _Operation(
        number,
        kind,
        _text(number, parts, "path"),
        _text(number, parts, "name") if kind == "add" else "",
        Value.of(parts["value"]) if "value" in parts else None,
        *(_integer(number, parts, name) for name in ("index", "source", "destination")),
    )
    for needed in _NEEDS[kind]:
        if getattr(found, needed) is None:
            raise BadRequest(f"operation {number} ({kind}) needs a part {needed!r}")
    return found


def _text(number: int, parts: Mapping[str, Part], name: str) -> str:
    part = parts.get(name, {})
    value = next((part[key] for key in ("valueString", "valueCode") if key in part), None)
    if not isinstance(value, str) or not value:
        raise BadRequest(f"operation {number} needs a part {name!r} with a string")
    return value


def _integer(number: int, parts: Mapping[str, Part], name: str) -> int | None:
    if name not in parts:
        return None
    value = next((value for key, value in parts[name].items() if key.startswith("value")), None)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise BadRequest(f"operation {number}: {name!r} is a whole number from 0")
    return value


def _nodes(resource: dict[str, Any], operation: _Operation) -> list[Node]:
    try:
        return compile_expression(operation.path).evaluate(resource)
    except FhirPathError as error:
        raise BadRequest(f"operation {operation.number}: {error}", expression="path") from None


def _single(resource: dict[str, Any], operation: _Operation) -> Node:
    nodes = _nodes(resource, operation)
    if not nodes:
        raise operation.fail(f"No content found at {operation.path}")
    if len(nodes) > 1:
        raise operation.fail(f"{len(nodes)} elements found at {operation.path} where one is meant")
    if nodes[0].parent is None and nodes[0].value is not resource:
        raise operation.fail(f"{operation.path} is a computed value, not an element")
    return nodes[0]


def _item(resource: dict[str, Any], operation: _Operation) -> Node:
    """Return an item of the one list that the path selects."""
    nodes = _nodes(resource, operation)
    holders = {(id(node.parent), node.key) for node in nodes}
    if not nodes:
        raise operation.fail(f"No content found at {operation.path}")
    if len(holders) != 1 or nodes[0].parent is None or nodes[0].index is None:
        raise operation.fail(f"{operation.path} is not one list")
    return nodes[0]


def _add(elements: Elements, resource: dict[str, Any], operation: _Operation) -> None:
    assert operation.value is not None
    node = _single(resource, operation)
    fault = elements.add(node, operation.name, operation.value)
    if fault:
        raise operation.fail(fault)


def _insert(elements: Elements, resource: dict[str, Any], operation: _Operation) -> None:
    assert operation.value is not None and operation.index is not None
    if operation.index == 0 and _insert_first(elements, resource, operation):
        return
    item = _item(resource, operation)
    if operation.index > elements.length(elements.holder(item), item.key):
        raise operation.fail(f"index {operation.index} is beyond the end of {operation.path}")
    elements.insert_beside(item, operation.index, operation.value)


def _insert_first(elements: Elements, resource: dict[str, Any], operation: _Operation) -> bool:
    """Insert into a list that is not there yet, of an element that is; return whether that was it."""
    tree = None if _nodes(resource, operation) else compile_expression(operation.path).tree
    if not isinstance(tree, ast.Member) or tree.source is None or operation.value is None:
        return False
    owners = _nodes(resource, replace(operation, path=operation.path[: tree.at].rstrip().removesuffix(".")))
    if len(owners) != 1 or not elements.repeats(owners[0], tree.name):
        return False
    return not elements.add(owners[0], tree.name, operation.value)


def _delete(elements: Elements, resource: dict[str, Any], operation: _Operation) -> None:
    nodes = _nodes(resource, operation)
    if not nodes:
        return  # R4: what is not there need not be deleted
    node = _single(resource, operation)
    if node.parent is None:
        raise operation.fail("the resource itself cannot be deleted by a patch")
    elements.remove(elements.holder(node), node.key, node.index)


def _replace(elements: Elements, resource: dict[str, Any], operation: _Operation) -> None:
    assert operation.value is not None
    node = _single(resource, operation)
    if node.parent is None:
        raise operation.fail("the resource itself cannot be replaced by a patch")
    elements.replace(node, operation.value)


def _move(elements: Elements, resource: dict[str, Any], operation: _Operation) -> None:
    assert operation.source is not None and operation.destination is not None
    item = _item(resource, operation)
    holder, key = elements.holder(item), item.key
    if max(operation.source, operation.destination) >= elements.length(holder, key):
        raise operation.fail(f"an index is beyond the end of {operation.path}")
    elements.move(holder, key, operation.source, operation.destination)


_APPLY: dict[str, Callable[[Elements, dict[str, Any], _Operation], None]] = {
    "add": _add,
    "insert": _insert,
    "delete": _delete,
    "replace": _replace,
    "move": _move,
}
_NEEDS: dict[str, Sequence[str]] = {
    "add": ("value",),
    "insert": ("value", "index"),
    "delete": (),
    "replace": ("value",),
    "move": ("source", "destination"),
}

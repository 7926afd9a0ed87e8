"""JSON Patch on the JSON form of a resource. Spec: RFC 6902, https://hl7.org/fhir/R4/http.html#patch"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from decimal import Decimal
from typing import Any

from fhir_server.errors import BadRequest, InvalidResource
from fhir_server.interactions.patching.pointer import Pointer
from fhir_server.model.json import JsonError, decode

_NEEDS = {
    "add": ("value",),
    "replace": ("value",),
    "test": ("value",),
    "move": ("from",),
    "copy": ("from",),
    "remove": (),
}
_TAKES = {"remove": "path", "move": "from"}
_Operation = Mapping[str, Any]

_MOST_COPIED = 200_000
"""Values that the copies of one patch may hold together; a resource of some megabytes has as many."""
_DEEPEST = 300
"""Beyond it nothing can be written out; what a server takes (`max_depth`) is less."""


def json_patch(resource: dict[str, Any], body: bytes) -> dict[str, Any]:
    """Return the resource with the patch applied.

    Raises:
        BadRequest: the body is no JSON Patch document.
        InvalidResource: an operation cannot be applied, or a `test` does not hold.
    """
    operations = _read(body)
    try:
        patched = _applied(deepcopy(resource), operations)
    except RecursionError:
        raise InvalidResource("the patch makes the resource too deep") from None
    if not isinstance(patched, dict):
        raise InvalidResource("the patch leaves no resource")
    if _is_deep(patched):
        raise InvalidResource("the patch makes the resource too deep")
    for operation in operations:
        if operation["op"] in _TAKES:
            _drop_emptied(patched, Pointer.of(operation[_TAKES[operation["op"]]]).names[:-1])
    return patched


def _applied(document: Any, operations: list[dict[str, Any]]) -> Any:
    copied = 0
    for operation in operations:
        if operation["op"] == "copy":
            # A copy of what holds the copies doubles it: thirty of them would take all memory.
            copied += _size(Pointer.of(operation["from"]).value(document))
            if copied > _MOST_COPIED:
                raise InvalidResource(f"the patch copies more than {_MOST_COPIED} values")
        document = _APPLY[operation["op"]](document, operation)
    return document


def _size(value: Any) -> int:
    """Return how many values there are in a value, itself included."""
    level, count = [value], 0
    while level:
        count += len(level)
        level = _below(level)
    return count


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_DEEPEST):
        level = _below(level)
        if not level:
            return False
    return True


def _below(level: list[Any]) -> list[Any]:
    return [
        part
        for value in level
        if isinstance(value, dict | list)
        for part in (value.values() if isinstance(value, dict) else value)
    ]


def _drop_emptied(resource: dict[str, Any], names: tuple[str, ...]) -> None:
    """Take away what a patch took the last item from: FHIR has no empty arrays and objects.

    Spec: https://hl7.org/fhir/R4/json.html#null
    """
    for end in range(len(names), 0, -1):
        pointer = Pointer(names[:end])
        try:
            emptied = pointer.value(resource) in ([], {})
        except InvalidResource:
            return
        if not emptied:
            return
        _take(resource, pointer)


# --- operations


def _add(document: Any, operation: _Operation) -> Any:
    return _put(document, Pointer.of(operation["path"]), deepcopy(operation["value"]))


def _remove(document: Any, operation: _Operation) -> Any:
    pointer = Pointer.of(operation["path"])
    if not pointer.names:
        return None
    _take(document, pointer)
    return document


def _replace(document: Any, operation: _Operation) -> Any:
    pointer = Pointer.of(operation["path"])
    pointer.value(document)
    if not pointer.names:
        return deepcopy(operation["value"])
    holder, name = pointer.holder(document), pointer.names[-1]
    holder[int(name) if isinstance(holder, list) else name] = deepcopy(operation["value"])
    return document


def _move(document: Any, operation: _Operation) -> Any:
    source, target = Pointer.of(operation["from"]), Pointer.of(operation["path"])
    value = source.value(document)
    if source == target:
        return document
    if target.names[: len(source.names)] == source.names:
        raise InvalidResource("the patch cannot be applied: a value cannot be moved into itself")
    _take(document, source)
    return _put(document, target, value)


def _copy(document: Any, operation: _Operation) -> Any:
    return _put(document, Pointer.of(operation["path"]), deepcopy(Pointer.of(operation["from"]).value(document)))


def _test(document: Any, operation: _Operation) -> Any:
    if not _same(Pointer.of(operation["path"]).value(document), operation["value"]):
        raise InvalidResource("a 'test' operation of the patch does not hold")
    return document


_APPLY: Mapping[str, Callable[[Any, _Operation], Any]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "test": _test,
}


def _put(document: Any, pointer: Pointer, value: Any) -> Any:
    """Set a member, or insert an item: at the end for `-`."""
    if not pointer.names:
        return value
    holder, name = pointer.holder(document), pointer.names[-1]
    if isinstance(holder, list):
        holder.insert(len(holder) if name == "-" else pointer.index(holder, name, len(holder)), value)
    else:
        holder[name] = value
    return document


def _take(document: Any, pointer: Pointer) -> None:
    pointer.value(document)
    holder, name = pointer.holder(document), pointer.names[-1]
    del holder[int(name) if isinstance(holder, list) else name]


def _same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal as RFC 6902 has it: numbers by their value, `true` unlike 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if _is_number(one) and _is_number(other):
        return bool(one == other)
    return type(one) is type(other) and bool(one == other)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


# --- reading


def _read(body: bytes) -> list[dict[str, Any]]:
    try:
        operations = decode(body)
    except JsonError as error:
        raise BadRequest(f"the JSON Patch document is {error}", expression="http.body") from None
    if not isinstance(operations, list):
        raise BadRequest("a JSON Patch document is an array of operations", expression="http.body")
    for number, operation in enumerate(operations):
        _check(number, operation)
    return operations


def _check(number: int, operation: object) -> None:
    if not isinstance(operation, dict) or operation.get("op") not in tuple(_NEEDS):
        raise BadRequest(f"operation {number} of the patch needs an 'op' out of {', '.join(_NEEDS)}")
    for name in ("path", *_NEEDS[operation["op"]]):
        if name not in operation or (name in ("path", "from") and not isinstance(operation[name], str)):
            raise BadRequest(f"operation {number} ({operation['op']}) of the patch needs {name!r}")
        if name in ("path", "from"):
            Pointer.of(operation[name])

"""JSON Patch on the JSON form of a resource. Spec: RFC 6902, https://hl7.org/fhir/R4/http.html#patch"""

from copy import deepcopy
from typing import Any

import jsonpatch
import jsonpointer

from fhir_server.errors import BadRequest, InvalidResource
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


def json_patch(resource: dict[str, Any], body: bytes) -> dict[str, Any]:
    """Return the resource with the patch applied.

    Raises:
        BadRequest: the body is no JSON Patch document.
        InvalidResource: an operation cannot be applied, or a `test` does not hold.
    """
    operations = _read(body)
    try:
        patched = jsonpatch.JsonPatch(operations).apply(deepcopy(resource))
    except jsonpatch.JsonPatchTestFailed:
        raise InvalidResource("a 'test' operation of the patch does not hold") from None
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
        raise InvalidResource(f"the patch cannot be applied: {_said(error)}") from None
    except (TypeError, KeyError, IndexError, ValueError, AttributeError):
        # the library answers a path through a value of another kind with whatever that value raises
        raise InvalidResource("the patch cannot be applied: a path goes through a value of another kind") from None
    if not isinstance(patched, dict):
        raise InvalidResource("the patch leaves no resource")
    for operation in operations:
        if operation["op"] in _TAKES:
            _drop_emptied(patched, jsonpointer.JsonPointer(operation[_TAKES[operation["op"]]]).parts[:-1])
    return patched


def _drop_emptied(resource: dict[str, Any], parts: list[str]) -> None:
    """Take away what a patch took the last item from: FHIR has no empty arrays and objects.

    Spec: https://hl7.org/fhir/R4/json.html#null
    """
    for end in range(len(parts), 0, -1):
        pointer = jsonpointer.JsonPointer.from_parts(parts[:end])
        if pointer.resolve(resource, None) not in ([], {}):
            return
        holder, key = pointer.to_last(resource)
        del holder[key]


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
    if not isinstance(operation, dict) or operation.get("op") not in _NEEDS:
        raise BadRequest(f"operation {number} of the patch needs an 'op' out of {', '.join(_NEEDS)}")
    for name in ("path", *_NEEDS[operation["op"]]):
        if name not in operation or (name in ("path", "from") and not isinstance(operation[name], str)):
            raise BadRequest(f"operation {number} ({operation['op']}) of the patch needs {name!r}")
    for name in ("path", "from"):
        if operation.get(name) and not operation[name].startswith("/"):
            raise BadRequest(f"{name!r} of operation {number} of the patch is no JSON Pointer: it starts with '/'")


def _said(error: Exception) -> str:
    """Return what the library says without the resource, which it writes out whole: clients log what they are told."""
    text = str(error)
    what, missing, _ = text.partition(" not found in ")
    if missing:
        return f"{what} not found"
    return "a path goes through a value of another kind" if text.startswith("Document '") else text

"""JSON Patch by its standard: every operation, every pointer, and what must be refused.

Spec: RFC 6902 and RFC 6901
"""

import json
from typing import Any

import pytest

from fhir_server.errors import BadRequest, FhirError, InvalidResource
from fhir_server.interactions.patching.json_patch import json_patch

DOCUMENT: dict[str, Any] = {
    "a": {"b": 1, "": "empty", "m~n": 8, "x/y": 9, "~1": 10},
    "items": ["p", "q", "r"],
    "yes": True,
    "number": 1.0,
}


def changed(*operations: dict[str, Any]) -> dict[str, Any]:
    return json_patch(DOCUMENT, json.dumps(operations).encode())


@pytest.mark.parametrize(
    ("operation", "place", "value"),
    [
        ({"op": "add", "path": "/items/-", "value": ["s"]}, "items", ["p", "q", "r", ["s"]]),
        ({"op": "add", "path": "/items/3", "value": "s"}, "items", ["p", "q", "r", "s"]),
        ({"op": "add", "path": "/items/0", "value": None}, "items", [None, "p", "q", "r"]),
        ({"op": "add", "path": "/yes", "value": False}, "yes", False),
        ({"op": "add", "path": "/new", "value": {"x": []}, "more": 1}, "new", {"x": []}),
        ({"op": "remove", "path": "/items/1"}, "items", ["p", "r"]),
        ({"op": "replace", "path": "/items/2", "value": "s"}, "items", ["p", "q", "s"]),
        ({"op": "move", "from": "/items/0", "path": "/items/2"}, "items", ["q", "r", "p"]),
        ({"op": "move", "from": "/items/0", "path": "/items/-"}, "items", ["q", "r", "p"]),
        ({"op": "move", "from": "/items/2", "path": "/last"}, "last", "r"),
        ({"op": "move", "from": "/items", "path": "/items"}, "items", ["p", "q", "r"]),
        ({"op": "copy", "from": "/items", "path": "/items/0"}, "items", [["p", "q", "r"], "p", "q", "r"]),
        ({"op": "copy", "from": "/items/1", "path": "/items/-"}, "items", ["p", "q", "r", "q"]),
    ],
)
def test_an_operation_changes_its_place_alone(operation: dict[str, Any], place: str, value: Any) -> None:
    before = json.dumps(DOCUMENT)
    after = changed(operation)
    assert after[place] == value
    assert {**after, place: 0, "items": 0} == {**DOCUMENT, place: 0, "items": 0}
    assert json.dumps(DOCUMENT) == before


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/a/m~0n", 8), ("/a/x~1y", 9), ("/a/~01", 10), ("/a/", "empty"), ("/items", ["p", "q", "r"]), ("/yes", True),
        ("/number", 1), ("/number", 1.00), ("", DOCUMENT), ("/a/b", 1.0),
    ],
)  # fmt: skip
def test_a_test_holds_for_equal_values(path: str, value: Any) -> None:
    assert changed({"op": "test", "path": path, "value": value}) == DOCUMENT


@pytest.mark.parametrize(
    ("path", "value"),
    [("/yes", 1), ("/number", True), ("/a/b", "1"), ("/items", ["q", "p", "r"]), ("/items", "p"), ("/nothing", None)],
)
def test_a_test_fails_for_values_of_another_kind(path: str, value: Any) -> None:
    with pytest.raises(InvalidResource):
        changed({"op": "test", "path": path, "value": value})


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "add", "path": "/items/4", "value": 1},
        {"op": "add", "path": "/items/01", "value": 1},
        {"op": "add", "path": "/items/-1", "value": 1},
        {"op": "add", "path": "/items/x", "value": 1},
        {"op": "add", "path": "/items/1e0", "value": 1},
        {"op": "add", "path": "/no/where", "value": 1},
        {"op": "add", "path": "/yes/x", "value": 1},
        {"op": "replace", "path": "/items/3", "value": 1},
        {"op": "replace", "path": "/items/-", "value": 1},
        {"op": "replace", "path": "/none", "value": 1},
        {"op": "remove", "path": "/items/-"},
        {"op": "remove", "path": "/items/3"},
        {"op": "remove", "path": "/none"},
        {"op": "remove", "path": ""},
        {"op": "move", "from": "/a", "path": "/a/b/c"},
        {"op": "move", "from": "/none", "path": "/none"},
        {"op": "copy", "from": "/none", "path": "/x"},
        {"op": "copy", "from": "/items/-", "path": "/x"},
    ],
)
def test_what_cannot_be_applied_is_refused(operation: dict[str, Any]) -> None:
    with pytest.raises(InvalidResource):
        changed(operation)


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "add", "path": "/a~2", "value": 1},
        {"op": "add", "path": "/a~", "value": 1},
        {"op": "add", "path": "a", "value": 1},
        {"op": "add", "path": None, "value": 1},
        {"op": "move", "from": "a", "path": "/b"},
        {"op": "move", "path": "/b"},
        {"op": "test", "path": "/b"},
        {"op": "Add", "path": "/b", "value": 1},
        {"op": ["add"], "path": "/b", "value": 1},
        {"path": "/b", "value": 1},
    ],
)
def test_what_is_no_operation_is_refused(operation: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        changed(operation)


def test_a_member_said_twice_is_refused() -> None:
    with pytest.raises(FhirError):
        json_patch(DOCUMENT, b'[{"op":"add","path":"/baz","value":"qux","op":"remove"}]')


def test_what_is_put_in_is_a_copy() -> None:
    after = changed({"op": "copy", "from": "/items", "path": "/other"}, {"op": "add", "path": "/other/-", "value": "s"})
    assert (after["items"], after["other"]) == (["p", "q", "r"], ["p", "q", "r", "s"])


def test_copies_of_copies_are_cut_off() -> None:
    with pytest.raises(InvalidResource, match="copies more than"):
        changed(*[{"op": "copy", "from": "/items", "path": "/items/-"}] * 40)


def test_what_becomes_too_deep_is_refused() -> None:
    deeper = [
        {"op": "add", "path": "/b", "value": {}},
        {"op": "move", "from": "/a", "path": "/b/a"},
        {"op": "move", "from": "/b", "path": "/a"},
    ]
    for times in (350, 5_000):
        with pytest.raises(InvalidResource, match="too deep"):
            changed(*deeper * times)

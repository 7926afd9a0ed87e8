"""Slices that a differential adds: what they start from, and the slicing that goes without saying.

Spec: https://hl7.org/fhir/R4/profiling.html#slicing
"""

from collections.abc import Iterable, Mapping
from typing import Any

from fhir_server.snapshot.node import Element, Node

_BY_URL = {"discriminator": [{"type": "value", "path": "url"}], "ordered": False, "rules": "open"}
_BY_TYPE = {"discriminator": [{"type": "type", "path": "$this"}], "ordered": False, "rules": "open"}


def choice_of(parent: Node, name: str) -> Node | None:
    """Return the choice (`value[x]`) that a name such as `valueQuantity` is short for."""
    for node in parent.children:
        if node.name.endswith("[x]") and not node.slice and type_named(node, name) is not None:
            return node
    return None


def type_named(choice: Node, name: str) -> Mapping[str, Any] | None:
    """Return the type of a choice that makes this name of it."""
    stem = choice.name[:-3]
    for each in choice.element.get("type", ()):
        code = str(each.get("code", ""))
        if code and name == stem + code[0].upper() + code[1:]:
            found: Mapping[str, Any] = each
            return found
    return None


def new_slice(plain: Node, there: Mapping[str, Node], name: str) -> Node:
    """Return a slice as it is before anything is said about it: as the base has the element, but optional.

    A slice of a slice (`a/b`) starts from that one.
    """
    over, _, _ = name.rpartition("/")
    start = there.get(over, plain) if over else plain
    node = start.copy(name)
    element = {key: value for key, value in start.element.items() if key != "slicing"}
    element |= {"sliceName": name, "min": 0}
    if plain.name.endswith("[x]") and (type_ := type_named(plain, name)) is not None:
        element["type"] = [type_]
    node.element = element
    return node


def implied(sliced: Node, closed: bool) -> Element | None:
    """Return the slicing of an element that is sliced without a word about how."""
    if sliced.types() == ["Extension"]:
        return _BY_URL
    if sliced.name.endswith("[x]"):
        return {**_BY_TYPE, "rules": "closed"} if closed else _BY_TYPE
    return None


def exhausted(sliced: Node, all_: Iterable[Node]) -> Element:
    """Return the element of a choice; its slicing by type is closed where each type has a slice."""
    slicing = sliced.element.get("slicing", {})
    by_type = [each.get("type") for each in slicing.get("discriminator", ())] == ["type"]
    if not by_type or slicing.get("rules") != "open" or not sliced.name.endswith("[x]"):
        return sliced.element
    taken = {code for node in all_ if node.slice for code in node.types()}
    left = set(sliced.types()) - taken
    return sliced.element if left else {**sliced.element, "slicing": {**slicing, "rules": "closed"}}

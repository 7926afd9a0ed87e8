"""The children of an element that its own definition does not list: those of its type, or of what it refers to.

Spec: https://hl7.org/fhir/R4/profiling.html#snapshot
"""

from collections.abc import Callable, Mapping
from typing import Any

from fhir_server.snapshot.merge import sourced
from fhir_server.snapshot.node import Element, Node, tree

Definition = Mapping[str, Any]
Find = Callable[[str], Definition | None]
"""Gives the StructureDefinition of a canonical with its snapshot."""

TYPES = "http://hl7.org/fhir/StructureDefinition/"
_SYSTEM = "http://hl7.org/fhirpath/"


def grown(definition: Definition) -> Node | None:
    """Return the tree of a definition that has a snapshot."""
    source = str(definition.get("url", ""))
    elements = definition.get("snapshot", {}).get("element", ())
    return tree(sourced(element, source) if "constraint" in element else element for element in elements)


def unfold(node: Node, base: Definition | None, find: Find) -> bool:
    """Give a node its children; False where it can have none, or where nobody knows its type.

    Args:
        base: the definition in which a `contentReference` without a URL looks.
    """
    if "contentReference" in node.element:
        found = _referred(str(node.element["contentReference"]), base, find)
        if found is not None:
            kept = {name: value for name, value in node.element.items() if name != "contentReference"}
            node.element = {**kept, "type": found.element.get("type", [])}
    else:
        found = type_of(node.element, find)
    if found is not None:
        node.children = [child.copy() for child in found.children]
    return found is not None and bool(found.children)


def _referred(reference: str, base: Definition | None, find: Find) -> Node | None:
    """Spec: https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.contentReference"""
    url, _, id_ = reference.rpartition("#")
    name, *steps = id_.split(".")
    places = (find(url),) if url else (base, find(TYPES + name))
    for definition in places:
        node = grown(definition) if definition is not None else None
        for step in steps:
            child, _, slice_ = step.partition(":")
            node = node.child(child, slice_) if node is not None else None
        if node is not None:
            return node
    return None


def type_of(element: Element, find: Find) -> Node | None:
    """Return the tree of an element's type; of a profile, where it has one; of several types what they share."""
    types = element.get("type", ())
    codes = {str(each.get("code", "")) for each in types}
    if len(codes) != 1:
        return _definition("Element", find) if codes else None
    profiles = [profile for each in types for profile in each.get("profile", ())]
    if len(profiles) == 1:
        if (found := find(profiles[0])) is not None and (root := grown(found)) is not None:
            return root
        if codes == {"Extension"}:
            return _extension(str(profiles[0]).partition("|")[0], find)
    return _definition(codes.pop(), find)


def _extension(url: str, find: Find) -> Node | None:
    """Return what is known of an extension whose definition is not: its URL."""
    root = _definition("Extension", find)
    if root is not None and (node := root.child("url")) is not None:
        node.element = {**node.element, "fixedUri": url}
    return root


def _definition(code: str, find: Find) -> Node | None:
    if code.startswith(_SYSTEM):
        return None
    found = find(code if ":" in code else TYPES + code)
    return grown(found) if found is not None else None

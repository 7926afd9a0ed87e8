"""The filters of ValueSet.compose: which codes of a code system they select.

Spec: https://hl7.org/fhir/R4/valueset-filter-operator.html
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from fhir_server.errors import BadValue
from fhir_server.terminology.members import text
from fhir_server.terminology.tree import CodeTree

_CODE = frozenset(("concept", "code"))


def selected(tree: CodeTree, filter_: Mapping[str, Any]) -> Collection[str]:
    """Return the codes that one filter selects.

    Raises:
        BadValue: an operator that is not supported, or one of the hierarchy on another property.
    """
    property_, op, value = text(filter_, "property"), text(filter_, "op"), text(filter_, "value")
    if op in _OF_HIERARCHY and property_ in _CODE:
        return _OF_HIERARCHY[op](tree, value)
    if op == "=":
        return _having(tree, property_, {value})
    if op == "in":
        return _having(tree, property_, {item.strip() for item in value.split(",")})
    if op == "not-in":
        return tree.properties.keys() - _having(tree, property_, {item.strip() for item in value.split(",")})
    if op == "exists":
        return {code for code, found in tree.properties.items() if (property_ in found) == (value == "true")}
    raise BadValue(f"the filter {property_[:100]!r} {op[:100]!r} of a value set is not supported")


def _having(tree: CodeTree, property_: str, values: Collection[str]) -> set[str]:
    if property_ in _CODE:
        return {value for value in values if value in tree}
    if property_ == "parent":
        return {child for value in values for child in tree.children(value)}
    if property_ == "child":
        return {parent for value in values for parent in tree.parents(value)}
    return {code for code, found in tree.properties.items() if not found.get(property_, set()).isdisjoint(values)}


_OF_HIERARCHY: Mapping[str, Callable[[CodeTree, str], Collection[str]]] = {
    "is-a": CodeTree.descendants,
    "descendent-of": lambda tree, code: tree.descendants(code) - {code},
    "is-not-a": lambda tree, code: tree.properties.keys() - tree.descendants(code),
    "generalizes": CodeTree.ancestors,
}

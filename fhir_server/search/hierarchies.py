"""`:below` and `:above` on references: resources that are part of one another (`Location.partOf`, `Task.partOf` ...).

The tree has no recursion, so the hierarchy is followed as many steps as a chain may have links.

Spec: https://hl7.org/fhir/R4/search.html#recursive
"""

from collections.abc import Sequence

from fhir_server.search.parameters import ParameterRegistry
from fhir_server.search.query import Chain, Has, Ids, Node, Or, Reference

_PARENT = ("partof", "part-of")


def parent_parameter(registry: ParameterRegistry, type_: str) -> str | None:
    """Return the search parameter by which resources of a type name the one that they are part of."""
    found = (registry.get(type_, code) for code in _PARENT)
    return next((p.code for p in found if p is not None and p.type == "reference" and type_ in p.targets), None)


def hierarchical(registry: ParameterRegistry, targets: Sequence[str]) -> dict[str, str]:
    """Return the types among the targets that form a hierarchy, with the parameter that names the parent."""
    found = {type_: parent_parameter(registry, type_) for type_ in targets}
    return {type_: code for type_, code in found.items() if code is not None}


def below(reference: Reference, parents: dict[str, str], depth: int) -> Node:
    """Return the node for references to the values, or to what is part of them at any depth."""
    deeper = (Chain(reference.param, type_, _part_of(type_, code, reference, depth)) for type_, code in parents.items())
    return Or((reference, *deeper))


def _part_of(type_: str, code: str, reference: Reference, depth: int) -> Node:
    node: Node = Reference(code, reference.values, (type_,))
    for _ in range(depth - 1):
        node = Or((Reference(code, reference.values, (type_,)), Chain(code, type_, node)))
    return node


def above(reference: Reference, parents: dict[str, str], depth: int) -> Node:
    """Return the node for references to the values, or to what they are part of at any depth."""
    higher = (Chain(reference.param, type_, _holds(type_, code, reference, depth)) for type_, code in parents.items())
    return Or((reference, *higher))


def _holds(type_: str, code: str, reference: Reference, depth: int) -> Node:
    ids = Ids(tuple(v.id for v in reference.values if v.id is not None and v.type in (None, type_)))
    node: Node = Has(type_, code, ids)
    for _ in range(depth - 1):
        node = Has(type_, code, Or((ids, node)))
    return node

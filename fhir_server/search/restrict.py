"""Join what the caller may see to a search, so that no part of it looks at anything else.

A resource that the caller may not see must be for them as if it were not there: the restricted search on the whole
store answers what the unrestricted search would answer on a store of visible resources alone. So the predicate is
joined at the root of each branch, to the target of each chain and to the source of each `_has`, nested ones too;
what includes may bring is told to the engine by `Search.visible`. Sort keys need nothing: they are parameters of the
rows themselves.
"""

from dataclasses import replace

from fhir_server.search.masked import within
from fhir_server.search.query import And, Chain, Has, Node, Not, Or, Search, Visibility


def restrict(search: Search, visibility: Visibility) -> Search:
    """Return the search as a caller with this visibility may ask it. Raises Forbidden: by what is masked."""
    if visibility.unasked:
        search = within(search, visibility.unasked)
    if visibility.unrestricted:
        return replace(search, visible=visibility)
    branches = {type_: restrict_node(type_, node, visibility) for type_, node in search.branches.items()}
    return replace(search, branches=branches, visible=visibility.beside or visibility)


def restrict_node(type_: str, node: Node, visibility: Visibility) -> Node:
    """Return a tree for resources of `type_` that holds only for visible ones and looks only at visible ones.

    The predicates themselves are trusted and stay as they are: they may look at what the caller may not see.
    """
    predicate, inner = visibility.of(type_), _within(node, visibility)
    return inner if predicate == And() else And((predicate, inner))


def _within(node: Node, visibility: Visibility) -> Node:
    if isinstance(node, Chain):
        return replace(node, node=restrict_node(node.target, node.node, visibility))
    if isinstance(node, Has):
        return replace(node, node=restrict_node(node.type, node.node, visibility))
    if isinstance(node, And | Or):
        return replace(node, nodes=tuple(_within(each, visibility) for each in node.nodes))
    if isinstance(node, Not):
        return Not(_within(node.node, visibility))
    return node

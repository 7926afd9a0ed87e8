"""Which searches the index is asked for: those with a leaf that it is made for, or an order that it holds."""

from typing import Final

from fhir_server.search import query as q
from fhir_server.search.query import Contained, Search

_MADE_FOR: Final = frozenset({q.StringMode.CONTAINS, q.StringMode.ENDS})
_ALWAYS: Final = frozenset({"_id", "_lastUpdated"})


def is_for_index(search: Search, orders: frozenset[str] | None) -> bool:
    """Tell whether to ask the index. Contained resources are not in it.

    orders: those that the engine has an index for itself; None: any.
    """
    if search.contained is not Contained.FALSE:
        return False
    if orders is not None and _order(search) not in orders and any(key.param not in _ALWAYS for key in search.sort):
        return True
    return any(_has_leaf(node) for node in search.branches.values())


def _order(search: Search) -> str:
    return ",".join(f"-{key.param}" if key.descending else key.param for key in search.sort)


def _has_leaf(node: q.Node) -> bool:
    if isinstance(node, q.And | q.Or):
        return any(_has_leaf(each) for each in node.nodes)
    if isinstance(node, q.String):
        return node.mode in _MADE_FOR
    return isinstance(node, q.FullText | q.TokenText | q.Near)

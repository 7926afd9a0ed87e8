"""Which searches the index is asked for: those with a leaf that it is made for, or an order that it holds."""

from typing import Final

from fhir_server.search import query as q
from fhir_server.search.query import Contained, Search

_MADE_FOR: Final = frozenset({q.StringMode.CONTAINS, q.StringMode.ENDS})
_ALWAYS: Final = frozenset({"_id", "_lastUpdated"})


def is_for_index(search: Search, *, sorts: bool) -> bool:
    """Tell whether to ask the index. Contained resources are not in it.

    sorts: whether it is asked for the order of any parameter too.
    """
    if search.contained is not Contained.FALSE:
        return False
    if sorts and any(key.param not in _ALWAYS for key in search.sort):
        return True
    return any(_has_leaf(node) for node in search.branches.values())


def _has_leaf(node: q.Node) -> bool:
    if isinstance(node, q.And | q.Or):
        return any(_has_leaf(each) for each in node.nodes)
    if isinstance(node, q.String):
        return node.mode in _MADE_FOR
    return isinstance(node, q.FullText | q.TokenText | q.Near)

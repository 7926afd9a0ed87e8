"""Refuse searches by elements that are masked: what a search finds would tell what stands in them."""

from collections.abc import Mapping
from dataclasses import replace

from fhir_server.errors import Forbidden
from fhir_server.search.query import And, Chain, FullText, Has, Include, Node, Not, Or, Search

Unasked = Mapping[str, frozenset[str]]


def hold_to(search: Search, unasked: Unasked) -> None:
    """Look at criteria, sort keys and includes. Raises Forbidden."""
    for type_, node in search.branches.items():
        _check(type_, node, unasked)
        for key in search.sort:
            _ask(type_, key.param, unasked)
    for include in search.includes:
        _check_include(include, unasked)


def within(search: Search, unasked: Unasked) -> Search:
    """Return a search of the server's own, such as that of a compartment, without alternatives that are masked; those
    of clients were looked at before. Raises Forbidden where nothing else is left."""
    branches = {type_: _pruned(type_, node, unasked) for type_, node in search.branches.items()}
    kept = replace(search, branches=branches)
    hold_to(kept, unasked)
    return kept


def _pruned(type_: str, node: Node, unasked: Unasked) -> Node:
    if isinstance(node, And):
        return And(tuple(_pruned(type_, each, unasked) for each in node.nodes))
    if not isinstance(node, Or):
        return node
    kept = tuple(each for each in node.nodes if getattr(each, "param", "") not in unasked.get(type_, ()))
    return Or(kept) if kept else node


def _check(type_: str, node: Node, unasked: Unasked) -> None:
    if isinstance(node, And | Or):
        for each in node.nodes:
            _check(type_, each, unasked)
    elif isinstance(node, Not):
        _check(type_, node.node, unasked)
    elif isinstance(node, Chain):
        _ask(type_, node.param, unasked)
        _check(node.target, node.node, unasked)
    elif isinstance(node, Has):
        _ask(node.type, node.param, unasked)
        _check(node.type, node.node, unasked)
    elif isinstance(node, FullText):
        _ask(type_, "_content" if node.content else "_text", unasked)
    else:
        _ask(type_, getattr(node, "param", ""), unasked)


def _check_include(include: Include, unasked: Unasked) -> None:
    for type_ in unasked if include.source == "*" else (include.source,):
        _ask(type_, include.param, unasked)


def _ask(type_: str, param: str, unasked: Unasked) -> None:
    if param in unasked.get(type_, ()):
        raise Forbidden(
            f"{type_} cannot be searched by {param}: it tells of an element that is hidden from your role",
            expression=f"http.{param}",
        )

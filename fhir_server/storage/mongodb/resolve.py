"""Looks up what chains and `_has` point to, so that a tree can be asked of one resource alone.

MongoDB has no join that a search could afford, so the inner search runs first and its ids take the place of the chain.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from fhir_server.search import query as q
from fhir_server.search.entries import IndexEntries
from fhir_server.storage.base import SearchTooCostly
from fhir_server.storage.mongodb.document import entries_of
from fhir_server.storage.mongodb.rows import Snapshot

MOST_JOINED: Final = 200_000
"""Resources that one chain may lead through."""


async def resolve(snapshot: Snapshot, node: q.Node, type_: str) -> q.Node:
    """Return the tree, which stands under a type, without look-ups.

    A chain becomes the set of what it leads to, beside the chain itself, which then holds for contained resources
    alone.
    """
    match node:
        case q.And(nodes):
            return q.And(tuple([await resolve(snapshot, each, type_) for each in nodes]))
        case q.Or(nodes):
            return q.Or(tuple([await resolve(snapshot, each, type_) for each in nodes]))
        case q.Not(inner):
            return q.Not(await resolve(snapshot, inner, type_))
        case q.Chain(param, target, inner):
            found = await resolve(snapshot, inner, target)
            ids = await _ids(snapshot, target, found)
            return q.Or((q.Among(param, target, q.IdSet(ids)), q.Chain(param, target, found)))
        case q.Has():
            return q.Among("", type_, q.IdSet(await _referred(snapshot, node, type_)))
        case _:
            return node


def has_links(node: q.Node) -> bool:
    """Tell whether a tree needs other resources."""
    match node:
        case q.And(nodes) | q.Or(nodes):
            return any(map(has_links, nodes))
        case q.Not(inner):
            return has_links(inner)
        case _:
            return isinstance(node, q.Chain | q.Has)


@dataclass(slots=True)
class _Set:
    ids: set[str]

    def add(self, id_: str) -> None:
        self.ids.add(id_)
        if len(self.ids) > MOST_JOINED:
            raise SearchTooCostly(f"a chain leads through more than {MOST_JOINED} resources: narrow it")


async def _ids(snapshot: Snapshot, type_: str, node: q.Node) -> frozenset[str]:
    found = _Set(set())
    asked = snapshot.asked([type_], node)
    if asked.exact:  # then their names are enough, of what may be very many
        async with aclosing(snapshot.current_documents(asked.match, {"_id": 0, "i": 1})) as documents:
            async for each in documents:
                found.add(each["i"])
        return frozenset(found.ids)
    async with aclosing(snapshot.matching(type_, node)) as rows:
        async for row in rows:
            found.add(row.key.id)
    return frozenset(found.ids)


async def _referred(snapshot: Snapshot, node: q.Has, type_: str) -> frozenset[str]:
    inner = await resolve(snapshot, node.node, node.type)
    found = _Set(set())
    async with aclosing(_entries(snapshot, node.type, inner)) as each_of:
        async for entries in each_of:
            for param, target, id_, _, _ in entries.references:
                if param == node.param and target == type_ and id_ is not None:
                    found.add(id_)
    return frozenset(found.ids)


async def _entries(snapshot: Snapshot, type_: str, node: q.Node) -> AsyncGenerator[IndexEntries, None]:
    """Yield the index entries of what a tree holds for, without the bodies where these are not looked at."""
    asked = snapshot.asked([type_], node)
    if asked.exact:
        async with aclosing(snapshot.current_documents(asked.match, {"e": 1})) as documents:
            async for each in documents:
                yield entries_of(each)
        return
    async with aclosing(snapshot.matching(type_, node)) as rows:
        async for row in rows:
            yield row.entries

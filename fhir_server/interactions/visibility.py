"""Whether the caller may see one version: the restriction that stands in every query, asked of a single resource."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from fhir_server.context import Context
from fhir_server.interactions.masking import whole
from fhir_server.model.json import decode
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.search.entries import IndexEntries
from fhir_server.search.match import Found, NoLookup, VersionLike, matches
from fhir_server.search.parameters_links import LINK, VIA
from fhir_server.search.query import (
    EVERYTHING,
    NOTHING,
    And,
    Chain,
    FullText,
    Has,
    Ids,
    Node,
    Not,
    Or,
    Search,
    Visibility,
    by_key,
)
from fhir_server.search.restrict import restrict

_MOST_JUDGED: Final = 250
"""Versions that a restriction remembers: some tens of KB for each token in use."""


@dataclass(frozen=True, slots=True)
class Around(NoLookup):
    """The resources that one resource belongs to, fetched before it is matched; other chains find nothing."""

    found: Mapping[ResourceKey, Found]

    def current(self, key: ResourceKey) -> Found | None:
        """Return one of them."""
        return self.found.get(key)


async def visible(ctx: Context, version: Version) -> bool:
    """Tell whether the caller may see this version; a deletion is seen by who could see what was deleted.

    What the version alone decides is remembered with the restriction, for versions never change.
    """
    visibility = ctx.restriction.visibility.read
    predicate = visibility.of(version.key.type)
    if predicate is EVERYTHING:
        return True
    judged, key = visibility.judged, (ctx.base, version.pid)
    known = judged.get(key)
    if known is None:
        known = await holds(ctx, predicate, version)
        if not version.deleted and not any(isinstance(node, Chain | Has | FullText) for node in _within(predicate)):
            if len(judged) >= _MOST_JUDGED:
                judged.clear()
            judged[key] = known
    return known


async def visible_version(ctx: Context, version: Version) -> bool:
    """Tell the same of a version that may be superseded: it is seen by who may see it and the current one.

    What stood in the wrong record once is not seen there any more, nor what was in another one before.
    """
    if ctx.restriction.visibility.read.of(version.key.type) == EVERYTHING:
        return True
    if not await visible(ctx, version):
        return False
    current = await ctx.store.read(version.key)
    return current is None or current.version == version.version or await visible(ctx, current)


async def hidden(ctx: Context, key: ResourceKey, letter: Literal["u", "d"] = "u") -> bool:
    """Tell whether the caller may not write a resource by its id, because they do not know it.

    Who may write some resources of a type, but not all, cannot choose ids: that an id is free would tell them that
    another one is not. Costs nothing to who may change all.
    """
    scoped, permitted = ctx.restriction.writable(letter, key.type), ctx.restriction.permitted(key.type)
    if scoped == permitted == EVERYTHING:
        return False
    current = await ctx.store.read(key)
    if current is None:
        return scoped != EVERYTHING
    return not (await holds(ctx, scoped, current) and await holds(ctx, permitted, current))


async def visible_keys(ctx: Context, keys: Iterable[ResourceKey]) -> list[ResourceKey]:
    """Return those of the current resources that the caller may see, in their order."""
    visibility = ctx.restriction.visibility.read
    if visibility.unrestricted:
        return list(keys)
    return [key for key in keys if (await ctx.store.search(restrict(by_key(key), visibility))).versions]


async def holds_of(
    ctx: Context,
    predicate: Node,
    version: VersionLike,
    entries: IndexEntries,
    beside: Mapping[ResourceKey, Found] | None = None,
) -> bool:
    """Match a resource, stored or not, in memory.

    beside: resources that are written with it; then what it belongs to has to be known to the caller, or it would tell
        them that it is there.
    """
    around = dict(beside or {})
    if any(isinstance(node, Chain) and node.param == LINK for node in _within(predicate)):
        await _add_patients(ctx, entries, around)
    known = ctx.restriction.nameable if beside is not None else Visibility()
    within = list(_within(predicate))
    if any(isinstance(node, Chain) for node in within):
        codes = _codes(within)
        for param, type_, id_, _, _ in entries.references:
            key = ResourceKey(type_ or "", id_ or "")
            if param == VIA and key not in around and (found := await _current(ctx, key, codes, known)):
                around[key] = found
                await _add_patients(ctx, found.entries, around)
    return matches(predicate, version, entries, Around(around) if around else NoLookup())


async def _add_patients(ctx: Context, entries: IndexEntries, around: dict[ResourceKey, Found]) -> None:
    """Fetch the patients that entries link to: who they are is all that is asked of them."""
    for param, type_, id_, _, _ in entries.references:
        key = ResourceKey(type_ or "", id_ or "")
        if param == LINK and key not in around:
            version = await ctx.store.read(key)
            if version is not None and not version.deleted:
                around[key] = Found(version, IndexEntries())


async def holds(ctx: Context, predicate: Node, version: Version) -> bool:
    """Tell whether a predicate holds for a stored version; of a deletion, for what was deleted."""
    if predicate in (EVERYTHING, NOTHING):
        return predicate == EVERYTHING
    if version.deleted:
        before = await ctx.store.read_version(version.key, version.version - 1)
        return before is not None and not before.deleted and await holds(ctx, predicate, before)
    if isinstance(predicate, Or) and any(isinstance(n, Ids) and version.key.id in n.values for n in predicate.nodes):
        return True  # the patient themselves: nothing needs to be parsed
    settled = await _settled(ctx, version.key, predicate)
    return await holds_of(ctx, settled, version, _entries(ctx, version, _codes(_within(settled))))


async def _settled(ctx: Context, key: ResourceKey, node: Node) -> Node:
    """Ask the index what only it can tell: who refers to a resource, and what is at the other end of chains."""
    if isinstance(node, And | Or):
        if not any(map(_is_for_index, _within(node))):
            return node
        return replace(node, nodes=tuple([await _settled(ctx, key, each) for each in node.nodes]))
    if isinstance(node, Not):
        return Not(await _settled(ctx, key, node.node))
    if not _is_for_index(node):
        return node
    page = await ctx.store.search(Search({key.type: And((Ids((key.id,)), node))}, count=1))
    return EVERYTHING if page.versions else NOTHING


def _is_for_index(node: Node) -> bool:
    return isinstance(node, Has | FullText) or (isinstance(node, Chain) and node.param not in (VIA, LINK))


def _within(node: Node) -> Iterable[Node]:
    """Yield the node and all below it, chains included."""
    yield node
    if isinstance(node, And | Or):
        for each in node.nodes:
            yield from _within(each)
    elif isinstance(node, Not | Chain | Has):
        yield from _within(node.node)


def _codes(nodes: Iterable[Node]) -> frozenset[str]:
    return frozenset(code for node in nodes if (code := getattr(node, "param", None)))


async def _current(ctx: Context, key: ResourceKey, codes: frozenset[str], known: Visibility) -> Found | None:
    version = await ctx.store.read(key)
    if version is None or version.deleted or not await holds(ctx, known.of(key.type), version):
        return None
    return Found(version, _entries(ctx, version, codes))


def _entries(ctx: Context, version: Version, codes: frozenset[str]) -> IndexEntries:
    """Return the index rows by which a predicate is judged, and no others."""
    stored = whole(version)
    return ctx.extractor.some(version.key.type, decode(stored.body.data), codes, own_base=ctx.base)

"""Whether the caller may see one version: the restriction that stands in every query, asked of a single resource."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from fhir_server.context import Context
from fhir_server.model.json import decode
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.search.entries import IndexEntries
from fhir_server.search.match import Found, NoLookup, VersionLike, matches
from fhir_server.search.parameters_links import VIA
from fhir_server.search.query import EVERYTHING, Node, by_key
from fhir_server.search.restrict import restrict


@dataclass(frozen=True, slots=True)
class Around(NoLookup):
    """The resources that one resource belongs to, fetched before it is matched; other chains find nothing."""

    found: Mapping[ResourceKey, Found]

    def current(self, key: ResourceKey) -> Found | None:
        """Return one of them."""
        return self.found.get(key)


async def visible(ctx: Context, version: Version) -> bool:
    """Tell whether the caller may see this version; a deletion is seen by who could see what was deleted."""
    return await _holds(ctx, ctx.restriction.visibility.of(version.key.type), version)


async def hidden(ctx: Context, key: ResourceKey, letter: Literal["u", "d"] = "u") -> bool:
    """Tell whether a resource exists, or did, that the caller may not update or delete.

    Costs nothing to who may change all.
    """
    predicate = ctx.restriction.writable(letter, key.type)
    if predicate == EVERYTHING:
        return False
    current = await ctx.store.read(key)
    return current is not None and not await _holds(ctx, predicate, current)


async def visible_keys(ctx: Context, keys: Iterable[ResourceKey]) -> list[ResourceKey]:
    """Return those of the current resources that the caller may see, in their order."""
    visibility = ctx.restriction.visibility
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
    """Match a resource, stored or not, in memory; `beside` are resources that are written with it."""
    if matches(predicate, version, entries, NoLookup()):
        return True
    around = dict(beside or {})
    for param, type_, id_, _, _ in entries.references:
        key = ResourceKey(type_ or "", id_ or "")
        if param == VIA and key not in around and (found := await _current(ctx, key)):
            around[key] = found
    return bool(around) and matches(predicate, version, entries, Around(around))


async def _holds(ctx: Context, predicate: Node, version: Version) -> bool:
    if predicate == EVERYTHING:
        return True
    if version.deleted:
        before = await ctx.store.read_version(version.key, version.version - 1)
        return before is not None and not before.deleted and await _holds(ctx, predicate, before)
    return await holds_of(ctx, predicate, version, _entries(ctx, version))


async def _current(ctx: Context, key: ResourceKey) -> Found | None:
    version = await ctx.store.read(key)
    return None if version is None or version.deleted else Found(version, _entries(ctx, version))


def _entries(ctx: Context, version: Version) -> IndexEntries:
    return ctx.extractor.extract(version.key.type, decode(version.stamped()), own_base=ctx.base)

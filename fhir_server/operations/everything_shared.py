"""What the resources of a compartment refer to and that belongs to no patient: practitioners, places, medications."""

import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace

from fhir_server.context import Context
from fhir_server.interactions.visibility import visible
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.search import query as q

_REFERENCE = re.compile(
    rb'"reference":"(?:(https?://[^"]{1,500}?)/)?([A-Z][A-Za-z]{1,60})/([A-Za-z0-9\-.]{1,64})(?:/_history/[^"]{1,64})?"'
)
_AT_ONCE = 500


async def walk(ctx: Context, search: q.Search) -> AsyncIterator[tuple[Version, ...]]:
    """Yield all pages of a search."""
    while True:
        page = await ctx.store.search(search)
        yield page.versions
        if page.next is None:
            return
        search = replace(search, after=page.next)


async def referenced(ctx: Context, search: q.Search, inside: frozenset[str]) -> list[ResourceKey]:
    """Return, sorted, what the rows of a search refer to, directly or over other shared resources.

    inside: types that are never brought, since those of them that belong here were found by the search itself.
    A resource that belongs to a patient is brought where it is referred to directly, but not followed.
    """
    base = ctx.base.encode()
    fresh: set[ResourceKey] = set()
    async for versions in walk(ctx, search):
        for version in versions:
            fresh |= {key for key in _keys(version.body.data, base) if key.type not in inside}
    found: set[ResourceKey] = set()
    while fresh:
        there = [version for version in await _current(ctx, fresh) if await visible(ctx, version)]
        found |= {version.key for version in there}
        follow = [version for version in there if not ctx.definitions.patient_links.get(version.key.type)]
        named = {key for version in follow for key in _keys(version.body.data, base)}
        fresh = {key for key in named - found if key.type not in inside and _is_shared(ctx, key)}
    return sorted(found)


def _is_shared(ctx: Context, key: ResourceKey) -> bool:
    return not ctx.definitions.patient_links.get(key.type)


def _keys(data: bytes, base: bytes) -> Iterable[ResourceKey]:
    """Return the resources of this server that stored bytes refer to, without parsing them."""
    for own, type_, id_ in _REFERENCE.findall(data):
        if not own or own == base:
            yield ResourceKey(type_.decode(), id_.decode())


async def _current(ctx: Context, keys: Iterable[ResourceKey]) -> list[Version]:
    ordered = sorted(key for key in keys if key.type in ctx.definitions.resource_types)
    found: list[Version] = []
    for start in range(0, len(ordered), _AT_ONCE):
        some = await ctx.store.read_many(ordered[start : start + _AT_ONCE])
        found += [version for version in some.values() if not version.deleted]
    return found

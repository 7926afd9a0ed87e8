"""Whether the caller may see one version: the restriction that stands in every query, asked of a single resource."""

from collections.abc import Iterable

from fhir_server.context import Context
from fhir_server.model.json import decode
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.search.match import NoLookup, matches
from fhir_server.search.query import EVERYTHING, Node, by_key
from fhir_server.search.restrict import restrict


async def visible(ctx: Context, version: Version) -> bool:
    """Tell whether the caller may see this version; a deletion is seen by who could see what was deleted."""
    predicate = ctx.restriction.visibility.of(version.key.type)
    if predicate == EVERYTHING:
        return True
    if not version.deleted:
        return _holds(ctx, predicate, version)
    before = await ctx.store.read_version(version.key, version.version - 1)
    return before is not None and not before.deleted and _holds(ctx, predicate, before)


def _holds(ctx: Context, predicate: Node, version: Version) -> bool:
    """Match in memory, which works for any version. Chains find nothing here, so that a doubt hides."""
    entries = ctx.extractor.extract(version.key.type, decode(version.stamped()), own_base=ctx.base)
    return matches(predicate, version, entries, NoLookup())


async def hidden(ctx: Context, key: ResourceKey) -> bool:
    """Tell whether a resource exists, or did, that the caller may not see. Costs nothing to who may see all."""
    if ctx.restriction.visibility.of(key.type) == EVERYTHING:
        return False
    current = await ctx.store.read(key)
    return current is not None and not await visible(ctx, current)


async def visible_keys(ctx: Context, keys: Iterable[ResourceKey]) -> list[ResourceKey]:
    """Return those of the current resources that the caller may see, in their order."""
    visibility = ctx.restriction.visibility
    if visibility.unrestricted:
        return list(keys)
    return [key for key in keys if (await ctx.store.search(restrict(by_key(key), visibility))).versions]

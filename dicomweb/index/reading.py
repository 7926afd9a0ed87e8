"""Reading of the index: what lies below a study or series, one by one or all at once."""

from collections.abc import AsyncIterator
from typing import Final

from fhir_server.plugin_api import Collection, PluginContext, Record, Where

_PAGE: Final = 1_000


async def each_below(ctx: PluginContext, collection: Collection, prefix: str) -> AsyncIterator[Record]:
    """Yield the records whose key begins with `study/` or `study/series/`, in the order of keys."""
    after = None
    while True:
        page = await ctx.store.find(collection.name, [Where("key", "prefix", prefix)], after=after, limit=_PAGE)
        for record in page:
            yield record
        if len(page) < _PAGE:
            return
        after = page[-1].key


async def below(ctx: PluginContext, collection: Collection, prefix: str) -> list[Record]:
    """Return them all."""
    return [record async for record in each_below(ctx, collection, prefix)]

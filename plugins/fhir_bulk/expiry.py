"""Removes bulk work whose time is over, with its files."""

from fhir_bulk.kinds import KINDS
from fhir_bulk.records import remove
from fhir_server.plugin_api import PluginContext, Where

_AT_ONCE = 100


async def expire(ctx: PluginContext) -> None:
    """Remove what has expired in one tenant."""
    for kind in KINDS.values():
        old = [Where("expires", "<", ctx.now())]
        while records := await ctx.store.find(kind.collection.name, old, limit=_AT_ONCE):
            for record in records:
                await remove(ctx, kind, record.key)

"""Removes exports whose time is over, with their files."""

from fhir_bulk.exports import EXPORTS, remove
from fhir_server.plugin_api import PluginContext, Where

_AT_ONCE = 100


async def expire(ctx: PluginContext) -> None:
    """Remove what has expired in one tenant."""
    while True:
        old = [Where("expires", "<", ctx.now())]
        records = await ctx.store.find(EXPORTS.name, old, limit=_AT_ONCE)
        for record in records:
            await remove(ctx, record.key)
        if len(records) < _AT_ONCE:
            return

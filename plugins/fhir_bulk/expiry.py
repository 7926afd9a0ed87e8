"""Removes exports and imports whose time is over, with their files."""

from fhir_bulk.exports import EXPORTS, remove
from fhir_bulk.imports import IMPORTS, remove_import
from fhir_server.plugin_api import PluginContext, Where

_AT_ONCE = 100


async def expire(ctx: PluginContext) -> None:
    """Remove what has expired in one tenant."""
    for collection, away in ((EXPORTS, remove), (IMPORTS, remove_import)):
        old = [Where("expires", "<", ctx.now())]
        while records := await ctx.store.find(collection.name, old, limit=_AT_ONCE):
            for record in records:
                await away(ctx, record.key)

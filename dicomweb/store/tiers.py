"""Where the bytes of an instance are: in the blobs of the store, or in the bucket of old objects."""

from collections.abc import AsyncIterator

from dicomweb.model.values import Instance
from fhir_server.plugin_api import NotFound, PluginContext


async def source_of(
    ctx: PluginContext, instance: Instance, start: int = 0, end: int | None = None
) -> AsyncIterator[bytes]:  # fmt: skip
    """Return the bytes [start, end). Raises NotFound: they are gone."""
    try:
        return await ctx.store.open(str(instance.record["blob"]), start, end)
    except KeyError:
        raise NotFound("the object is not there any more", expression="http.url") from None

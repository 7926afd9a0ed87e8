"""Imaging: what other plugins may do with studies, as the service `imaging`. Their manifest requires it by name."""

from collections.abc import Sequence

from dicomweb.doors import archive, codec
from dicomweb.model.archive import Opened
from dicomweb.model.codec import Codec, CodecFailure
from dicomweb.model.values import DicomJson, Incoming, Instance, Outcome, Source
from fhir_server.plugin_api import Host, PluginContext


class Imaging:
    """`ctx.service("imaging")`. It takes contexts of whoever calls, and works under their authority.

    host: that of imaging in this process, once the server is open.
    """

    host: Host | None = None
    failure = CodecFailure
    """What its codec raises where pixels cannot be had."""

    def within(self, ctx: PluginContext) -> PluginContext:
        """Return the view that imaging has of another plugin's context: the same caller, its own records."""
        assert self.host is not None, "the server is not open yet"
        return self.host.within(ctx.core)

    def codec(self) -> Codec:
        """Return the codec of this process."""
        assert self.host is not None, "the server is not open yet"
        return codec(self.host)

    async def store(self, ctx: PluginContext, objects: Sequence[bytes]) -> list[Outcome]:
        """Store Part 10 objects, as one group."""
        inside = self.within(ctx)
        door = archive(inside)
        group = door.begin(inside, Source("plugin"))
        outcomes = [await door.receive(inside, group, Incoming(each)) for each in objects]
        await door.end(inside, group)
        return outcomes

    async def select(self, ctx: PluginContext, study: str, series: str = "", sop: str = "") -> list[Instance]:
        """Return the instances of a study, series or of one."""
        inside = self.within(ctx)
        asked = {"study": study, "series": series, "instance": sop}
        return await archive(inside).select(inside, {level: uid for level, uid in asked.items() if uid})  # type: ignore[misc]

    async def open(self, ctx: PluginContext, instance: Instance) -> Opened:
        """Open one. Raises NotFound."""
        inside = self.within(ctx)
        return await archive(inside).open(inside, instance)

    async def metadata(self, ctx: PluginContext, instance: Instance) -> DicomJson:
        """Return its attributes."""
        inside = self.within(ctx)
        return await archive(inside).metadata(inside, instance)

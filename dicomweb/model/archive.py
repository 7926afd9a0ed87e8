"""Archive: the door to all that is stored, for the web, for DIMSE and for other plugins.

All methods answer for the caller of the context: what `ctx.client` may not see as an ImagingStudy is not there (see
model/authority.py). Who works for the plugin itself passes `await host.context(tenant)`.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

from dicomweb.model.values import DicomJson, Found, Incoming, Instance, Level, Outcome, Query, Source
from fhir_server.plugin_api import PluginContext


class Group(Protocol):
    """Objects that come together: one association, one STOW request, one import."""

    @property
    def source(self) -> Source:
        """Where they come from."""

    @property
    def outcomes(self) -> Sequence[Outcome]:
        """What became of each so far."""


class Opened(Protocol):
    """An instance whose bytes may be read; the authority was asked."""

    @property
    def instance(self) -> Instance:
        """Which."""

    def chunks(self, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Yield the bytes [start, end) of the Part 10 object as it was received."""

    async def header(self) -> bytes:
        """Return preamble, File Meta Information and data set up to the value of the pixel data (all of an object
        without any), so that `dcmread(BytesIO(header), stop_before_pixels=True)` reads it."""

    async def data_set(self) -> bytes:
        """Return the whole data set as it is encoded, without preamble and File Meta Information (C-STORE SCU)."""

    async def frame(self, number: int) -> bytes:
        """Return frame `number`, from 1, as it is encoded. Raises NotFound: it has no such frame."""


class Archive(Protocol):
    """What is stored, of one tenant at a time (that of the context)."""

    def begin(self, ctx: PluginContext, source: Source) -> Group:
        """Begin a group. Nothing is held that a forgotten `end` would leave behind."""

    async def receive(self, ctx: PluginContext, group: Group, incoming: Incoming) -> Outcome:
        """Store one object: when this returns without a failure it is durable, with its row of the index.

        Never raises for what is wrong with the object or the store (Outcome says it); raises Forbidden where the
        caller may store nothing, and passes on what the source of chunks raises, after which nothing is left behind.
        """

    async def end(self, ctx: PluginContext, group: Group) -> None:
        """Write one version of each ImagingStudy that the group touched, in one commit with the rows of its series
        and studies. Also done by itself after `quiet` seconds, and after a crash."""

    async def find(self, ctx: PluginContext, query: Query) -> Found:
        """Search. Raises BadRequest: a value is none of its kind. TooCostly: too much would be looked at."""

    async def count(self, ctx: PluginContext, query: Query) -> int:
        """Return how many match, `limit` and `offset` aside."""

    async def select(self, ctx: PluginContext, within: Mapping[Level, str]) -> list[Instance]:
        """Return the instances below a study, series or instance, by series and number; empty: nothing there."""

    async def instance(self, ctx: PluginContext, study: str, series: str, sop: str) -> Instance:
        """Return one instance. Raises NotFound."""

    async def held(self, ctx: PluginContext, sop_instances: Sequence[str]) -> dict[str, Instance]:
        """Return those of these SOP Instance UIDs that are here, for storage commitment."""

    async def open(self, ctx: PluginContext, instance: Instance) -> Opened:
        """Open an instance that `select` or `instance` gave, and record who did. Raises NotFound."""

    async def metadata(self, ctx: PluginContext, instance: Instance) -> DicomJson:
        """Return all attributes but bulk data, whose places are `BulkDataURI`s relative to the instance."""

    async def offsets(self, ctx: PluginContext, instance: Instance) -> Sequence[tuple[int, int]]:
        """Return (start, length) of each frame in the Part 10 object; several fragments of a frame are one span."""

    async def delete(self, ctx: PluginContext, within: Mapping[Level, str], reason: str = "") -> int:
        """Delete what lies below, with its ImagingStudy; return how many instances went.

        Raises:
            Conflict: the study is under legal hold or must still be kept. Forbidden, NotFound.
        """

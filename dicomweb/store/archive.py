"""StoredArchive: the Archive on records and blobs of the store."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from dicomweb.authority.sums import search_event
from dicomweb.index.collections import HEADERS, INSTANCES, SERIES
from dicomweb.index.reading import below
from dicomweb.index.rows import instance_of, unpacked
from dicomweb.ingest.faults import NOT_AUTHORIZED, PROCESSING_FAILURE
from dicomweb.ingest.groups import StudySum, Together
from dicomweb.ingest.keeping import Keeping
from dicomweb.ingest.settling import settle
from dicomweb.ingest.staging import Staged, stage
from dicomweb.lifecycle.deleting import delete
from dicomweb.model.archive import Group, Opened
from dicomweb.model.authority import Authority
from dicomweb.model.values import DicomJson, Found, Incoming, Instance, Level, Outcome, Query, Source
from dicomweb.qido.finding import count, find
from dicomweb.store.opened import StoredObject
from fhir_server.plugin_api import Busy, FhirError, Forbidden, NotFound, PluginContext, StoreError, Where

if TYPE_CHECKING:
    from dicomweb.settings import DicomSettings


class StoredArchive:
    """One for each process."""

    def __init__(self, settings: "DicomSettings", authority: Authority) -> None:
        self._settings, self._authority = settings, authority
        self._keeping = Keeping(settings, authority)

    def begin(self, ctx: PluginContext, source: Source) -> Together:
        """Begin a group."""
        return Together(source)

    async def stage(self, ctx: PluginContext, group: Together, incoming: Incoming) -> Staged | Outcome:
        """Write the bytes of one object, whose records come later (`keep`); many at once may be staged."""
        self._authority.need_to_store(ctx)
        return await stage(ctx, incoming, group.source, self._settings)

    async def keep(
        self, ctx: PluginContext, group: Together, staged: Sequence[Staged], *, wait: bool = False
    ) -> list[Outcome]:  # fmt: skip
        """Make instances of staged objects; with `wait`, only in the commit of `end`, which may refuse them yet."""
        outcomes = await self._keeping.keep(ctx, group, staged, wait=wait)
        ctx.shared.setdefault("touched", set()).add(ctx.tenant)
        group.outcomes.extend(outcomes)
        return outcomes

    async def receive(self, ctx: PluginContext, group: Group, incoming: Incoming) -> Outcome:
        """Store one object."""
        assert isinstance(group, Together)
        found = await self.stage(ctx, group, incoming)
        if isinstance(found, Outcome):
            group.outcomes.append(found)
            return found
        return (await self.keep(ctx, group, [found]))[0]

    async def end(self, ctx: PluginContext, group: Group) -> None:
        """Write the ImagingStudies. Objects that waited for it and cannot be kept are told in `group.outcomes`."""
        assert isinstance(group, Together)
        with ctx.acting(group.source.address):
            for study, brought in list(group.studies.items()):
                if brought.series:
                    await self._settle(ctx, group, study, brought)
        group.studies.clear()

    async def _settle(self, ctx: PluginContext, group: Together, study: str, brought: StudySum) -> None:
        stored = len([each for each in group.outcomes if each.study == study and each.stored])
        try:
            await settle(ctx, study, brought, self._settings)
        except (FhirError, StoreError) as error:
            await self._unsettled(ctx, group, brought, error)
            stored -= len(brought.waiting)
        if stored > 0:
            await self._authority.note(ctx, study, "create", stored)

    async def _unsettled(
        self, ctx: PluginContext, group: Together, brought: StudySum, error: Exception
    ) -> None:  # fmt: skip
        """Keep what waits without an ImagingStudy, which is written later, or refuse it where it may not be written."""
        waiting = [Staged(held, ()) for held, _ in brought.waiting]
        if not waiting:
            return
        again = Together(group.source)
        if isinstance(error, FhirError) and not isinstance(error, Busy):
            status = NOT_AUTHORIZED if isinstance(error, Forbidden | NotFound) else PROCESSING_FAILURE
            for each in waiting:
                await ctx.store.discard(each.held.blob)
            outcomes = [_refused(each, status, error) for each in waiting]
        else:
            outcomes = await self._keeping.keep(ctx, again, waiting)
            for study, sum_ in again.studies.items():
                if sum_.series:
                    await self._settle(ctx, again, study, sum_)
        by_sop = {each.sop_instance: each for each in outcomes}
        group.outcomes[:] = [by_sop.get(each.sop_instance, each) if each.stored else each for each in group.outcomes]

    async def find(self, ctx: PluginContext, query: Query) -> Found:
        """Search."""
        found = await find(ctx, query, self._authority, self._settings)
        ctx.note(search_event(query, found))
        return found

    async def count(self, ctx: PluginContext, query: Query) -> int:
        """Count."""
        number = await count(ctx, query, self._authority, self._settings)
        ctx.note(search_event(query, Found()))
        return number

    async def select(self, ctx: PluginContext, within: Mapping[Level, str]) -> list[Instance]:
        """Return instances."""
        study, series, sop = within.get("study", ""), within.get("series", ""), within.get("instance", "")
        if not study:
            return await self._by_uid(ctx, within)
        if not await self._authority.visible(ctx, (study,)):
            return []
        if series and sop:
            record = await ctx.store.get(INSTANCES.name, f"{study}/{series}/{sop}")
            return [instance_of(record)] if record else []
        found = [instance_of(each) for each in await below(ctx, INSTANCES, f"{study}/{series + '/' if series else ''}")]
        chosen = [each for each in found if not sop or each.sop == sop]
        return sorted(
            chosen, key=lambda each: (each.series, each.number if each.number is not None else 1 << 31, each.sop)
        )

    async def _by_uid(self, ctx: PluginContext, within: Mapping[Level, str]) -> list[Instance]:
        """Return what a series or instance UID names alone, as DIMSE may ask."""
        if within.get("instance"):
            return list((await self.held(ctx, [within["instance"]])).values())
        if not within.get("series"):
            return []
        found = await ctx.store.find(SERIES.name, [Where("series", "=", within["series"])])
        studies = [record.key.split("/")[0] for record in found]
        return [
            each for study in studies for each in await self.select(ctx, {"study": study, "series": within["series"]})
        ]

    async def instance(self, ctx: PluginContext, study: str, series: str, sop: str) -> Instance:
        """Return one. Raises NotFound."""
        record = await ctx.store.get(INSTANCES.name, f"{study}/{series}/{sop}")
        if record is None or not await self._authority.visible(ctx, (study,)):
            raise NotFound("there is no such instance", expression="http.url")
        return instance_of(record)

    async def held(self, ctx: PluginContext, sop_instances: Sequence[str]) -> dict[str, Instance]:
        """Return those that are here."""
        found: dict[str, Instance] = {}
        for start in range(0, len(sop_instances), 500):
            named = list(sop_instances[start : start + 500])
            records = await ctx.store.find(INSTANCES.name, [Where("sop", "in", named)], limit=2_000)
            found |= {(made := instance_of(record)).sop: made for record in records}
        seen = await self._authority.visible(ctx, {each.study for each in found.values()})
        return {sop: each for sop, each in found.items() if each.study in seen}

    async def open(self, ctx: PluginContext, instance: Instance) -> Opened:
        """Open an instance."""
        await self._authority.need(ctx, instance.study)
        await self._authority.note(ctx, instance.study, "read", instances=1)
        return StoredObject(ctx, instance)

    def at(self, ctx: PluginContext, instance: Instance) -> StoredObject:
        """Return the bytes of an instance whose opening was allowed and recorded otherwise."""
        return StoredObject(ctx, instance)

    async def metadata(self, ctx: PluginContext, instance: Instance) -> DicomJson:
        """Return all attributes but bulk data."""
        await self._authority.need(ctx, instance.study)
        record = await ctx.store.get(HEADERS.name, instance.key)
        if record is None:
            raise NotFound("there is no such instance", expression="http.url")
        found: DicomJson = msgspec.json.decode(unpacked(str(record.value["z"])))
        return found

    async def offsets(self, ctx: PluginContext, instance: Instance) -> Sequence[tuple[int, int]]:
        """Return where each frame lies."""
        pixels, opened = instance.pixels, StoredObject(ctx, instance)
        if pixels is None:
            return []
        if pixels.length == -1:
            return [await opened.span(number) for number in range(1, pixels.frames + 1)]
        size = pixels.frame_size
        return [(pixels.start + number * size, size) for number in range(pixels.frames)]

    async def delete(self, ctx: PluginContext, within: Mapping[Level, str], reason: str = "") -> int:
        """Delete."""
        return await delete(ctx, within, self._authority, self._settings, reason)


def _refused(each: Staged, status: int, error: FhirError) -> Outcome:
    uids = each.held.uids
    return Outcome(uids.sop_class, uids.sop, uids.study, uids.series, status, str(error))

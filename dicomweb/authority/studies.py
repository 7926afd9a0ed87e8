"""StudyAuthority: a study's ImagingStudy decides who sees its DICOM objects; see model/authority.py."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from dicomweb.authority.sums import Sums
from dicomweb.index.collections import STUDIES
from fhir_server.plugin_api import Forbidden, NotFound, PluginContext, ResourceKey, Where

if TYPE_CHECKING:
    from dicomweb.settings import DicomSettings

_MOST = 100_000


class StudyAuthority:
    """One for each process."""

    def __init__(self, settings: "DicomSettings") -> None:
        self.sums = Sums(settings.audit_window * 1000)
        self._ids: dict[tuple[str, str], str] = {}

    async def visible(self, ctx: PluginContext, studies: Iterable[str]) -> set[str]:
        """Return those that the caller may see now. One without ImagingStudy yet: who sees all."""
        wanted = set(studies)
        if not wanted or await ctx.client.sees_all("ImagingStudy"):
            return wanted
        ids = await self.ids(ctx, wanted)
        found = await ctx.client.readable([ResourceKey("ImagingStudy", id_) for id_ in ids.values()])
        seen = {study for study, id_ in ids.items() if ResourceKey("ImagingStudy", id_) in found}
        for study in set(ids) - seen:
            self._ids.pop((ctx.tenant, study), None)  # it may have another one by now
        return seen

    async def need(self, ctx: PluginContext, study: str) -> None:
        """Raise NotFound where the caller may not see a study."""
        if not await self.visible(ctx, (study,)):
            raise NotFound("there is no such study", expression="http.url")

    def need_to_store(self, ctx: PluginContext) -> None:
        """Raise Forbidden where the caller may neither create nor update any ImagingStudy."""
        may = ctx.core.restriction.may
        if not may("create", "ImagingStudy") and not may("update", "ImagingStudy"):
            raise Forbidden("your access allows no change of ImagingStudy", expression="http.authorization")

    async def ids(self, ctx: PluginContext, studies: Iterable[str]) -> dict[str, str]:
        """Return the logical id of the ImagingStudy of each study that has one."""
        found, asked = {}, []
        for study in studies:
            known = self._ids.get((ctx.tenant, study))
            if known is None:
                asked.append(study)
            else:
                found[study] = known
        for start in range(0, len(asked), 500):
            named = asked[start : start + 500]
            for record in await ctx.store.find(STUDIES.name, [Where("key", "in", named)], limit=500):
                if record.value.get("imaging_study"):
                    found[record.key] = str(record.value["imaging_study"])
        if len(self._ids) > _MOST:
            self._ids.clear()
        self._ids.update({(ctx.tenant, study): id_ for study, id_ in found.items()})
        return found

    async def note(self, ctx: PluginContext, study: str, did: str, instances: int = 0, frames: int = 0) -> None:
        """Record what the caller did with a study."""
        key = (ctx.tenant, ctx.caller.grant, ctx.caller.name, study, did)
        if self.sums.add(key, ctx.now(), instances, frames):
            return
        ids = await self.ids(ctx, (study,))
        record = await ctx.store.get(STUDIES.name, study)
        patient = str(record.value.get("patient") or "") if record else ""
        entity = f"ImagingStudy/{ids[study]}" if study in ids else "ImagingStudy"
        await self.sums.open(ctx, key, entity, patient, instances, frames)

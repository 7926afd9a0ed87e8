"""Rebuilding: the records of a study and its series, and its ImagingStudy, from those of its instances."""

from typing import TYPE_CHECKING

import msgspec

from dicomweb.index.collections import CONTENTS, HEADERS, INSTANCES, PENDING, SERIES, STUDIES
from dicomweb.index.reading import below
from dicomweb.index.rows import unpacked
from dicomweb.ingest.groups import SeriesSum, StudySum, short
from dicomweb.ingest.settling import settle
from dicomweb.lifecycle.guarding import with_objects
from dicomweb.model.values import DicomJson
from fhir_server.plugin_api import FhirError, PluginContext, Record, RecordChange

if TYPE_CHECKING:
    from dicomweb.settings import DicomSettings


async def rebuild(ctx: PluginContext, study: str, settings: "DicomSettings", *, as_plugin: bool = True) -> int:
    """Write anew what is derived from instances; return how many there are. A study without any is removed."""
    instances = await below(ctx, INSTANCES, f"{study}/")
    await _empty(ctx, study, {each.key.rsplit("/", 1)[0] for each in instances})
    if not instances:
        await _remove(ctx, study)
        return 0
    await settle(ctx, study, await _sum(ctx, study, instances), settings, as_plugin=as_plugin)
    return len(instances)


async def _sum(ctx: PluginContext, study: str, instances: list[Record]) -> StudySum:
    """Return the study as if all of it had just come."""
    sum_: StudySum | None = None
    for each in instances:
        _, series, sop = each.key.split("/")
        if sum_ is None or series not in sum_.series:
            header = await _header(ctx, each.key)
            sum_ = sum_ or StudySum(header)
            sum_.series[series] = SeriesSum(header)
        sum_.series[series].instances[sop] = short(dict(each.value))
    assert sum_ is not None
    return sum_


async def _header(ctx: PluginContext, key: str) -> DicomJson:
    record = await ctx.store.get(HEADERS.name, key)
    found: DicomJson = msgspec.json.decode(unpacked(str(record.value["z"]))) if record else {}
    return found


async def _empty(ctx: PluginContext, study: str, series: set[str]) -> None:
    """Forget the contents of series, and series without any: they are counted anew."""
    changes = []
    for each in await below(ctx, SERIES, f"{study}/"):
        changes.append(RecordChange(CONTENTS.name, each.key, None))
        if each.key not in series:
            changes.append(RecordChange(SERIES.name, each.key, None))
    if changes:
        await ctx.store.put(*changes)


async def _remove(ctx: PluginContext, study: str) -> None:
    record = await ctx.store.get(STUDIES.name, study)
    if record is not None and record.value.get("imaging_study"):
        try:
            with with_objects():
                await ctx.own.delete("ImagingStudy", str(record.value["imaging_study"]))
        except FhirError:
            return  # it is referred to: a person has to decide
    await ctx.store.put(RecordChange(STUDIES.name, study, None), RecordChange(PENDING.name, study, None))

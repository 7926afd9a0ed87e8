"""Deleting: a study goes with its ImagingStudy; of a part of it, the ImagingStudy is written anew."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dicomweb.fhir.parking import forget_question
from dicomweb.index.collections import CONTENTS, DROPPED, FRAMES, HEADERS, INSTANCES, PENDING, READY, SERIES, STUDIES
from dicomweb.index.reading import below
from dicomweb.ingest.keeping import pending
from dicomweb.lifecycle.guarding import with_objects
from dicomweb.lifecycle.rebuilding import rebuild
from dicomweb.model.authority import Authority
from dicomweb.model.values import Level
from fhir_server.plugin_api import (
    Beside,
    BlobChange,
    Conflict,
    Forbidden,
    NotFound,
    PluginContext,
    Record,
    RecordChange,
)

if TYPE_CHECKING:
    from dicomweb.settings import DicomSettings

_DAY = 86_400_000


async def delete(
    ctx: PluginContext, within: Mapping[Level, str], authority: Authority, settings: "DicomSettings", reason: str = ""
) -> int:  # fmt: skip
    """Delete what lies below; see model/archive.py."""
    study = within["study"]
    await authority.need(ctx, study)
    record = await ctx.store.get(STUDIES.name, study)
    prefix = "/".join(within[level] for level in ("study", "series", "instance") if level in within)
    exact = "instance" in within
    instances = [await ctx.store.get(INSTANCES.name, prefix)] if exact else await below(ctx, INSTANCES, f"{prefix}/")
    found = [each for each in instances if each is not None]
    if record is None or not found:
        raise NotFound("there is nothing to delete", expression="http.url")
    need_leave(ctx, record, settings)
    if "series" not in within:
        await _whole(ctx, record, found)
    else:
        if not ctx.core.restriction.may("update", "ImagingStudy"):
            raise Forbidden("your access allows no change of ImagingStudy", expression="http.authorization")
        records, blobs = await gone(ctx, found)
        await ctx.store.keep(*blobs, records=[*records, pending(ctx, study)])
        await rebuild(ctx, study, settings)
    await authority.note(ctx, study, "delete", len(found))
    return len(found)


def need_leave(ctx: PluginContext, record: Record, settings: "DicomSettings") -> None:
    """Raise Conflict where a study must be kept."""
    if record.value.get("hold"):
        raise Conflict("the study is under legal hold", expression="http.url")
    until = int(str(record.value["stored"])) + settings.retention_days * _DAY
    if settings.retention_days and ctx.now() < until:
        raise Conflict(f"the study is kept for {settings.retention_days} days", expression="http.url")


async def gone(ctx: PluginContext, instances: Sequence[Record]) -> tuple[list[RecordChange], list[BlobChange]]:
    """Return what removes instances: their records and their bytes."""
    records, blobs = [], []
    for each in instances:
        records.append(RecordChange(INSTANCES.name, each.key, None, each.revision))
        records += [RecordChange(of.name, each.key, None) for of in (HEADERS, FRAMES)]
        if each.value.get("blob"):
            blobs.append(BlobChange(str(each.value["blob"]), attach=False))
        if each.value.get("tier"):
            records.append(RecordChange(DROPPED.name, each.key, dict(each.value["tier"])))  # type: ignore[call-overload]
    for series in sorted({each.key.rsplit("/", 1)[0] for each in instances}):
        ready = await ctx.store.get(READY.name, series)
        if ready is not None:
            records.append(RecordChange(READY.name, series, None))
            blobs.append(BlobChange(str(ready.value["blob"]), attach=False))
    return records, blobs


async def _whole(ctx: PluginContext, study: Record, instances: Sequence[Record]) -> None:
    """Delete a study with its ImagingStudy, in one commit."""
    records, blobs = await gone(ctx, instances)
    for series in await below(ctx, SERIES, f"{study.key}/"):
        records += [RecordChange(of.name, series.key, None) for of in (SERIES, CONTENTS)]
    records += [
        RecordChange(STUDIES.name, study.key, None, study.revision),
        RecordChange(PENDING.name, study.key, None),
    ]
    id_ = study.value.get("imaging_study")
    if id_ is None or await ctx.client.find("ImagingStudy", str(id_)) is None:
        await ctx.store.keep(*blobs, records=records)
        return
    await forget_question(ctx, study.key)
    with with_objects():
        await ctx.client.delete("ImagingStudy", str(id_), beside=Beside(records, blobs))

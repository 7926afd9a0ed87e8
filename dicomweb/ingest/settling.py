"""Settling: the ImagingStudy of a study, and the records of its series, are written in one commit."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dicomweb.fhir.around import around_of
from dicomweb.fhir.imaging_study import SeriesPart, imaging_study
from dicomweb.fhir.parking import park
from dicomweb.index.collections import CONTENTS, INSTANCES, PENDING, SERIES, STUDIES
from dicomweb.index.reading import below
from dicomweb.index.rows import series_row, study_row
from dicomweb.ingest.groups import StudySum
from fhir_server.plugin_api import (
    Beside,
    BlobChange,
    Busy,
    Client,
    PluginContext,
    PreconditionFailed,
    Put,
    Record,
    RecordChange,
    RecordChanged,
    ResourceKey,
    Version,
    VersionChanged,
    decode,
)

if TYPE_CHECKING:
    from dicomweb.settings import DicomSettings

_TRIES = 12
_CONFLICTS = (RecordChanged, VersionChanged, PreconditionFailed, Busy)


@dataclass(frozen=True, slots=True)
class _There:
    """What is stored of a study."""

    study: Record | None
    series: Mapping[str, Record]
    contents: Mapping[str, Record]
    pending: Record | None
    version: Version | None


async def settle(
    ctx: PluginContext, study: str, brought: StudySum, settings: "DicomSettings", *, as_plugin: bool = False
) -> None:  # fmt: skip
    """Write what a group brought of a study, with the records of objects that wait for it.

    Raises:
        Forbidden: the caller may not write this ImagingStudy. RecordChanged: an instance came by another road.
        Busy: others write it all the time.
    """
    client = ctx.own if as_plugin else ctx.client
    for number in range(_TRIES):
        there = await _there(ctx, study)
        try:
            await _write(ctx, client, study, brought, there, settings)
        except _CONFLICTS:
            if brought.waiting and await _overtaken(ctx, brought):
                raise
            await asyncio.sleep(0.01 * number)
            continue
        await park(ctx, study, settings)
        return
    raise Busy("this study is written by others all the time; try again")


async def _there(ctx: PluginContext, study: str) -> _There:
    record = await ctx.store.get(STUDIES.name, study)
    series = {each.key: each for each in await below(ctx, SERIES, f"{study}/")}
    contents = {each.key: each for each in await below(ctx, CONTENTS, f"{study}/")}
    pending = await ctx.store.get(PENDING.name, study)
    return _There(record, series, contents, pending, await _version(ctx, study, record))


async def _version(ctx: PluginContext, study: str, record: Record | None) -> Version | None:
    """Return the ImagingStudy that is there, by its id or by the UID: it may have been written as FHIR before."""
    if record is not None and record.value.get("imaging_study"):
        key = ResourceKey("ImagingStudy", str(record.value["imaging_study"]))
        return (await ctx.own.readable([key])).get(key)
    async for version in ctx.own.versions("ImagingStudy", {"identifier": f"urn:dicom:uid|urn:oid:{study}"}):
        return version
    return None


async def _write(
    ctx: PluginContext, client: Client, study: str, brought: StudySum, there: _There, settings: "DicomSettings"
) -> None:  # fmt: skip
    parts = _parts(study, brought, there)
    row = _study(brought, there, parts, ctx.now())
    before = decode(there.version.stamped()) if there.version else None
    around = await around_of(ctx, row, brought.patient, before, settings)
    id_ = there.version.key.id if there.version else ctx.new_id()
    resource = {**imaging_study(study, row, parts, around, before, settings.listed_instances), "id": id_}
    row["imaging_study"] = id_
    row["patient"] = str(resource["subject"].get("reference", "")).removeprefix("Patient/") or None
    row["why"] = None if row["patient"] else brought.why or row.get("why")
    put = Put(resource, there.version.version if there.version else 0, trusted=True)
    with ctx.acting():
        await client.put_all([put], beside=_beside(study, row, parts, brought, there))


def _parts(study: str, brought: StudySum, there: _There) -> list[SeriesPart]:
    """Return all series of the study, with what was brought."""
    made = {}
    for key, record in there.series.items():
        known = there.contents[key].value if key in there.contents else {}
        made[key.split("/")[1]] = (dict(record.value), dict(known.get("i", {})))  # type: ignore[call-overload]
    for uid, sum_ in brought.series.items():
        row, instances = made.get(uid, (None, {}))
        made[uid] = (series_row(row, sum_.header, uid), {**instances, **sum_.instances})
    return [_part(uid, row, instances) for uid, (row, instances) in made.items()]


def _part(uid: str, row: dict[str, Any], instances: dict[str, list[Any]]) -> SeriesPart:
    row["instances"] = len(instances)
    row["size"] = sum(each[3] for each in instances.values())
    ordered = sorted(instances.items(), key=lambda each: (each[1][1] if each[1][1] is not None else 1 << 31, each[0]))
    return SeriesPart(uid, row, [(sop, *short) for sop, short in ordered])


def _study(brought: StudySum, there: _There, parts: Sequence[SeriesPart], now: int) -> dict[str, Any]:
    row = study_row(there.study.value if there.study else None, brought.header, now)
    row["modality"] = sorted({str(each.row["modality"]) for each in parts if each.row.get("modality")})
    row["classes"] = sorted({str(instance[1]) for each in parts for instance in each.instances})
    row["series"], row["instances"] = len(parts), sum(len(each.instances) for each in parts)
    row["size"] = sum(each.row["size"] for each in parts)
    return row


def _beside(study: str, row: dict[str, Any], parts: Sequence[SeriesPart], brought: StudySum, there: _There) -> Beside:
    """Return the records of the study, of the series that were brought, and of the instances that waited."""
    records = [RecordChange(STUDIES.name, study, row, there.study.revision if there.study else 0)]
    for part in parts:
        if part.uid not in brought.series:
            continue
        key = f"{study}/{part.uid}"
        part.row["revision"] = int(part.row.get("revision", 0)) + 1  # type: ignore[index]
        records.append(
            RecordChange(SERIES.name, key, part.row, there.series[key].revision if key in there.series else 0)
        )
        contents = {"i": {sop: list(short) for sop, *short in part.instances}}
        records.append(RecordChange(CONTENTS.name, key, contents))
    if there.pending is not None:
        records.append(RecordChange(PENDING.name, study, None, there.pending.revision))
    patient = str(row.get("patient") or "") or None
    for held, expected in brought.waiting:
        records += held.records(expected)
    return Beside(records, [BlobChange(held.blob, True, patient) for held, _ in brought.waiting])


async def _overtaken(ctx: PluginContext, brought: StudySum) -> bool:
    """Tell whether an instance that waits has come by another road."""
    for held, expected in brought.waiting:
        record = await ctx.store.get(INSTANCES.name, held.uids.key)
        if (record.revision if record else 0) != expected:
            return True
    return False

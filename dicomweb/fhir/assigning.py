"""Whose a study is, after it came: assigned by a person, moved by a merge of patients, or changed in the record."""

from collections.abc import Mapping, Sequence
from typing import Any

from dicomweb.fhir.parking import SYSTEM
from dicomweb.index.collections import INSTANCES, STUDIES
from dicomweb.index.reading import each_below
from dicomweb.lifecycle.orphans import remove_orphan, sweep, uid_of
from fhir_server.plugin_api import (
    BadRequest,
    Beside,
    BlobChange,
    Call,
    Conflict,
    FeedChange,
    FhirError,
    NotFound,
    Outputs,
    PluginContext,
    Put,
    Record,
    RecordChange,
    RecordChanged,
    Where,
    decode,
)

_BATCH = 1_000


async def assign_patient(ctx: PluginContext, call: Call) -> Outputs:
    """Answer `$assign-patient`: the study is this Patient's from now on, and the Task that asked is completed."""
    patient = str((call.inputs.one("patient") or {}).get("reference", "")).split("/")
    if len(patient) < 2 or patient[-2] != "Patient":
        raise BadRequest("patient has to be a reference to a Patient", expression="Parameters.parameter")
    await ctx.client.read("Patient", patient[-1])
    study = await ctx.client.read("ImagingStudy", str(call.request.id))
    record = await study_of(ctx, str(study["id"]))
    before = str(study.get("subject", {}).get("reference", "")).removeprefix("Patient/")
    if before and before != patient[-1] and not call.inputs.one("move", False):
        raise Conflict("the study is another Patient's; say `move` to take it from them", expression="ImagingStudy")
    study["subject"] = {"reference": f"Patient/{patient[-1]}"}
    number = int(study["meta"]["versionId"])
    beside = Beside([_owned(record, patient[-1])])
    await ctx.client.put_all([Put(study, number, trusted=True)], beside=beside)
    await _hand_over(ctx, record.key, patient[-1])
    await answered(ctx, record.key)
    return Outputs([("return", await ctx.client.read("ImagingStudy", str(study["id"])))])


async def study_of(ctx: PluginContext, id_: str) -> Record:
    """Return the record of the study that an ImagingStudy is of. Raises NotFound."""
    found = await ctx.store.find(STUDIES.name, [Where("imaging_study", "=", id_)], limit=1)
    if not found:
        raise NotFound("there are no DICOM objects of this ImagingStudy", expression="http.url")
    return found[0]


async def follow(ctx: PluginContext, changes: Sequence[FeedChange]) -> None:
    """Keep the index in step with the subjects of ImagingStudies, whoever changed them."""
    for change in changes:
        if change.row.deleted:
            await _removed(ctx, change)
            continue
        found = await ctx.store.find(STUDIES.name, [Where("imaging_study", "=", change.key.id)], limit=1)
        if not found:
            continue
        resource = decode(change.row.stamped())
        patient = str(resource.get("subject", {}).get("reference", "")).removeprefix("Patient/")
        if not patient or patient == found[0].value.get("patient"):
            continue
        try:
            await ctx.store.put(_owned(found[0], patient))
        except RecordChanged:
            continue  # whoever wrote it looked at the resource as well
        await _hand_over(ctx, found[0].key, patient)
        await answered(ctx, found[0].key)


async def _removed(ctx: PluginContext, change: FeedChange) -> None:
    """Remove the objects of a study that went with its patient; where nobody can tell which, look at all."""
    before = await change.before()
    study = uid_of(decode(before.stamped())) if before is not None and not before.deleted else ""
    if study:
        await remove_orphan(ctx, study)
    elif before is None:
        await sweep(ctx)


async def answered(ctx: PluginContext, study: str) -> None:
    """Complete the Task that asked whose a study is."""
    async for task in ctx.own.each("Task", {"identifier": f"{SYSTEM}|{study}", "status": "requested"}):
        try:
            await ctx.own.update({**task, "status": "completed"}, if_match=str(task["meta"]["versionId"]))
        except FhirError:
            continue  # somebody else has just done something with it


def _owned(record: Record, patient: str) -> RecordChange:
    value: Mapping[str, Any] = {**record.value, "patient": patient, "why": None}
    return RecordChange(STUDIES.name, record.key, value, record.revision)


async def _hand_over(ctx: PluginContext, study: str, patient: str) -> None:
    """Bring the bytes of a study under the key of its patient."""
    batch: list[BlobChange] = []
    async for each in each_below(ctx, INSTANCES, f"{study}/"):
        if each.value.get("blob"):
            batch.append(BlobChange(str(each.value["blob"]), True, patient))
        if len(batch) >= _BATCH:
            await ctx.store.keep(*batch)
            batch.clear()
    if batch:
        await ctx.store.keep(*batch)

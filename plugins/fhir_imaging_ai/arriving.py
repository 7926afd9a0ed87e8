"""Arriving: a consumer of the feed that has models look at the images of each study, each image once."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fhir_imaging_ai.kept import DONE
from fhir_imaging_ai.looking.picture import NotForModel, Seen, seen
from fhir_imaging_ai.looking.triage import Runner, Said
from fhir_imaging_ai.models.loading import found
from fhir_imaging_ai.outputs import objects
from fhir_imaging_ai.outputs.record import RUNS, Looked, Study, bundle, run_of
from fhir_imaging_ai.settings import ImagingAiSettings
from fhir_server.plugin_api import Beside, FeedChange, Host, NotFound, PluginContext, RecordChange, instant

_UID_SYSTEM: Final = "urn:dicom:uid"
_DUPLICATE: Final = 0x0111
_EXPLICIT: Final = "1.2.840.10008.1.2.1"


async def look(ctx: PluginContext, changes: Sequence[FeedChange]) -> None:
    """Have each model look at the studies that changed."""
    for change in {change.key.id: change for change in changes}.values():
        try:
            resource = await ctx.own.read("ImagingStudy", change.key.id)
        except NotFound:
            continue  # deleted meanwhile
        uid = uid_of(resource)
        if uid and resource.get("status") != "entered-in-error":
            for name in ctx.settings.models:
                await look_at(ctx, Study(resource, uid), runner(ctx.host, name))


def uid_of(resource: Mapping[str, Any]) -> str:
    """Return the Study Instance UID of an ImagingStudy."""
    for each in resource.get("identifier", ()):
        if each.get("system") == _UID_SYSTEM:
            return str(each.get("value", "")).removeprefix("urn:oid:")
    return ""


def runner(host: Host, name: str) -> Runner:
    """Return a model of this process, loaded once. Raises ModelRefused."""
    runners: dict[str, Runner] = host.shared.setdefault("runners", {})
    if name not in runners:
        settings: ImagingAiSettings = host.settings
        runners[name] = Runner(found(name, settings.folder, settings.keys))
    return runners[name]


async def look_at(ctx: PluginContext, study: Study, model: Runner) -> list[Looked]:
    """Have a model look at the images of a study that it has not seen, and store what it says.

    Its DICOM objects have UIDs that follow from image and model, and are stored before the record of having looked:
    what is broken off is done again and ends in the same objects.
    """
    new = await _new(ctx, study, model)
    looked, made = [], []
    for instance in new:
        picture, said = await _looked(ctx, instance, model)
        looked.append(Looked(instance.sop, said))
        if picture is not None and said.decision != "refused":
            made += await asyncio.to_thread(_objects, ctx.settings, picture, said, model)
    if not looked:
        return []
    if made:
        await _stored(ctx, made)
    await _recorded(ctx, study, looked, model)
    return looked


async def _stored(ctx: PluginContext, made: Sequence[bytes]) -> None:
    """Store objects; one that is there comes from a run that was broken off. Another failure is tried again later."""
    outcomes = await ctx.service("imaging").store(ctx, made)
    failed = [each for each in outcomes if each.failed and each.status != _DUPLICATE]
    if failed:
        raise RuntimeError(f"{len(failed)} objects could not be stored: {failed[0].reason}")


async def _new(ctx: PluginContext, study: Study, model: Runner) -> list[Any]:
    """Return the instances of the modalities of the model that it has not seen, as many as the setting allows."""
    wanted, kept = model.manifest.modalities, list[Any]()
    for series in study.resource.get("series", ()):
        if series.get("modality", {}).get("code") not in wanted:
            continue
        for instance in await ctx.service("imaging").select(ctx, study.uid, str(series["uid"])):
            if instance.pixels is None or instance.size > ctx.settings.object_size:
                continue
            if len(kept) < ctx.settings.images and await ctx.store.get(DONE.name, _key(instance.sop, model)) is None:
                kept.append(instance)
    return kept


async def _looked(ctx: PluginContext, instance: Any, model: Runner) -> tuple[Seen | None, Said]:
    imaging = ctx.service("imaging")
    try:
        opened = await imaging.open(ctx, instance)
        header = await opened.header()
        frame = await imaging.codec().transcoded_frame(opened, 1, _EXPLICIT)
    except imaging.failure as error:
        return None, Said("refused", reason=str(error))
    try:
        picture = await asyncio.to_thread(seen, header, frame, model.manifest)
        return picture, await asyncio.to_thread(model.look, picture)
    except NotForModel as error:
        return None, Said("refused", reason=str(error))


def _objects(settings: ImagingAiSettings, picture: Seen, said: Said, model: Runner) -> list[bytes]:
    made = [objects.report(picture, said, model.manifest)]
    if settings.overlay:
        made.append(objects.overlay(picture, said, model.manifest))
    return made


async def _recorded(ctx: PluginContext, study: Study, looked: Sequence[Looked], model: Runner) -> None:
    """Write resources, task and the records of having looked, all or nothing."""
    named = f"{RUNS}|{run_of(study.uid, model.manifest)}"
    tasks = [each async for each in ctx.own.each("Task", [("identifier", named)])]
    made = bundle(study, looked, model.manifest, instant(ctx.now()), tasks[0] if tasks else None)
    records = [
        RecordChange(
            DONE.name, _key(each.instance, model), {"decision": each.said.decision, "reason": each.said.reason}
        )
        for each in looked
    ]
    await ctx.own.transaction(made, beside=Beside(records=records))


def _key(instance: str, model: Runner) -> str:
    text = f"{instance}|{model.manifest.name}|{model.manifest.version}"
    return hashlib.sha256(text.encode()).hexdigest()

"""What becomes of objects with time: recompressed, moved to a bucket, deleted; and each is read now and then."""

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any, Final

from dicomweb.doors import authority, codec, settings_of
from dicomweb.index.collections import DROPPED, FRAMES, INSTANCES, STUDIES
from dicomweb.index.reading import each_below
from dicomweb.index.rows import instance_of, packed_spans
from dicomweb.ingest.faults import ObjectFault
from dicomweb.ingest.frames import pixels_of, spans_of
from dicomweb.ingest.scan import Scanner
from dicomweb.ingest.staging import limits_of
from dicomweb.ingest.syntaxes import is_native
from dicomweb.lifecycle.deleting import delete
from dicomweb.lifecycle.orphans import sweep
from dicomweb.lifecycle.scrubbing import scrub
from dicomweb.model.codec import CodecFailure
from dicomweb.store.opened import StoredObject
from dicomweb.store.tiers import dropped, moved
from fhir_server.plugin_api import (
    BlobChange,
    Conflict,
    FhirError,
    PluginContext,
    Record,
    RecordChange,
    RecordChanged,
    StoreError,
    Where,
)

_log = logging.getLogger("dicomweb")
_DAY: Final = 86_400_000
_LONGEST: Final = 600.0
_PAGE: Final = 100
_HTJ2K: Final = "1.2.840.10008.1.2.4.201"


async def grow_old(ctx: PluginContext) -> None:
    """Apply the rules to the studies that are old enough; what is left over is done at the next time."""
    settings = settings_of(ctx)
    until = time.monotonic() + _LONGEST
    for days, rule in (
        (settings.delete_days, _delete), (settings.recompress_days, _recompress), (settings.tier_days, _move),
    ):  # fmt: skip
        if days:
            await _to_old(ctx, days, rule, until)
    await sweep(ctx)
    for record in await ctx.store.find(DROPPED.name, limit=1_000):
        await dropped(settings, record.value)
        await ctx.store.put(RecordChange(DROPPED.name, record.key, None))
    if settings.scrub_days:
        await scrub(ctx, settings.scrub_days * _DAY, until)


Rule = Callable[[PluginContext, Record], Awaitable[None]]


async def _to_old(ctx: PluginContext, days: int, rule: Rule, until: float) -> None:
    limit = ctx.now() - days * _DAY
    offset = 0
    while time.monotonic() < until:
        page = await ctx.store.find(
            STUDIES.name, [Where("stored", "<=", limit)], order="stored", limit=_PAGE, offset=offset
        )  # fmt: skip
        for study in page:
            try:
                await rule(ctx, study)
            except (FhirError, StoreError, CodecFailure, ObjectFault) as error:
                _log.warning("a rule for old studies failed: %s", type(error).__name__)
            if time.monotonic() > until:
                return
        if len(page) < _PAGE:
            return
        offset += _PAGE


async def _delete(ctx: PluginContext, study: Record) -> None:
    try:
        await delete(ctx, {"study": study.key}, authority(ctx), settings_of(ctx))
    except Conflict:
        return  # it is held, kept, or referred to


async def _recompress(ctx: PluginContext, study: Record) -> None:
    """Encode the native images of a study anew, without loss."""
    if study.value.get("hold"):
        return
    async for record in each_below(ctx, INSTANCES, f"{study.key}/"):
        pixels = record.value.get("pixels")
        if pixels and is_native(str(record.value["syntax"])) and record.value.get("blob"):
            await _recompressed(ctx, record, study)


async def _recompressed(ctx: PluginContext, record: Record, study: Record) -> None:
    """Replace the bytes of one instance, unless somebody else has just done something with it."""
    instance = instance_of(record)
    if not codec(ctx).can(instance.transfer_syntax, _HTJ2K):
        return
    scanner = Scanner(limits_of(settings_of(ctx)))

    async def followed() -> Any:
        async for chunk in codec(ctx).transcoded(StoredObject(ctx, instance), _HTJ2K):
            scanner.feed(chunk)
            yield chunk

    try:
        ref = await ctx.store.stage(followed())
    except CodecFailure:
        return  # it stays as it is
    scanned = scanner.end()
    pixels = pixels_of(scanned)
    assert pixels is not None
    spans = spans_of(pixels, scanned.tail)
    value = {
        **record.value, "syntax": _HTJ2K, "blob": ref.id, "size": ref.size, "sha256": ref.sha256,
        "pixels": {**asdict(pixels), "length": -1, "frame_size": 0},
        "span": list(spans[:2]) if spans is not None and len(spans) == 2 else None,
        "was": record.value.get("was") or {"syntax": instance.transfer_syntax, "digest": record.value["digest"]},
    }  # fmt: skip
    patient = str(study.value.get("patient") or "") or None
    changes = [RecordChange(INSTANCES.name, record.key, value, record.revision)]
    if spans is not None and len(spans) > 2:
        changes.append(RecordChange(FRAMES.name, record.key, {"z": packed_spans(spans)}))
    blobs = [BlobChange(ref.id, True, patient), BlobChange(str(record.value["blob"]), attach=False)]
    try:
        await ctx.store.keep(*blobs, records=changes)
    except RecordChanged:
        await ctx.store.discard(ref.id)


async def _move(ctx: PluginContext, study: Record) -> None:
    if settings_of(ctx).tier_bucket:
        async for record in each_below(ctx, INSTANCES, f"{study.key}/"):
            if record.value.get("blob"):
                await moved(ctx, record)

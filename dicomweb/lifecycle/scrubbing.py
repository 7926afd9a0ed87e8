"""Scrubbing: every object is read now and then and held to its digest: damage is known while there are copies."""

import time
from hashlib import sha256
from typing import Final

from dicomweb.index.collections import INSTANCES, SCRUBBED
from dicomweb.index.rows import instance_of
from dicomweb.store.tiers import source_of
from fhir_server.plugin_api import Alert, FhirError, PluginContext, Record, RecordChange, StoreError, raise_alert

_CURSOR: Final = "cursor"
_PAGE: Final = 100


async def scrub(ctx: PluginContext, period: int, until: float) -> int:
    """Go on where the last time ended; a round begins `period` milliseconds after the one before began.

    Return how many objects were read.
    """
    cursor = await ctx.store.get(SCRUBBED.name, _CURSOR)
    place = str(cursor.value["place"]) if cursor else ""
    begun = int(str(cursor.value["begun"])) if cursor else ctx.now()
    if cursor and not place:
        if ctx.now() - begun < period:
            return 0
        begun = ctx.now()
    count = 0
    while time.monotonic() < until:
        page = await ctx.store.find(INSTANCES.name, after=place or None, limit=_PAGE)
        for record in page:
            await _check(ctx, record)
            count += 1
        place = page[-1].key if len(page) == _PAGE else ""
        await ctx.store.put(RecordChange(SCRUBBED.name, _CURSOR, {"place": place, "begun": begun}))
        if not place:
            break
    return count


async def _check(ctx: PluginContext, record: Record) -> None:
    """Read an object; what is wrong with it is an alert that names it, and stays in a record."""
    said = await damage(ctx, record)
    if not said:
        return
    current = await ctx.store.get(INSTANCES.name, record.key)
    if current is None or current.revision != record.revision:
        return  # it was replaced or deleted meanwhile
    await ctx.store.put(RecordChange(SCRUBBED.name, record.key, {"said": said, "at": ctx.now()}))
    raise_alert(Alert("damaged-object", ctx.tenant, f"a DICOM object {said}: restore it from a copy", record.key))


async def damage(ctx: PluginContext, record: Record) -> str:
    """Return what is wrong with the bytes of an instance; empty for nothing."""
    digest = sha256()
    try:
        async for chunk in await source_of(ctx, instance_of(record)):
            digest.update(chunk)
    except (FhirError, StoreError, OSError) as error:
        return f"cannot be read ({type(error).__name__})"
    return "" if digest.hexdigest() == record.value["sha256"] else "is not what was stored"

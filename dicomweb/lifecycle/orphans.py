"""Orphans: instances whose study is gone, for its patient was erased; their records and bytes go too."""

from typing import Any

from dicomweb.index.collections import CONTENTS, DERIVED, INSTANCES, PENDING, SCRUBBED, SERIES, STUDIES
from dicomweb.index.reading import below
from dicomweb.lifecycle.deleting import gone
from fhir_server.plugin_api import PluginContext, RecordChange

_LAST = "\U0010ffff"


async def sweep(ctx: PluginContext) -> int:
    """Remove all orphans; return how many instances went. One look-up for each study that is there."""
    place, count = "", 0
    while True:
        page = await ctx.store.find(INSTANCES.name, after=place or None, limit=1)
        if not page:
            return count
        study = page[0].key.split("/")[0]
        count += await remove_orphan(ctx, study)
        place = f"{study}/{_LAST}"


async def remove_orphan(ctx: PluginContext, study: str) -> int:
    """Remove what is left of a study that is not there any more; of one that is just coming, nothing."""
    for collection in (STUDIES, PENDING):
        if await ctx.store.get(collection.name, study) is not None:
            return 0
    found = await below(ctx, INSTANCES, f"{study}/")
    if not found:
        return 0
    records, blobs = await gone(ctx, found)
    for collection in (SERIES, CONTENTS, DERIVED, SCRUBBED):
        records += [RecordChange(collection.name, each.key, None) for each in await below(ctx, collection, f"{study}/")]
    await ctx.store.keep(*blobs, records=records)
    return len(found)


def uid_of(resource: dict[str, Any]) -> str:
    """Return the Study Instance UID of an ImagingStudy; empty where it names none."""
    for each in resource.get("identifier", ()):
        if each.get("system") == "urn:dicom:uid":
            return str(each.get("value", "")).removeprefix("urn:oid:")
    return ""

"""Events: what subscribers are told, kept until their channel takes it.

Spec: https://dicom.nema.org/medical/dicom/current/output/chtml/part04/sect_CC.2.4.html
"""

from collections.abc import Sequence
from typing import Final

from dicomweb.model.values import DicomJson
from dicomweb.ups import workitem as w
from dicomweb.ups.workitem import Workitem
from dicomweb.worklist.coding import el
from fhir_server.plugin_api import Collection, PluginContext, Record, RecordChange, RecordField, Where

EVENTS: Final = Collection("dicomweb.events", (RecordField("ae"), RecordField("made", "integer")))
STATE_REPORT, CANCEL_REQUESTED, PROGRESS_REPORT, STATUS_CHANGE, ASSIGNED = 1, 2, 3, 4, 5
_SWEPT: Final = 200


def state_report(item: Workitem) -> DicomJson:
    """Return what is told of a state."""
    return {tag: item.attributes[tag] for tag in (w.STATE, w.READINESS) if tag in item.attributes}


def change_reports(before: Workitem, after: Workitem) -> list[tuple[int, DicomJson]]:
    """Return what is told of an update: progress, who is to do it, whether its input is there."""
    found: list[tuple[int, DicomJson]] = []

    def changed(tag: str) -> bool:
        return before.attributes.get(tag) != after.attributes.get(tag)

    if changed(w.READINESS):
        found.append((STATE_REPORT, state_report(after)))
    if changed(w.PROGRESS):
        found.append((PROGRESS_REPORT, {w.PROGRESS: after.attributes[w.PROGRESS]}))
    if any(changed(tag) for tag in w.PERFORMERS):
        told: DicomJson = {str(tag): after.attributes[tag] for tag in w.PERFORMERS if tag in after.attributes}
        found.append((ASSIGNED, told))
    return found


def events_for(
    ctx: PluginContext, item: Workitem, titles: Sequence[str], kind: int, data: DicomJson
) -> list[RecordChange]:
    """Return the records of one event, one for each subscriber; they are written in the commit that makes it so."""
    now = ctx.now()
    told = {
        "00000002": el("UI", w.CLASS),
        "00001000": el("UI", item.uid),
        "00001002": el("US", kind),
        **data,
    }
    return [
        RecordChange(
            EVENTS.name,
            f"{title}|{now:015d}|{ctx.new_id()}",
            {"ae": title, "made": now, "task": item.task, "data": told},
        )
        for title in titles
    ]


async def waiting(ctx: PluginContext, title: str, limit: int) -> list[Record]:
    """Return the events that wait for a subscriber, the oldest first; of too many the oldest are dropped."""
    found = await ctx.store.find(EVENTS.name, [Where("ae", "=", title)], limit=limit + _SWEPT)
    spare = len(found) - limit
    if spare > 0:
        await taken(ctx, found[:spare])
        found = found[spare:]
    return found


async def taken(ctx: PluginContext, records: Sequence[Record]) -> None:
    """Forget events that were told."""
    if records:
        await ctx.store.put(*(RecordChange(EVENTS.name, record.key, None) for record in records))

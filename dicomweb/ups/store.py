"""Workitems in the store: each a record and a Task, written together."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from dicomweb.model.values import DicomJson
from dicomweb.ups.states import FINAL, WorkitemRefused
from dicomweb.ups.tasks import task_of
from dicomweb.ups.workitem import START, Workitem
from dicomweb.worklist.coding import text
from dicomweb.worklist.matching import matches
from fhir_server.plugin_api import (
    Beside,
    Collection,
    Conflict,
    PluginContext,
    PreconditionFailed,
    Record,
    RecordChange,
    RecordChanged,
    RecordField,
    ResourceKey,
    TooCostly,
    Where,
)

WORKITEMS: Final = Collection(
    "dicomweb.workitems",
    (
        RecordField("state"),
        RecordField("start"),
        RecordField("label"),
        RecordField("over", "integer"),
        RecordField("patient"),
    ),
    patient="patient",
)
_PAGE: Final = 500
_INDEXED: Final = {"00741000": "state", "00741202": "label"}


async def find_workitem(ctx: PluginContext, uid: str) -> Workitem:
    """Return a workitem that the caller may see. Raises WorkitemRefused: there is none."""
    record = await ctx.store.get(WORKITEMS.name, uid)
    if record is not None and await ctx.client.find("Task", str(record.value["task"])) is not None:
        return of_record(record)
    raise WorkitemRefused(0xC307, 404, "There is no such UPS.")


def of_record(record: Record) -> Workitem:
    """Return a workitem as it is kept."""
    value: Mapping[str, Any] = record.value
    return Workitem(
        record.key, dict(value["attributes"]), value["transaction"], value["task"], record.revision,
        value["patient"], value["changed"], value["over"],
    )  # fmt: skip


async def keep(ctx: PluginContext, item: Workitem, more: Sequence[RecordChange] = ()) -> None:
    """Write a workitem with its Task, and records beside, all or nothing. Raises WorkitemRefused: somebody was
    quicker. Forbidden."""
    before = await ctx.client.find("Task", item.task) if item.revision else None
    beside = Beside((_change(ctx, item), *more))
    version = str(((before or {}).get("meta") or {}).get("versionId", ""))
    try:
        await ctx.client.update(task_of(ctx, item, before), if_match=version, beside=beside)
    except (RecordChanged, Conflict, PreconditionFailed) as error:
        if not item.revision:
            raise WorkitemRefused(0x0111, 409, "There is a UPS of this UID already.") from error
        raise WorkitemRefused(0xC300, 409, "The UPS was changed by somebody else just now.") from error


def _change(ctx: PluginContext, item: Workitem) -> RecordChange:
    now = ctx.now()
    value = {
        "attributes": item.attributes, "transaction": item.transaction, "task": item.task, "patient": item.patient,
        "state": item.state, "start": text(item.attributes, START), "label": text(item.attributes, "00741202"),
        "changed": now, "over": now if item.state in FINAL else 0,
    }  # fmt: skip
    return RecordChange(WORKITEMS.name, item.uid, value, expected=item.revision)


async def matching(ctx: PluginContext, keys: DicomJson, most_looked_at: int) -> AsyncIterator[Workitem]:
    """Yield the workitems that match and that the caller may see, in the order of their UIDs.

    Raises:
        TooCostly: more were looked at than one search may.
    """
    where = _narrowed(keys)
    after, looked = None, 0
    while page := await ctx.store.find(WORKITEMS.name, where, after=after, limit=_PAGE):
        looked += len(page)
        found = [item for item in map(of_record, page) if matches(item.shown, keys)]
        seen = await ctx.client.versions_of([ResourceKey("Task", item.task) for item in found]) if found else {}
        for item in found:
            if ResourceKey("Task", item.task) in seen:
                yield item
        if looked >= most_looked_at:
            raise TooCostly(f"more than {most_looked_at} workitems would be looked at: ask for less")
        after = page[-1].key


def _narrowed(keys: DicomJson) -> list[Where]:
    """Return what of the keys the index can do."""
    found = []
    for tag, name in _INDEXED.items():
        value = text(keys, tag)
        if value and not set(value) & set("*?\\"):
            found.append(Where(name, "=", value))
    return found

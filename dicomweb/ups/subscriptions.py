"""Subscriptions: who is told of which workitem.

A global subscription makes one for each workitem that there is and that comes; a filtered one for those that match.

Spec: https://dicom.nema.org/medical/dicom/current/output/chtml/part04/sect_CC.2.3.html
"""

import re
from collections.abc import Sequence
from typing import Any, Final

from dicomweb.model.values import DicomJson
from dicomweb.ups.states import WorkitemRefused
from dicomweb.ups.store import matching
from dicomweb.ups.workitem import Workitem
from dicomweb.worklist.commitments import owner_of
from dicomweb.worklist.matching import matches
from fhir_server.plugin_api import Collection, Forbidden, PluginContext, RecordChange, RecordField, Where

SUBSCRIPTIONS: Final = Collection("dicomweb.subscriptions", (RecordField("workitem"), RecordField("ae")))
SUBSCRIBERS: Final = Collection("dicomweb.subscribers")
"""Whose an AE title is: the first who subscribes under it."""
GLOBAL: Final = "1.2.840.10008.5.1.4.34.5"
FILTERED: Final = "1.2.840.10008.5.1.4.34.5.1"
_TITLE: Final = re.compile(r"[\x21-\x5b\x5d-\x7e]([\x20-\x5b\x5d-\x7e]{0,14}[\x21-\x5b\x5d-\x7e])?", re.ASCII)
_PAGE: Final = 500


def a_title(value: str) -> str:
    """Return an AE title. Raises WorkitemRefused: it is none."""
    if not _TITLE.fullmatch(value):
        raise WorkitemRefused(0xC308, 400, "The receiving AE title is none.")
    return value


async def claim(ctx: PluginContext, title: str) -> None:
    """Take an AE title for whoever asks. Raises Forbidden: it is somebody else's."""
    record = await ctx.store.get(SUBSCRIBERS.name, title)
    if record is None:
        await ctx.store.put(RecordChange(SUBSCRIBERS.name, title, {"owner": owner_of(ctx)}, expected=0))
    elif record.value["owner"] != owner_of(ctx):
        raise Forbidden("this AE title is subscribed by somebody else", expression="http.url")


async def owns(ctx: PluginContext, title: str) -> bool:
    """Tell whether an AE title is that of whoever asks."""
    record = await ctx.store.get(SUBSCRIBERS.name, title)
    return record is not None and record.value["owner"] == owner_of(ctx)


async def subscribe(ctx: PluginContext, item: Workitem, title: str, *, lock: bool) -> None:
    """Follow one workitem."""
    await ctx.store.put(_followed(item.uid, title, lock))


def _followed(uid: str, title: str, lock: bool) -> RecordChange:
    return RecordChange(SUBSCRIPTIONS.name, f"{uid}|{title}", {"workitem": uid, "ae": title, "lock": lock})


async def subscribe_all(ctx: PluginContext, title: str, *, lock: bool, keys: DicomJson | None) -> None:
    """Follow all that there are and will be; with keys, those that match. Raises TooCostly."""
    uid = GLOBAL if keys is None else FILTERED
    value = {"workitem": uid, "ae": title, "lock": lock, "keys": keys or {}}
    changes = [RecordChange(SUBSCRIPTIONS.name, f"{uid}|{title}", value)]
    async for item in matching(ctx, keys or {}, ctx.settings.ups_looked_at):
        changes.append(_followed(item.uid, title, lock))
        if len(changes) >= ctx.settings.ups_subscriptions:
            break
    for start in range(0, len(changes), _PAGE):
        await ctx.store.put(*changes[start : start + _PAGE])


async def unsubscribe(ctx: PluginContext, uid: str, title: str) -> None:
    """End a subscription; a global one with all that it made. Raises WorkitemRefused: there is none."""
    key = f"{uid}|{title}"
    if await ctx.store.get(SUBSCRIPTIONS.name, key) is None:
        raise WorkitemRefused(0xC307, 404, "There is no such subscription.")
    await ctx.store.put(RecordChange(SUBSCRIPTIONS.name, key, None))
    if uid in (GLOBAL, FILTERED):
        await _forget(ctx, [Where("ae", "=", title)])


async def suspend(ctx: PluginContext, uid: str, title: str) -> None:
    """Follow nothing that is still to come; what is followed stays so. Raises WorkitemRefused."""
    key = f"{uid}|{title}"
    if uid not in (GLOBAL, FILTERED) or await ctx.store.get(SUBSCRIPTIONS.name, key) is None:
        raise WorkitemRefused(0xC307, 404, "There is no such global subscription.")
    await ctx.store.put(RecordChange(SUBSCRIPTIONS.name, key, None))


async def _forget(ctx: PluginContext, where: Sequence[Where]) -> None:
    while page := await ctx.store.find(SUBSCRIPTIONS.name, where, limit=_PAGE):
        await ctx.store.put(*(RecordChange(SUBSCRIPTIONS.name, record.key, None) for record in page))


async def forget_workitem(ctx: PluginContext, uid: str) -> None:
    """End all subscriptions of a workitem that goes."""
    await _forget(ctx, [Where("workitem", "=", uid)])


async def is_locked(ctx: PluginContext, uid: str) -> bool:
    """Tell whether somebody wants a workitem kept."""
    found = await ctx.store.find(SUBSCRIPTIONS.name, [Where("workitem", "=", uid)], limit=_PAGE)
    return any(record.value["lock"] for record in found)


async def followers(ctx: PluginContext, item: Workitem) -> list[str]:
    """Return who is told of a workitem that is there."""
    found: list[str] = []
    after = None
    where = [Where("workitem", "=", item.uid)]
    while page := await ctx.store.find(SUBSCRIPTIONS.name, where, after=after, limit=_PAGE):
        found += [str(record.value["ae"]) for record in page]
        after = page[-1].key
    return found


async def newly_followed(ctx: PluginContext, item: Workitem) -> tuple[list[str], list[RecordChange]]:
    """Return who is told of a new workitem, with the subscriptions that global ones make for it."""
    titles: dict[str, bool] = {}
    for uid in (GLOBAL, FILTERED):
        for record in await ctx.store.find(SUBSCRIPTIONS.name, [Where("workitem", "=", uid)], limit=_PAGE):
            keys: Any = record.value["keys"]
            if matches(item.shown, keys):
                title = str(record.value["ae"])
                titles[title] = bool(record.value["lock"]) or titles.get(title, False)
    return list(titles), [_followed(item.uid, title, lock) for title, lock in titles.items()]

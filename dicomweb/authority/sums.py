"""Sums: what a user sees of a study within some minutes is one AuditEvent, with counts.

Thousands of frames of one study are one look at it. A mark is written before the first answer goes out, so an event
that is not made when the process dies is made at the next start; its counts are then those of the beginning.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dicomweb.index.collections import SEEN
from dicomweb.model.values import Found, Query
from fhir_server.plugin_api import AuditFacts, PluginContext, RecordChange

Key = tuple[str, str, str, str, str]
"""Tenant, grant, name of the caller, study, what was done."""
_MOST_PATIENTS = 100
_LONGEST = 1_000
_CODES = {"read": "read", "create": "create", "delete": "delete", "send": "read"}


@dataclass(slots=True)
class _Sum:
    ctx: PluginContext
    note: Callable[[AuditFacts], None]
    mark: str
    entity: str
    patient: str
    did: str
    since: int
    instances: int
    frames: int

    @property
    def event(self) -> AuditFacts:
        """The event as it stands."""
        return _event(self.did, self.entity, self.patient, self.instances, self.frames)


class Sums:
    """The sums of one process; `window` in milliseconds."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._open: dict[Key, _Sum] = {}

    def add(self, key: Key, now: int, instances: int, frames: int) -> bool:
        """Add to a sum. Tell whether there is one."""
        found = self._open.get(key)
        if found is None or now - found.since >= self._window:
            return False
        found.instances += instances
        found.frames += frames
        return True

    async def open(
        self, ctx: PluginContext, key: Key, entity: str, patient: str, instances: int, frames: int
    ) -> None:  # fmt: skip
        """Begin a sum; the one before, if any, is recorded. It is durable before this returns."""
        before = self._open.pop(key, None)
        mark = hashlib.sha256("\0".join((*key, str(ctx.now()))).encode()).hexdigest()
        made = _Sum(ctx, ctx.noting(), mark, entity, patient, key[4], ctx.now(), instances, frames)
        self._open[key] = made
        value: Mapping[str, Any] = {
            "caller": ctx.caller.name, "did": key[4], "entity": entity, "patient": patient,
            "instances": instances, "frames": frames, "since": made.since,
        }  # fmt: skip
        await ctx.store.put(RecordChange(SEEN.name, mark, value))
        if before is not None:
            await self._close(before)

    async def close(self) -> None:
        """Record all sums."""
        for key in list(self._open):
            await self._close(self._open.pop(key))

    async def close_over(self) -> None:
        """Record the sums whose time is over, by the clock of whoever they belong to."""
        for key in [key for key, each in self._open.items() if each.ctx.now() - each.since >= self._window]:
            await self._close(self._open.pop(key))

    async def recover(self, ctx: PluginContext) -> None:
        """Record what a process that died left open, as the plugin's: it names the caller."""
        limit = ctx.now() - 2 * self._window
        for record in await ctx.store.find(SEEN.name, limit=500):
            value: Mapping[str, Any] = record.value
            if int(value["since"]) < limit:
                event = _event(
                    value["did"], value["entity"], value["patient"], value["instances"], value["frames"],
                    f", at least, by {value['caller']}",
                )  # fmt: skip
                ctx.note(event)
                await ctx.store.put(RecordChange(SEEN.name, record.key, None))

    async def _close(self, each: _Sum) -> None:
        each.note(each.event)
        await each.ctx.store.put(RecordChange(SEEN.name, each.mark, None))


def _event(did: str, entity: str, patient: str, instances: int, frames: int, more: str = "") -> AuditFacts:
    said = f"dicomweb {did}: {instances} instances, {frames} frames{more}"
    return AuditFacts(
        _CODES.get(did, "read"), 200, entity, patients=(patient,) if patient else (), note=said
    )  # fmt: skip


def search_event(query: Query, found: Found) -> AuditFacts:
    """Return the event of a search: what was asked for, and about whom the answer is."""
    asked = "&".join(f"{tag}={value}" for tag, value in query.keys.items())
    within = "/".join(query.within.values())
    said = f"dicomweb/{within}{'/' if within else ''}{query.level}?{asked}"
    few = found.patients[:_MOST_PATIENTS]
    return AuditFacts(
        "search-type", 200, "ImagingStudy", patients=few, query="".join(filter(str.isprintable, said))[:_LONGEST],
        count=len(found.patients) if len(found.patients) > len(few) else 0,
    )  # fmt: skip

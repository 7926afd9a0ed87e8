"""Watch: goes over what the audit has recorded since it last looked, and writes down what its rules find.

It runs in one process. Where it stands is a record that is written in the same commit as what was found: after a kill,
rows are neither left out nor told twice. What rules count within a window is counted anew from the log then.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from fhir_audit.breaches import report
from fhir_audit.breaches.cases import Cases, Ration
from fhir_audit.breaches.counting import Bulk, FailedSignIns, OutOfHours
from fhir_audit.breaches.people import People
from fhir_audit.breaches.personal import Personal
from fhir_audit.breaches.seen import Finding, Seen, seen_of
from fhir_audit.breaches.telling import alarm, emergency, export
from fhir_audit.settings import AuditSettings
from fhir_server.plugin_api import (
    AuditEntry,
    AuditQuery,
    Beside,
    Busy,
    Collection,
    FhirError,
    PluginContext,
    RecordChange,
)

WATCH: Final = Collection("fhir_audit.watch")
_CURSOR: Final = "cursor"
_BATCH: Final = 1_000
_MOST_WARMED: Final = 200_000
"""Rows that are counted anew after a start; of busier hours a part is forgotten."""

_log = logging.getLogger("fhir_server.alerts")


@dataclass(slots=True)
class _At:
    """Where the watch stands: the last row it has seen, and the revision of the record that says so."""

    seq: int
    revision: int


class Watch:
    """The rules of one tenant, with what they have counted."""

    def __init__(self, settings: AuditSettings, zone: str) -> None:
        self._settings = settings
        self._zone: tzinfo = UTC if zone == "UTC" else ZoneInfo(zone)
        self._people = People(settings)
        self._ration = Ration(settings)
        self._seen = -1
        self._begin()

    def _begin(self) -> None:
        settings = self._settings
        self._counting = (Bulk(settings), OutOfHours(settings, self._zone), FailedSignIns(settings))
        self._telling = (emergency, alarm, export) if settings.bulk_exports else (emergency, alarm)
        self._personal = Personal(settings, self._people)

    async def look(self, ctx: PluginContext) -> None:
        """Look at all that is new. Raises FhirError: it could not be written; the next look begins there."""
        log = ctx.core.store.audit
        at = await self._at(ctx)
        if at.seq != self._seen:
            await self._warm_up(ctx, at.seq)
        size = await log.size()
        while at.seq < size:
            last = min(at.seq + _BATCH, size)
            findings = await self._judge(ctx, await log.span(at.seq + 1, last))
            self._seen = -1  # until it is written: what was counted must be counted once
            await self._keep(ctx, findings, at, last)
            at = _At(last, at.revision + 1)
            self._seen = last

    async def _at(self, ctx: PluginContext) -> _At:
        """Return where the last look ended; the first one begins with what is not older than a window."""
        record = await ctx.store.get(WATCH.name, _CURSOR)
        if record is not None:
            return _At(int(str(record.value["seq"])), record.revision)
        since = ctx.now() - self._settings.quiet * 1_000
        page = await ctx.core.store.audit.find(AuditQuery(since=since, ascending=True, count=1))
        return _At(page.entries[0].seq - 1 if page.entries else await ctx.core.store.audit.size(), 0)

    async def _warm_up(self, ctx: PluginContext, done: int) -> None:
        """Count again what lies within the windows of the rules."""
        self._begin()
        log = ctx.core.store.audit
        since = ctx.now() - max(self._settings.bulk_window, self._settings.login_window) * 1_000
        page = await log.find(AuditQuery(since=since, below=done + 1, ascending=True, count=1))
        if page.entries:
            for first in range(max(page.entries[0].seq, done - _MOST_WARMED), done + 1, _BATCH):
                for seen in self._relevant(await log.span(first, min(first + _BATCH - 1, done))):
                    for rule in self._counting:
                        rule.look(seen)

    def _relevant(self, entries: Sequence[AuditEntry]) -> list[Seen]:
        """Leave out what no rule is about, plugins at their own work and those who are exempt."""
        rows = [seen for entry in entries if (seen := seen_of(entry)) is not None]
        exempt = self._settings.exempt
        return [
            seen
            for seen in rows
            if not seen.agent.client.startswith("plugin:")
            and not (exempt and {seen.who, seen.agent.subject, f"app:{seen.agent.client}"} & set(exempt))
        ]

    async def _judge(self, ctx: PluginContext, entries: Sequence[AuditEntry]) -> list[Finding]:
        rows = self._relevant(entries)
        findings = [finding for seen in rows for rule in self._counting for finding in rule.look(seen)]
        findings += [finding for seen in rows for rule in self._telling for finding in rule(seen)]
        return findings + await self._personal.look(ctx.own, rows)

    async def _keep(self, ctx: PluginContext, findings: Sequence[Finding], at: _At, last: int) -> None:
        """Write what was found, and where to go on, in one commit."""
        cursor = RecordChange(WATCH.name, _CURSOR, {"seq": last}, expected=at.revision)
        cases = Cases(self._settings, ctx.core.settings.break_glass_life)
        for finding in findings:
            await cases.take(ctx.store, self._ration.of(finding))
        records = [cursor, *cases.records()]
        resources = cases.resources()
        for shown in (resources, [report.unlinked(each) for each in resources]) if resources else ():
            try:
                await ctx.own.transaction(report.put(shown), beside=Beside(records=records))
                return
            except FhirError as error:
                if error.status >= 500 or isinstance(error, Busy) or (await self._at(ctx)).revision != at.revision:
                    raise
                refusal = error
        if resources:
            # An alert is worth more than its resource: a record that refuses it must not silence the rules for ever.
            _log.error("alerts are kept without resources, which the record refuses: %s", refusal)
        await ctx.store.put(*records)

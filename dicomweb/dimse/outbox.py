"""Outbox: what is to be said or sent to others, kept until it is done; tried again, later each time.

An errand is a record, so it outlives the process; it is worked on in the one that leads.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from dicomweb.dimse.table import Ae
from dicomweb.dimse.tables import tables_of
from dicomweb.dimse.wire.faults import Ended
from dicomweb.settings import DicomSettings
from fhir_server.plugin_api import (
    Alert,
    Collection,
    Host,
    PluginContext,
    Record,
    RecordChange,
    RecordChanged,
    RecordField,
    UnknownPath,
    Where,
    raise_alert,
)

_log = logging.getLogger("dicomweb.dimse")
ERRANDS: Final = Collection("dicomweb.errands", (RecordField("due", "integer"), RecordField("to")))
_BATCH: Final = 100
_AT_ONCE: Final = 4
_LOOK: Final = 1.0
_WAKE: Final = "dimse.wake"


class NotYet(Exception):
    """What was to be done has not come about; the message says why. It is tried again, in `after` seconds at least."""

    def __init__(self, said: str, after: float = 0) -> None:
        super().__init__(said)
        self.after = after


@dataclass(frozen=True, slots=True)
class Errand:
    """Something to do: its kind, the AE that it is about, what it is about there, and the rule that it comes from."""

    kind: str
    to: str
    subject: str
    rule: str = ""

    @property
    def key(self) -> str:
        """Key of its record."""
        return f"{self.kind}|{self.to}|{self.rule}|{self.subject}"


Work = Callable[[Host, PluginContext, Ae, Errand], Awaitable[None]]


async def queue_errand(ctx: PluginContext, errand: Errand, after: float = 0) -> None:
    """Put an errand into the outbox; one that is there is done once more, if it is being done just now."""
    record = await ctx.store.get(ERRANDS.name, errand.key)
    since = record.value["since"] if record else ctx.now()
    await ctx.store.put(_change(errand, due=ctx.now() + int(after * 1_000), since=since, tries=0))
    _wake(ctx.host).set()


async def forget_errand(ctx: PluginContext, errand: Errand) -> None:
    """Take an errand out of the outbox, if it is there."""
    await ctx.store.put(RecordChange(ERRANDS.name, errand.key, None))


def _change(
    errand: Errand, *, due: int, since: Any, tries: int, error: str = "", expected: int | None = None
) -> RecordChange:
    value = {
        "kind": errand.kind, "to": errand.to, "subject": errand.subject, "rule": errand.rule,
        "due": due, "since": since, "tries": tries, "error": error,
    }  # fmt: skip
    return RecordChange(ERRANDS.name, errand.key, value, expected)


def _wake(host: Host) -> asyncio.Event:
    found: asyncio.Event = host.shared.setdefault(_WAKE, asyncio.Event())
    return found


class Outbox:
    """Works on errands for as long as `run` does; those to one AE one after the other.

    Args:
        work: what is done, by the kind of errand.
    """

    def __init__(self, host: Host, work: Mapping[str, Work]) -> None:
        self._host, self._work = host, work
        self._settings: DicomSettings = host.settings
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._away: dict[str, float] = {}
        """Until when nobody is called who could not be reached, by tenant and AE."""

    async def run(self) -> None:
        """Work, until cancelled."""
        wake = _wake(self._host)
        try:
            while True:
                wake.clear()
                await self._look()
                try:
                    async with asyncio.timeout(_LOOK):
                        await wake.wait()
                except TimeoutError:
                    continue
        finally:
            for task in self._busy.values():
                task.cancel()
            await asyncio.gather(*self._busy.values(), return_exceptions=True)

    async def _look(self) -> None:
        table = tables_of(self._host).now
        for tenant in sorted({"default", *(ae.tenant for ae in table.ae)}):
            try:
                ctx = await self._host.context(tenant)
            except UnknownPath:
                continue
            due = await ctx.store.find(ERRANDS.name, (Where("due", "<=", ctx.now()),), order="due", limit=_BATCH)
            by_ae: dict[str, list[Record]] = {}
            for record in due:
                by_ae.setdefault(str(record.value["to"]), []).append(record)
            for title, records in by_ae.items():
                self._begin(f"{tenant} {title}", ctx, records)

    def _begin(self, name: str, ctx: PluginContext, records: list[Record]) -> None:
        """Begin on the errands to an AE, unless somebody is on the way to it."""
        self._busy = {key: task for key, task in self._busy.items() if not task.done()}
        away = self._away.get(name, 0) > asyncio.get_running_loop().time()
        if name not in self._busy and not away and len(self._busy) < _AT_ONCE:
            self._busy[name] = asyncio.create_task(self._all(name, ctx, records))

    async def _all(self, name: str, ctx: PluginContext, records: list[Record]) -> None:
        for record in records:
            try:
                reached = await self._one(ctx, record)
            except Exception:  # one errand that cannot even be put off must not end the others
                _log.exception("an errand to %s has failed", record.value["to"])
                continue
            if not reached:  # the others to the same AE would fare no better
                self._away[name] = asyncio.get_running_loop().time() + self._settings.dimse_pause
                return
        _wake(self._host).set()

    async def _one(self, ctx: PluginContext, record: Record) -> bool:
        """Do one errand; tell whether its AE could be reached."""
        value: Mapping[str, Any] = record.value
        errand = Errand(value["kind"], value["to"], value["subject"], value["rule"])
        ae = tables_of(self._host).now.find(errand.to)
        work = self._work.get(errand.kind)
        try:
            if ae is None or work is None or not ae.port:
                raise NotYet("the table has no such AE with host and port")
            await work(self._host, ctx, ae, errand)
        except Exception as error:  # whatever it was: it is put off, and said
            await self._put_off(ctx, record, errand, error)
            return not isinstance(error, Ended)
        await _changed(ctx, RecordChange(ERRANDS.name, record.key, None, record.revision))
        return True

    async def _put_off(self, ctx: PluginContext, record: Record, errand: Errand, error: Exception) -> None:
        value: Mapping[str, Any] = record.value
        tries, since = int(value["tries"]) + 1, int(value["since"])
        _log.warning("%s to %s has failed (try %d): %s", errand.kind, errand.to, tries, error)
        if ctx.now() - since > self._settings.dimse_give_up * 1_000:
            said = f"{errand.kind} to {errand.to} was given up after {tries} tries; the log says what failed"
            raise_alert(Alert("undelivered-images", ctx.tenant, said, entity=f"AE/{errand.to}"))
            await _changed(ctx, RecordChange(ERRANDS.name, record.key, None, record.revision))
            return
        pause = min(self._settings.dimse_pause * 2 ** min(tries - 1, 20), self._settings.dimse_longest_pause)
        pause = max(pause, error.after if isinstance(error, NotYet) else 0)
        due = ctx.now() + int(pause * 1_000)
        await _changed(
            ctx, _change(errand, due=due, since=since, tries=tries, error=str(error)[:200], expected=record.revision)
        )


async def _changed(ctx: PluginContext, change: RecordChange) -> None:
    """Write the record of an errand, unless it was put in anew while it was worked on."""
    try:
        await ctx.store.put(change)
    except RecordChanged:
        return

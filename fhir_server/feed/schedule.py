"""Scheduler: scheduled work at its times, its last runs written down; in the process that leads."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from fhir_server.errors import FhirError
from fhir_server.feed.cron import Cron
from fhir_server.feed.feed import HOME, Host
from fhir_server.feed.scheduled import Scheduled
from fhir_server.settings import Settings
from fhir_server.storage.base import Collection, Record, RecordChange, Store, StoreError, StoreProvider
from fhir_server.telemetry.numbers import SCHEDULED

_log = logging.getLogger("fhir_server.schedule")
RUNS: Final = Collection("feed.schedule")
"""In the default tenant: the last run of each scheduled work."""

_LONGEST_SLEEP: Final = 600.0
"""Seconds; a clock that is set anew is noticed after so long."""

_INTERRUPTED: Final = 3
"""Times that a run may end with its process before it waits for its next time."""


@dataclass(frozen=True, slots=True)
class Run:
    """The last run of one scheduled work. Times are milliseconds since 1970 UTC, 0 for none.

    since: when it was first seen. interrupted: how often in a row its process ended before it did.
    written: with `written_only`, when each tenant had been written to, as of its last run there.
    """

    since: int
    state: str = "waiting"
    started: int = 0
    ended: int = 0
    next: int = 0
    error: str = ""
    interrupted: int = 0
    written: Mapping[str, float] = field(default_factory=dict)


class Scheduler:
    """Waits for the time of each scheduled work, and does it."""

    def __init__(
        self, stores: StoreProvider, host: Host, settings: Settings, now: Callable[[], int],
        scheduled: Sequence[Scheduled],
    ) -> None:  # fmt: skip
        names = [each.name for each in scheduled]
        if len(set(names)) != len(names):
            raise ValueError(f"two scheduled works are called {next(n for n in names if names.count(n) > 1)}")
        self.scheduled = tuple(scheduled)
        self._stores, self._host, self._settings, self._now = stores, host, settings, now
        zone = settings.default_timezone
        self._zone: tzinfo = UTC if zone == "UTC" else ZoneInfo(zone)

    async def run(self) -> None:
        """Do everything at its time until cancelled; in the process that leads."""
        if not self.scheduled:
            return
        async with self._host.held(HOME) as held:
            await held.store.declare(RUNS)
            async with asyncio.TaskGroup() as group:
                for scheduled in self.scheduled:
                    group.create_task(self._keep(held.store, scheduled))

    async def _keep(self, home: Store, scheduled: Scheduled) -> None:
        while True:
            try:
                run = await self._wait(home, scheduled)
                await self._once(home, scheduled, run)
            except StoreError as error:
                _log.warning("scheduled %s waits: %s", scheduled.name, error)
                await asyncio.sleep(self._settings.feed_fallback)

    async def _wait(self, home: Store, scheduled: Scheduled) -> Run:
        """Return at the time of the next run; at once where one was missed or cut off."""
        record = await home.records.get(RUNS.name, scheduled.name)
        run = read_run(record) if record else Run(self._now())
        if run.state == "running":
            run = replace(run, state="interrupted", interrupted=run.interrupted + 1)
        again = run.state == "interrupted" and run.interrupted < _INTERRUPTED
        due = self._now() if again else self.next_after(scheduled, run.started or run.since)
        await _put(home, scheduled, replace(run, next=due))
        while (left := (due - self._now()) / 1_000) > 0:  # noqa: ASYNC110  # of the clock, which may be set anew
            await asyncio.sleep(min(left, _LONGEST_SLEEP))
        return run

    def next_after(self, scheduled: Scheduled, moment: int) -> int:
        """Return the time of the run after a moment."""
        if scheduled.cron:
            return Cron.parse(scheduled.cron).after(moment, self._zone)
        return moment + round(scheduled.every * 1_000)

    async def _once(self, home: Store, scheduled: Scheduled, run: Run) -> None:
        started, before = self._now(), run.error
        run = replace(run, state="running", started=started, ended=0, error="", next=0)
        await _put(home, scheduled, run)
        if scheduled.each_tenant:
            error, written = await self._in_each(scheduled, run.written)
            run = replace(run, written=written)
        else:
            error = await self._in(scheduled, HOME)
        _report(scheduled, error, before)
        state = "failed" if error else "done"
        SCHEDULED.add(scheduled.name, state)
        due = self.next_after(scheduled, started)
        await _put(home, scheduled, replace(run, state=state, ended=self._now(), error=error, next=due, interrupted=0))

    async def _in_each(self, scheduled: Scheduled, before: Mapping[str, float]) -> tuple[str, Mapping[str, float]]:
        """Do it in each tenant; return what went wrong, and when each had been written to as it began."""
        errors, seen = [], {}
        for tenant in self._stores.tenants():
            written = self._stores.written(tenant)  # before the run: what is written during it is for the next one
            if scheduled.written_only and before.get(tenant) == written:
                seen[tenant] = written
            elif error := await self._in(scheduled, tenant):
                errors.append(f"{tenant}: {error}")
            elif scheduled.written_only:
                seen[tenant] = written
        return "; ".join(errors)[:500], seen

    async def _in(self, scheduled: Scheduled, tenant: str) -> str:
        """Do it in one tenant, unless it is not served; return what went wrong."""
        try:
            async with self._host.held(tenant):
                context = await self._host.context_of(tenant, scheduled.name)
                return await self._handled(scheduled, context)
        except (KeyError, FhirError) as error:
            _log.info("scheduled %s: tenant %s is not served", scheduled.name, tenant)
            return str(error)[:300] if tenant == HOME else ""

    async def _handled(self, scheduled: Scheduled, context: Any) -> str:
        limit = scheduled.timeout or self._settings.schedule_timeout
        try:
            async with asyncio.timeout(limit) as cut:
                await scheduled.handler(context)
        except TimeoutError:
            return f"it took longer than {limit:g} s" if cut.expired() else "TimeoutError"
        except Exception as error:  # the schedule outlives what it runs
            _log.debug("scheduled %s", scheduled.name, exc_info=True)
            return f"{type(error).__name__}: {error}"[:300]
        return ""


def _report(scheduled: Scheduled, error: str, before: str) -> None:
    """Log a failure once, not at each run that fails as the last one did; the record has the whole of it."""
    if error and error != before:
        _log.error("scheduled %s failed; see `fhir-server jobs schedule`", scheduled.name)


def read_run(record: Record) -> Run:
    """Return a stored run."""
    return msgspec.convert(dict(record.value), Run)


async def runs(home: Store) -> Mapping[str, Run]:
    """Return the last run of each scheduled work, by name."""
    await home.declare(RUNS)
    return {record.key: read_run(record) for record in await home.records.find(RUNS.name, limit=1_000)}


async def _put(home: Store, scheduled: Scheduled, run: Run) -> None:
    value: dict[str, Any] = {**asdict(run), "written": dict(run.written)}
    await home.commit((), (RecordChange(RUNS.name, scheduled.name, value),))

"""JobQueue: takes background jobs in their order, goes on with those whose process died, forgets old results; in the
process that leads."""

import asyncio
import logging
from contextlib import suppress
from typing import Final

from fhir_server.errors import FhirError
from fhir_server.jobs.endings import broken, forget
from fhir_server.jobs.job import JOBS, OPEN, Job, read_job
from fhir_server.jobs.marks import HOME, marked, unmark
from fhir_server.jobs.runner import RING, Runner
from fhir_server.jobs.running import Lost, claim
from fhir_server.resilience import Complaint
from fhir_server.storage.base import Record, Store, StoreError, StoreProvider, StoreUnavailable, Where

_log = logging.getLogger("fhir_server.jobs")
_PAGE: Final = 100
_LOOK_EVERY: Final = 600.0
"""Seconds between looks at what is old, and for rings that were lost."""
_AFTER_OUTAGE: Final = 3.0


class JobQueue:
    """The background jobs of all tenants."""

    def __init__(self, runner: Runner, stores: StoreProvider) -> None:
        self._runner, self._stores = runner, stores
        self._wanted: dict[str, None] = {}
        self._wake, self._complaint = runner.freed, Complaint()

    async def run(self) -> None:
        """Run jobs until cancelled."""
        async with self._stores.listen(self._heard), self._runner.host.held(HOME) as home:
            try:
                while True:
                    with suppress(StoreUnavailable):  # jobs that run go on, or wait for the store by themselves
                        self._wanted |= dict.fromkeys(await marked(home.store))
                        await self._until_all_seen(home.store)
                        continue
                    await asyncio.sleep(_AFTER_OUTAGE)
            finally:
                await self._runner.close(all_jobs=False)

    def _heard(self, ring: str) -> None:
        if ring.endswith(RING):
            self._wanted[ring.removesuffix(RING)] = None
            self._wake.set()

    async def _until_all_seen(self, home: Store) -> None:
        """Look at the tenants that are wanted, as they come; return when it is time to look at all."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_EVERY):
                while True:
                    self._wake.clear()
                    for tenant in tuple(self._wanted):
                        await self._look(home, tenant)
                    await self._wake.wait()

    async def _look(self, home: Store, tenant: str) -> None:
        """Begin what a tenant has waiting, as far as there is room; it stays wanted while something waits."""
        try:
            async with self._runner.host.held(tenant) as found:
                left, waits = await self._begin(found.store)
        except KeyError:
            left, waits = False, False  # the tenant is gone
        except (FhirError, StoreError) as error:
            if self._complaint.is_new():
                _log.warning("the jobs of tenant %s wait: %s", tenant, error)
            asyncio.get_running_loop().call_later(_AFTER_OUTAGE, self._wake.set)
            return
        self._complaint.well()
        if not waits:
            self._wanted.pop(tenant, None)
        if not left:
            await unmark(home, tenant)

    async def _begin(self, store: Store) -> tuple[bool, bool]:
        """Return whether the tenant has jobs at all, and whether some wait for room."""
        await self._runner.declare(store)
        await self._forget_old(store)
        waits, after = False, None
        while page := await store.records.find(JOBS.name, [Where("state", "in", OPEN)], after=after, limit=_PAGE):
            for record in page:
                waits = not await self._take(store, record) or waits
            after = page[-1].key
        return bool(await store.records.find(JOBS.name, limit=1)), waits

    async def _take(self, store: Store, record: Record) -> bool:
        """Begin a job if there is room; False if it has to wait."""
        job = read_job(record)
        if not job.background or job.id in self._runner.tasks:
            return True
        if not self._has_room(job):
            return False
        running = await claim(store, record, self._runner.name, self._runner.now)
        if running is None:
            return True
        if running.job.tries > self._runner.settings.job_tries:
            text = f"the process that ran job {job.id} ended {job.tries} times before it did"
            with suppress(Lost):
                await self._runner.give_up(running, *broken(job, text))
        else:
            self._runner.begin(running)
        return True

    def _has_room(self, job: Job) -> bool:
        kinds = self._runner.kinds
        most = self._runner.at_once(job)
        return kinds.total() < self._runner.settings.jobs_at_once and (not most or kinds[job.kind] < most)

    async def _forget_old(self, store: Store) -> None:
        before = self._runner.now() - self._runner.settings.job_life * 1_000
        old = [Where("ended", ">", 0), Where("ended", "<", before)]
        for record in await store.records.find(JOBS.name, old, limit=_PAGE):
            await forget(store, read_job(record), record.revision)

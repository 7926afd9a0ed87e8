"""Runs requests as jobs, and goes on with those whose process died.

Spec: https://hl7.org/fhir/R4/async.html
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from weakref import WeakSet

from fhir_server.context import Context
from fhir_server.errors import FhirError, Issue
from fhir_server.interactions.outcome import outcome
from fhir_server.jobs.answers import accepted, finished
from fhir_server.jobs.job import JOBS, LIFE, OPEN, Job, read_job
from fhir_server.jobs.running import Lost, Running, claim
from fhir_server.model.exchange import FhirRequest, FhirResponse
from fhir_server.storage.base import BlobChange, RecordChange, RecordChanged, Store, StoreError, Where

logger = logging.getLogger(__name__)
AT_ONCE = 2
"""Jobs that one process runs at the same time; more wait as `queued`."""
SCAN = 3.0
"""Seconds between looks for jobs whose process died."""
_PAGE = 100

Run = Callable[[Context, FhirRequest], Awaitable[FhirResponse]]


@dataclass(frozen=True, slots=True)
class Host:
    """What the runner needs of the server: a context for a stored request, the way to run one, all open stores."""

    context_of: Callable[[FhirRequest], Awaitable[Context]]
    run: Run
    stores: Callable[[], Sequence[Store]]


class Runner:
    """The jobs of one process."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self.name = secrets.token_hex(8)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._declared: WeakSet[Store] = WeakSet()
        self._stores: dict[str, Store] = {}
        self._looked_at: Store | None = None
        self._host: Host | None = None
        self._scan: asyncio.Task[None] | None = None

    def start(self, host: Host) -> None:
        """Begin to look for jobs whose process died."""
        self._host = host
        self._scan = asyncio.create_task(self._scan_forever())

    async def close(self) -> None:
        """Stop; what can be run again is left for another process, the rest is stalled."""
        tasks = [*self._tasks.values(), *([self._scan] if self._scan else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def submit(self, ctx: Context, request: FhirRequest) -> FhirResponse:
        """Run the request as a job; answer 202 at once."""
        job_id = ctx.new_id()
        await self.add(ctx, request, job_id)
        return accepted(ctx, job_id)

    async def add(self, ctx: Context, request: FhirRequest, job_id: str) -> bool:
        """Make and start a job. False if there is one of this id already."""
        await self.declare(ctx.store)
        job = Job(
            id=job_id,
            request=_alone(request).but(grant=ctx.caller.grant),
            caller=ctx.caller,
            created=self._now(),
            background=_background(ctx, request),
            owner=self.name,
        )
        running = Running(ctx.store, job, 0, self._now)
        try:
            await running.put()
        except Lost:
            return False
        self._go(running, ctx)
        return True

    def cancel(self, job_id: str) -> None:
        """Stop the work of a job whose record says that it is cancelled."""
        task = self._tasks.get(job_id)
        if task is not None:
            task.cancel()

    async def declare(self, store: Store) -> None:
        """Make the collection known, once for each store."""
        if store not in self._declared:
            await store.declare(JOBS)
            self._declared.add(store)

    def uses(self, store: Store) -> bool:
        """Tell whether a job of a store runs here, or is looked for."""
        return store is self._looked_at or any(one is store for one in self._stores.values())

    def _go(self, running: Running, ctx: Context) -> None:
        task = asyncio.create_task(self._work(running, ctx))
        self._tasks[running.job.id], self._stores[running.job.id] = task, running.store
        task.add_done_callback(lambda _: self._ended(running.job.id))

    def _ended(self, job_id: str) -> None:
        self._tasks.pop(job_id, None)
        self._stores.pop(job_id, None)

    async def _work(self, running: Running, ctx: Context) -> None:
        task = asyncio.current_task()
        assert task is not None
        beat = asyncio.create_task(running.beat(task))
        try:
            async with self._turn:
                await running.put(state="running")
                response, error = await self._answer(running, ctx)
                await _finish(running, self._now(), response, error)
        except Lost:
            logger.info("job %s is no longer ours", running.job.id)
        except asyncio.CancelledError:
            await _release(running)
            raise
        finally:
            beat.cancel()

    async def _answer(self, running: Running, ctx: Context) -> tuple[FhirResponse, str]:
        """Run the request; what is wrong with it is its answer."""
        assert self._host is not None
        inside = replace(ctx, progress=running.progress)
        try:
            return await self._host.run(inside, running.job.request), ""
        except FhirError as error:
            return FhirResponse(error.status, (outcome(error.issues),), headers=error.headers), str(error)
        except Exception:  # whatever it is, the job must end, and its client be told
            logger.exception("job %s failed", running.job.id)
            text = f"the server failed at this; job {running.job.id} in its log"
            return FhirResponse(500, (outcome([Issue(text, "exception")]),)), text

    async def _scan_forever(self) -> None:
        while True:
            assert self._host is not None
            for store in self._host.stores():
                if store not in self._host.stores():
                    continue  # its tenant was closed meanwhile
                self._looked_at = store
                try:
                    await self.scan(store)
                except StoreError:  # the next look may get through
                    logger.warning("jobs could not be looked for")
                finally:
                    self._looked_at = None
            await asyncio.sleep(SCAN)

    async def scan(self, store: Store) -> None:
        """Take over what is stalled and may be run again; forget results that are too old."""
        await self.declare(store)
        records = await store.records.find(JOBS.name, [Where("state", "in", OPEN)], limit=_PAGE)
        for job in map(read_job, records):
            if job.id in self._tasks:
                continue
            running = await claim(store, job.id, self.name, self._now)
            if running is not None:
                await self._resume(running)
        old = [Where("ended", ">", 0), Where("ended", "<", self._now() - LIFE)]
        for record in await store.records.find(JOBS.name, old, limit=_PAGE):
            await forget(store, read_job(record), record.revision)

    async def _resume(self, running: Running) -> None:
        assert self._host is not None
        ctx = await self._host.context_of(running.job.request)
        self._go(running, replace(ctx, caller=running.job.caller))


async def forget(store: Store, job: Job, revision: int) -> None:
    """Delete a job and its result."""
    blobs = (BlobChange(job.blob, attach=False),) if job.blob else ()
    with suppress(RecordChanged):
        await store.commit((), (RecordChange(JOBS.name, job.id, None, expected=revision),), blobs)


async def _finish(running: Running, now: int, response: FhirResponse, error: str) -> None:
    state = "failed" if response.status >= 500 or (error and running.job.background) else "done"
    body = finished(running.job, response)
    blob = await running.store.blobs.stage(_chunks(body)) if body else None
    await running.put(
        (BlobChange(blob.id, attach=True),) if blob else (),
        state=state,
        ended=now,
        status=response.status,
        blob=blob.id if blob else "",
        headers=dict(response.headers) if running.job.background else {},
        media_type=(response.media_type or "") if running.job.background else "",
        error=error,
    )


async def _chunks(body: bytes):  # type: ignore[no-untyped-def]  # an async generator of one chunk
    yield body


async def _release(running: Running) -> None:
    """Leave the job for another process: without a sign of life it is stalled at once."""
    with suppress(Lost, StoreError):
        await running.put(state="stalled", owner="")


def _alone(request: FhirRequest) -> FhirRequest:
    """Return the request without its wish to be a job."""
    kept = [part for part in request.headers.get("prefer", "").split(",") if part.strip().lower() != "respond-async"]
    return request.but(headers={**request.headers, "prefer": ",".join(kept)})


def _background(ctx: Context, request: FhirRequest) -> bool:
    if request.interaction != "operation":
        return False
    level = "instance" if request.id else "type" if request.type else "system"
    operation = ctx.operations.find(request.operation or "", request.type, level)  # type: ignore[arg-type]  # a Level
    return operation is not None and operation.background

"""Runs requests as jobs: those that must run where they were asked here, the others wherever background work runs.

Spec: https://hl7.org/fhir/R4/async.html
"""

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol
from weakref import WeakSet

from fhir_server.context import Context, Level, Operation, Operations
from fhir_server.errors import FhirError
from fhir_server.jobs.answers import accepted, finished
from fhir_server.jobs.endings import ending, failed, refused
from fhir_server.jobs.job import JOBS, Job
from fhir_server.jobs.marks import mark
from fhir_server.jobs.running import Lost, Running
from fhir_server.model.exchange import FhirRequest, FhirResponse
from fhir_server.settings import Settings
from fhir_server.storage.base import BlobChange, Store, StoreError, StoreUnavailable
from fhir_server.telemetry.numbers import JOB_SECONDS, JOBS_ENDED

logger = logging.getLogger(__name__)
RING = "+"
"""Ends the ring that says that a tenant has a job to run."""

_FINISH_WITHIN = 5.0
"""Seconds that jobs which no other process can go on with have to end when this one stops."""

Run = Callable[[Context, FhirRequest], Awaitable[FhirResponse]]


class HasStore(Protocol):
    """A tenant that is kept open."""

    @property
    def store(self) -> Store:
        """Its store, which has its jobs."""


@dataclass(frozen=True, slots=True)
class Host:
    """What the runner needs of the server: a context for a stored request, the way to run one, tenants kept open, and
    the way to have background work looked at."""

    context_of: Callable[[FhirRequest], Awaitable[Context]]
    run: Run
    held: Callable[[str], AbstractAsyncContextManager[HasStore]]
    ring: Callable[[str], None]
    operations: Operations


class Runner:
    """The jobs of one process."""

    def __init__(self, now: Callable[[], int], settings: Settings) -> None:
        self.now, self.settings = now, settings
        self.name = secrets.token_hex(8)
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.kinds: Counter[str] = Counter()
        """How many background jobs of each kind run here."""
        self.freed = asyncio.Event()
        """Set when one of them has ended."""
        self._turn = asyncio.Semaphore(settings.jobs_at_once)
        self._declared: WeakSet[Store] = WeakSet()
        self._stores: dict[str, Store] = {}
        self._claimed: set[str] = set()
        self._host: Host | None = None

    @property
    def host(self) -> Host:
        """The server around it."""
        assert self._host is not None
        return self._host

    def start(self, host: Host) -> None:
        """Run jobs from now on."""
        self._host = host

    async def close(self, *, all_jobs: bool = True) -> None:
        """Stop; what can be run again is left for another process, the rest is given some seconds, then stalled."""
        own = [task for id_, task in self.tasks.items() if id_ not in self._claimed]
        if all_jobs and own:
            await asyncio.wait(own, timeout=_FINISH_WITHIN)
        tasks = [task for id_, task in self.tasks.items() if all_jobs or id_ in self._claimed]
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
        background = _is_background(ctx, request)
        job = Job(
            id=job_id,
            request=_alone(request).but(grant=ctx.caller.grant),
            caller=ctx.caller,
            created=self.now(),
            background=background,
            kind=f"${request.operation}" if request.interaction == "operation" else request.interaction,
            owner="" if background else self.name,
        )
        running = Running(ctx.store, job, 0, self.now)
        try:
            if background:
                await mark(self.host.held, request.tenant)
            await running.put()
        except Lost:
            return False
        if background:
            self.host.ring(f"{request.tenant}{RING}")
        else:
            self._go(running, self._in_turn(running, ctx))
        return True

    def cancel(self, job_id: str) -> None:
        """Stop the work of a job whose record says that it is cancelled."""
        task = self.tasks.get(job_id)
        if task is not None:
            task.cancel()

    async def declare(self, store: Store) -> None:
        """Make the collection known, once for each store."""
        if store not in self._declared:
            await store.declare(JOBS)
            self._declared.add(store)

    def uses(self, store: Store) -> bool:
        """Tell whether a job of a store runs here."""
        return any(one is store for one in self._stores.values())

    def begin(self, running: Running) -> None:
        """Run a background job that this process has claimed."""
        self.kinds[running.job.kind] += 1
        self._claimed.add(running.job.id)
        self._go(running, self._stored(running))
        self.tasks[running.job.id].add_done_callback(lambda _: self._free(running.job.kind))

    def _free(self, kind: str) -> None:
        self.kinds[kind] -= 1
        self.freed.set()

    def _go(self, running: Running, work: Any) -> None:
        task = asyncio.create_task(work)
        self.tasks[running.job.id], self._stores[running.job.id] = task, running.store
        task.add_done_callback(lambda _: self._ended(running.job.id))

    def _ended(self, job_id: str) -> None:
        self.tasks.pop(job_id, None)
        self._stores.pop(job_id, None)
        self._claimed.discard(job_id)

    async def _stored(self, running: Running) -> None:
        """Run a job as its record has it; one that may not run any more ends as failed."""
        job = running.job
        try:
            async with self.host.held(job.request.tenant):
                ctx = replace(await self.host.context_of(job.request), caller=job.caller, job=running)
                await self._work(running, ctx)
        except KeyError:
            logger.info("job %s: its tenant is gone", job.id)
        except FhirError as error:
            response, said = refused(error)
            with suppress(Lost, StoreError):
                await self._finish(running, response, said)
        except StoreError as error:
            logger.warning("job %s waits: %s", job.id, error)
            await running.release_at_last()

    async def _in_turn(self, running: Running, ctx: Context) -> None:
        await self._work(running, ctx, self._turn)

    async def _work(self, running: Running, ctx: Context, turn: asyncio.Semaphore | None = None) -> None:
        task = asyncio.current_task()
        assert task is not None
        beat = asyncio.create_task(running.beat(task))
        try:
            async with turn or asyncio.Semaphore():
                await running.put(state="running")
                with JOB_SECONDS.timed(running.job.kind):
                    response, error = await self._answer(running, ctx)
                await self._finish(running, response, error)
        except Lost:
            logger.info("job %s is no longer ours", running.job.id)
        except asyncio.CancelledError:
            await running.release()
            raise
        finally:
            beat.cancel()

    async def _answer(self, running: Running, ctx: Context) -> tuple[FhirResponse, str]:
        """Run the request; what is wrong with it is its answer."""
        inside = replace(ctx, progress=running.progress)
        try:
            return await self.host.run(inside, running.job.request), ""
        except FhirError as error:
            if running.job.background and isinstance(error.__cause__, StoreUnavailable):
                raise error.__cause__ from None  # it goes on when the store is back
            return refused(error)
        except Lost:
            raise
        except StoreUnavailable:
            if running.job.background:
                raise
            logger.exception("job %s failed", running.job.id)
            return failed(running.job)
        except Exception:  # whatever it is, the job must end, and its client be told
            logger.exception("job %s failed", running.job.id)
            return failed(running.job)

    async def give_up(self, running: Running, response: FhirResponse, error: str) -> None:
        """End a job that is not run again. Raises Lost."""
        await self._finish(running, response, error)

    def at_once(self, job: Job) -> int:
        """Return how many jobs of its kind run at the same time; 0: as many as jobs may."""
        operation = _operation(self.host.operations, job.request)
        return operation.at_once if operation is not None else 0

    async def _finish(self, running: Running, response: FhirResponse, error: str) -> None:
        try:
            blob = await running.store.blobs.stage(finished(running.job, response))
        except Exception:  # the stream of an answer broke off; what it is, nobody knows
            if response.stream is None:
                raise
            logger.exception("job %s failed while it was answered", running.job.id)
            response, error = failed(running.job)
            blob = await running.store.blobs.stage(finished(running.job, response))
        fields = ending(running.job, response, error, blob)
        await running.put((BlobChange(blob.id, attach=True),) if blob.size else (), **fields, ended=self.now())
        JOBS_ENDED.add(running.job.kind, fields["state"])


def _alone(request: FhirRequest) -> FhirRequest:
    """Return the request without its wish to be a job."""
    kept = [part for part in request.headers.get("prefer", "").split(",") if part.strip().lower() != "respond-async"]
    return request.but(headers={**request.headers, "prefer": ",".join(kept)})


def _is_background(ctx: Context, request: FhirRequest) -> bool:
    operation = _operation(ctx.operations, request)
    return operation is not None and operation.background


def _operation(operations: Operations, request: FhirRequest) -> Operation | None:
    if request.interaction != "operation":
        return None
    level: Level = "instance" if request.id else "type" if request.type else "system"
    return operations.find(request.operation or "", request.type, level)

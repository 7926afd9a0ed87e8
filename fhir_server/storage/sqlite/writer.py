"""The writer of one process: a thread that commits in groups, when it is the process's turn."""

import asyncio
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final, TypeVar

import apsw

from fhir_server.settings import Settings
from fhir_server.storage.base import StorageDamaged, StorageFull, StoreError
from fhir_server.storage.sqlite.archive.capture import Capture
from fhir_server.storage.sqlite.checkpoints import Checkpoints
from fhir_server.storage.sqlite.connection import connect, faults, fetch, size_of
from fhir_server.storage.sqlite.files import rewrite
from fhir_server.storage.sqlite.generation import Generation
from fhir_server.storage.sqlite.group import Around, Group, Outcome, Work
from fhir_server.storage.sqlite.health import TOLERATED, ClockWatch, Health
from fhir_server.storage.sqlite.interning import Interning
from fhir_server.storage.sqlite.jobs import Checkpoint, Job, Task, answer
from fhir_server.storage.sqlite.reserve import Reserve
from fhir_server.storage.sqlite.turn import Turn
from fhir_server.telemetry.numbers import GROUP_COMMITS, GROUP_SECONDS, TURN_SECONDS

T = TypeVar("T")

GROUP_CHANGES: Final = 2_000  # resources after which a group is closed: bounds how long others wait for their turn
SWITCH: Final = 0.0002  # seconds
WAITING: Final = 4  # groups that may wait; beyond, `commit` waits before it queues


class Writer:
    """Takes jobs from any event loop of the process, commits them in groups, and answers."""

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        clock: Callable[[], int],
        around: Around,
    ) -> None:
        self._settings, self._clock, self._around = settings, clock, around
        self._turn = Turn(folder)
        self._reserve = Reserve(folder, settings.reserve_bytes)
        self._watch = ClockWatch(settings.clock_skew)
        self._fault = ""
        self._record = folder / "record.db"
        self._generation = Generation(folder, settings)
        self._capture = Capture(folder, settings, clock)
        self._open()
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._room = asyncio.Semaphore(WAITING * settings.group_commit)
        # The thread wins the interpreter back after each statement; at the default of 5 ms a busy loop starves it
        # (measured: 4,000-7,500 resources/s beside a thread that computes, 16,400 at 0.2 ms).
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH))
        self._thread = Thread(target=self._run, name="sqlite-writer", daemon=True)
        self._thread.start()

    async def submit(self, work: Work | Task | Checkpoint) -> Any:
        """Queue a commit (answered by its Outcome) or a task (by its result) and wait for the answer."""
        async with self._room:
            job = Job(work)
            timer = job.loop.call_later(self._settings.lock_timeout, job.give_up)
            self._queue.put(job)
            try:
                return await job.future
            finally:
                job.claim()  # a caller that went away before its turn writes nothing
                timer.cancel()

    async def checkpoint(self, *, anew: bool = False) -> None:
        """Move all of the log file into the record, which is written anew first if asked, and cut it to nothing."""
        await self.submit(Checkpoint(anew=anew))

    @property
    def waiting(self) -> int:
        """How many wait for the thread."""
        return self._queue.qsize()

    def health(self) -> Health:
        """Return what the last write saw."""
        return Health(self._watch.behind, self._watch.ahead, self._reserve.laid_by(), self._fault)

    async def close(self) -> None:
        """Write what waits and end the thread."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while job := self._queue.get():
            began = time.perf_counter()
            with self._turn.taken():
                TURN_SECONDS.observe(time.perf_counter() - began)
                jobs, end = self._gather(job)
                self._renew()
                while jobs:
                    answer(self._next(jobs))
                self._checkpoints.copy_rest(self._connection)
            if end:
                break
        self._checkpoints.close()
        with self._turn.taken():
            self._copy_all()
        self._capture.close()
        self._connection.close()
        self._generation.close()
        self._turn.close()

    def _open(self) -> None:
        self._opened = self._generation()
        bodies = self._around.sealer.bodies
        self._connection = connect(self._record, self._settings, writer=True, bodies=bodies)
        self._checkpoints = Checkpoints(self._record, self._settings, self._reserve)
        self._connection.set_wal_hook(self._checkpoints.committed)
        self.interning = Interning(self._connection, bodies)
        self._epoch: object = None

    def _renew(self) -> None:
        """Open the record anew where a rotation of keys has put another file in its place."""
        if self._opened != self._generation():
            self._checkpoints.close()
            self._connection.close()
            self._open()

    def _copy_all(self) -> None:
        """Leave a record without a log file, unless that would fill the disk or others still read."""
        with suppress(apsw.Error):
            self._connection.set_busy_timeout(100)
            if self._reserve.room_to_grow(self._record, size_of(self._connection)):
                self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)

    def _gather(self, first: Job) -> tuple[list[Job], bool]:
        """Take all who wait, up to the size of a group; the flag says that the end was among them."""
        jobs, changes, job = [], 0, first
        while True:
            if job.claim():
                jobs.append(job)
                changes += len(job.work.changes) if isinstance(job.work, Work) else 0
            if changes >= GROUP_CHANGES or len(jobs) >= self._settings.group_commit:
                return jobs, False
            try:
                waiting = self._queue.get_nowait()
            except Empty:
                return jobs, False
            if waiting is None:
                return jobs, True
            job = waiting

    def _next(self, jobs: list[Job]) -> list[tuple[Job, Any]]:
        """Run the commits at the head of the list as a group, or the one task there, and take them off."""
        if not isinstance(jobs[0].work, Work):
            job = jobs.pop(0)
            return [(job, self._task(job))]
        size = next((at for at, job in enumerate(jobs) if not isinstance(job.work, Work)), len(jobs))
        group = jobs[:size]
        del jobs[:size]
        return list(zip(group, self._group([job.work for job in group]), strict=True))  # type: ignore[misc]

    def _task(self, job: Job) -> Any:
        try:
            if isinstance(job.work, Checkpoint):
                with faults(self._record.parent.name):
                    if job.work.anew:
                        rewrite(self._record, self._settings)
                    return self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            return self._transaction(job.work)  # type: ignore[arg-type]
        except Exception as error:  # the caller gets it; the writer lives on
            return error

    def _group(self, works: list[Work]) -> list[Outcome | Exception]:
        now = self._now()
        try:
            self._need_reserve()
            with GROUP_SECONDS.timed():
                outcomes = self._transaction(
                    lambda connection: Group(connection, self.interning, self._around, self._watch).run(works, now)
                )
            GROUP_COMMITS.observe(len(works))
        except StorageDamaged as error:
            if len(works) > 1:
                return [self._group([work])[0] for work in works]  # it may be one resource that is damaged
            return [error]
        except StoreError as error:
            self._failed(error)
            return [error] * len(works)
        except Exception as error:  # the caller gets it; the writer lives on
            if len(works) == 1:
                return [error]
            return [self._group([work])[0] for work in works]  # so that one bad request hurts no other
        for outcome in outcomes:
            if outcome.attached or outcome.released:
                self._around.files.settle(outcome.attached, outcome.released)
        self._fault = ""
        return list(outcomes)

    def _now(self) -> int:
        """Return the clock. Where groups followed each other within a millisecond for long, let it catch up."""
        now = self._clock()
        if TOLERATED // 2 < self._watch.log_time - now < TOLERATED:
            time.sleep(0.001)
            now = self._clock()
        return now

    def _need_reserve(self) -> None:
        if not self._reserve.lay_by():
            raise StorageFull(f"only {self._reserve.free()} bytes are free; what is kept in reserve is for reads")

    def _failed(self, error: StoreError) -> None:
        if isinstance(error, StorageFull):
            self._reserve.give_up()
        self._fault = str(error)

    def _transaction(self, run: Callable[[apsw.Connection], T]) -> T:
        connection = self._connection
        try:
            with faults(self._record.parent.name):
                connection.execute("BEGIN IMMEDIATE")
                self._check_epoch()
                self._capture.begin(connection)
                result = run(connection)
                self._capture.end(connection)
                connection.execute("COMMIT")
                return result
        except BaseException:
            self.interning.forget()  # ids made in this transaction do not exist
            self._around.sealer.forget()
            self._capture.rolled_back()
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _check_epoch(self) -> None:
        epoch = fetch(self._connection, "SELECT value FROM meta WHERE key='epoch'")
        if epoch != self._epoch:
            self.interning.forget()
            self._around.sealer.forget()
            self._epoch = epoch

"""What waits for the writer: jobs that are answered on the event loop they came from."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

import apsw

from fhir_server.storage.base import WriteBusy
from fhir_server.storage.sqlite.group import Work

Task = Callable[[apsw.Connection], Any]


class Checkpoint:
    """The wish to move the log file into the record, which no transaction can do; `anew`: into one written anew."""

    __slots__ = ("anew",)

    def __init__(self, *, anew: bool = False) -> None:
        self.anew = anew


class Job:
    """A commit, a task that runs alone in a write transaction, or a checkpoint, and the future of its answer."""

    __slots__ = ("_claims", "future", "loop", "work")

    def __init__(self, work: Work | Task | Checkpoint) -> None:
        self.work = work
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        self._claims = count()

    def claim(self) -> bool:
        """Take the job, to run it or to give it up; True for the first who asks, on whatever thread."""
        return next(self._claims) == 0

    def give_up(self) -> None:
        """Answer `WriteBusy` unless the writer has begun."""
        if self.claim() and not self.future.done():
            self.future.set_exception(WriteBusy("the turn to write did not come in time"))


def answer(results: Iterable[tuple[Job, Any]]) -> None:
    """Give each job its result or exception, with one wake-up of each event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Job, Any]]] = defaultdict(list)
    for job, result in results:
        by_loop[job.loop].append((job, result))
    for loop, rows in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_deliver, rows)


def _deliver(rows: list[tuple[Job, Any]]) -> None:
    for job, result in rows:
        if job.future.done():  # nobody waits any more
            continue
        if isinstance(result, Exception):
            job.future.set_exception(result)
        else:
            job.future.set_result(result)

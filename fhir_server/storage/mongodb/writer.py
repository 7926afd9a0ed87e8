"""The queue of one store: commits that wait for the turn share it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass, field
from typing import Final

from pymongo import AsyncMongoClient

from fhir_server.resilience import note_write, time_left
from fhir_server.storage.base import (
    CommitResult,
    StorageFault,
    StoreError,
    StoreUnavailable,
    WriteBusy,
)
from fhir_server.storage.mongodb.document import Document
from fhir_server.storage.mongodb.groups import Groups, Waiting
from fhir_server.storage.mongodb.planning import Wish
from fhir_server.storage.mongodb.rows import Snapshot
from fhir_server.storage.mongodb.turns import Turns
from fhir_server.telemetry.numbers import GROUP_COMMITS, GROUP_SECONDS

_ROWS_OF_GROUP: Final = 5_000
"""Changes of a group; a commit that is larger alone is a group of its own."""
_UNTIDY: Final = 1.0
"""Seconds until what a broken turn left is looked at again."""


@dataclass(slots=True)
class Writer:
    """Queues the commits of one process to one store. `written` is called once something has changed."""

    groups: Groups
    written: Callable[[], None]
    _queue: list[Waiting] = field(default_factory=list)
    _working: asyncio.Task[None] | None = None
    _closing: bool = False
    _asked: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Hear when the server is gone."""
        self.groups.guard.breaker.when_turned(self._turned)

    @property
    def client(self) -> AsyncMongoClient[Document]:
        """The client of the store."""
        return self.groups.client

    @property
    def turns(self) -> Turns:
        """The turns to write."""
        return self.groups.turns

    @property
    def reading(self) -> Snapshot:
        """The base of what a turn reads, which is the primary."""
        return self.groups.reading

    async def write(self, wish: Wish) -> CommitResult:
        """Write one commit. A caller who is cancelled leaves it unknown whether it was stored.

        Raises:
            WriteBusy: as many writes wait as may; nothing is stored.
            StoreUnavailable: it says whether it is stored.
        """
        self.groups.guard.admit()
        if len(self._queue) >= self.groups.settings.store_queue:
            raise WriteBusy("as many writes wait as may")
        waiting = Waiting(wish, asyncio.get_running_loop().create_future())
        waiting.done.add_done_callback(_seen)
        self._queue.append(waiting)
        self._asked.set()
        self._start()
        result = await self._answer(waiting)
        note_write()
        return result

    def _start(self) -> None:
        if self._working is None or self._working.done():
            # Not in the context of whoever comes first, for its deadline is not that of all others.
            self._working = asyncio.get_running_loop().create_task(self._work(), context=Context())

    async def _answer(self, waiting: Waiting) -> CommitResult:
        try:
            async with asyncio.timeout(time_left(self.groups.settings.store_deadline)) as cut:
                return await asyncio.shield(waiting.done)
        except TimeoutError as error:
            if not cut.expired():
                raise
            if waiting in self._queue:
                self._queue.remove(waiting)
                raise self.groups.guard.given_up() from error
            raise StoreUnavailable("the write was not confirmed in time") from error

    def _turned(self, is_open: bool) -> None:
        """Let nobody wait for a server that does not answer."""
        if is_open:
            queue, self._queue[:] = list(self._queue), []
            for waiting in queue:
                if not waiting.done.done():
                    waiting.done.set_exception(self.groups.guard.given_up())

    async def close(self) -> None:
        """Finish what is waiting."""
        self.groups.guard.breaker.forget(self._turned)
        self._closing = True
        self._asked.set()
        if self._working is not None:
            await asyncio.gather(self._working, return_exceptions=True)
        await self.groups.close()

    async def _work(self) -> None:
        while self._queue or (self.groups.untidy and not self._closing):
            if not self._queue:
                await self._tidy()
                continue
            group = self._next_group()
            try:
                with GROUP_SECONDS.timed():
                    await self.groups.write(group, self._put_back)
                GROUP_COMMITS.observe(len(group))
            except BaseException as error:
                for waiting in group:
                    if not waiting.done.done():
                        waiting.done.set_exception(error if isinstance(error, Exception) else WriteBusy("stopped"))
                if not isinstance(error, Exception):
                    raise
                continue
            self._tell(group)

    async def _tidy(self) -> None:
        """Mend what a turn that broke off left, even if nobody writes: others wait for it until its lease is over."""
        self._asked.clear()
        try:
            await self.groups.tidy()
        except StoreError:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), _UNTIDY)

    def _put_back(self, waiting: list[Waiting]) -> None:
        self._queue[:0] = waiting

    def _next_group(self) -> list[Waiting]:
        group: list[Waiting] = []
        rows = 0
        while self._queue and len(group) < self.groups.settings.group_commit:
            rows += len(self._queue[0].wish.changes)
            if group and rows > _ROWS_OF_GROUP:
                break
            group.append(self._queue.pop(0))
        return group

    def _tell(self, group: list[Waiting]) -> None:
        changed = False
        for waiting in group:
            outcome = waiting.outcome
            if waiting.done.done():
                continue
            if isinstance(outcome, CommitResult):
                changed = changed or any(each.changed for each in outcome.written)
                waiting.done.set_result(outcome)
            else:
                waiting.done.set_exception(outcome or StorageFault("the write came to nothing"))
        if changed:
            self.written()


def _seen(done: "asyncio.Future[CommitResult]") -> None:
    """Whoever asked may have given up waiting."""
    if not done.cancelled():
        done.exception()

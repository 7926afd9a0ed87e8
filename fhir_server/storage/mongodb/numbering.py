"""Gives the audit rows that wait their numbers: what waits of all processes in one turn, once in an interval.

Any process may do it, and no harm is done where two do: a turn takes groups into the log and removes them from those
that wait in one transaction, which moves the head.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass, field
from typing import Final

from fhir_server.resilience import Complaint
from fhir_server.storage.audit import AuditRow
from fhir_server.storage.base import StoreError
from fhir_server.storage.mongodb.waiting import Waiting
from fhir_server.telemetry.numbers import AUDIT_FAILURES, AUDIT_NUMBERINGS, AUDIT_UNNUMBERED, AUDIT_UNNUMBERED_AGE
from fhir_server.telemetry.sharing import Sampled, sample_by

_log = logging.getLogger("fhir_server.audit")

_PAUSE: Final = 1.0
"""Seconds between looks where rows wait no more."""
_TURNS: Final = 20
"""Turns between two looks at what is left, where there is much."""


@dataclass(frozen=True, slots=True)
class _Noted:
    """A group of this process: its number, how many rows, and when it was stored, by the monotonic clock."""

    number: int
    rows: int
    at: float


@dataclass(eq=False)
class Numbering:
    """Numbers what waits in one store.

    Args:
        turn: takes a turn that numbers what waits, and tells whether there is more. clock: milliseconds since 1970 UTC.
        patience: seconds that closing may take. interval: seconds; 0: rows do not wait here.
    """

    waiting: Waiting
    turn: Callable[[], Awaitable[bool]]
    clock: Callable[[], int]
    patience: float
    interval: float = 0.0
    _noted: deque[_Noted] = field(default_factory=deque)
    _left: bool = False
    _task: asyncio.Task[None] | None = None
    _closing: asyncio.Event = field(default_factory=asyncio.Event)
    _complaint: Complaint = field(default_factory=Complaint)

    def __post_init__(self) -> None:
        """Have it told how much waits."""
        sample_by(self._sampled)

    async def note(self, rows: Sequence[AuditRow]) -> None:
        """Have rows wait for their numbers. Raises StoreError: as `Waiting.put`."""
        number = await self.waiting.put(rows, self.clock())
        self._noted.append(_Noted(number, len(rows), time.monotonic()))
        self._start()

    async def begin(self, interval: float) -> None:
        """Have rows wait from now on, and see that what others have left when they ended is numbered too."""
        self.interval = interval
        self._left = bool(await self.waiting.names())
        if self._left:
            self._start()

    async def catch_up(self) -> None:
        """Number all that was stored before. Raises StoreError: some of it has no number yet."""
        left = await self.waiting.names()
        while left:
            for _ in range(_TURNS):
                if not await self._turn():
                    break
            left &= await self.waiting.names()

    async def close(self) -> None:
        """Number what this process has noted, if that can be done now: it is stored and can wait for others."""
        self._closing.set()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        if self._noted:
            with suppress(StoreError, TimeoutError):
                async with asyncio.timeout(self.patience):
                    await self._turn()

    async def _turn(self) -> bool:
        """Number what waits, as far as one turn takes it; tell whether there is more."""
        more = await self.turn()
        AUDIT_NUMBERINGS.add()
        return more

    def _start(self) -> None:
        if self._task is None or self._task.done():
            # Not in the context of whoever comes first, for its deadline is not that of all others.
            self._task = asyncio.get_running_loop().create_task(self._run(), context=Context())

    async def _run(self) -> None:
        """Look once in an interval, for as long as rows of this process wait."""
        seen = -1
        while (self._noted or self._left) and not self._closing.is_set():
            try:
                seen = await self._look(seen)
                self._complaint.well()
            except StoreError as error:
                AUDIT_FAILURES.add("number")
                if self._complaint.is_new():
                    _log.error("audit rows wait for their numbers, which cannot be given now: %s", error)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), self.interval or _PAUSE)

    async def _look(self, seen: int) -> int:
        """Number what waits, unless somebody has done so since the last look; return how often that was done."""
        numbered, claims = await self.waiting.marks()
        while self._noted and self._noted[0].number <= numbered:
            self._noted.popleft()
        if claims != seen:
            return claims
        if (self._noted or self._left) and await self.waiting.claim(claims):
            while await self._turn() and not self._closing.is_set():
                pass
            self._left = False
            return claims + 1
        return claims

    def _sampled(self) -> Iterator[Sampled]:
        yield AUDIT_UNNUMBERED, sum(each.rows for each in self._noted), ()
        if self._noted:
            yield AUDIT_UNNUMBERED_AGE, time.monotonic() - self._noted[0].at, ()

"""Recorder: what this process has to record, written to the store at most 50 ms later.

What belongs to a write goes with its commit and never comes here. Refused requests of nobody are summed up by address
and minute, so that a flood of them cannot fill the disk.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from fhir_server.audit.events import REFUSED, SIGN_IN, Agent, Event, agent_text, row_of
from fhir_server.errors import Busy
from fhir_server.resilience import Complaint
from fhir_server.storage.audit import AuditLog, AuditRow
from fhir_server.storage.base import StoreError
from fhir_server.telemetry.numbers import AUDIT_FAILURES, AUDIT_ROWS, AUDIT_WAITING
from fhir_server.telemetry.sharing import Sampled, sample_by

_log = logging.getLogger("fhir_server.audit")

DELAY: Final = 0.05
"""Seconds from an event to its way into the store: with the write itself it is durable within 100 ms."""

_BATCH: Final = 2_000
_MOST: Final = 50_000
_MINUTE: Final = 60.0
_SIGN_INS: Final = 5.0
"""Seconds for which failed sign-ins are counted; they are few, and whoever watches for guesses must not wait."""
_AGENTS: Final = 1_000


Waiting = tuple[int, str, Event, tuple[str, ...]]
"""What `row_of` makes a row of; many at once cost less than one by one between requests."""


@dataclass(slots=True)
class Book:
    """What waits to be recorded for one tenant, and the refusals of nobody that are counted.

    patients: whom versions are about that were read lately.
    """

    tenant: str
    log: AuditLog
    rows: deque[AuditRow | Waiting] = field(default_factory=deque)
    refused: dict[tuple[str, int, Agent], int] = field(default_factory=dict)
    patients: dict[int, tuple[str, ...]] = field(default_factory=dict)
    summing: asyncio.TimerHandle | None = None
    task: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None
    complaint: Complaint = field(default_factory=Complaint)


class Recorder:
    """One for each process.

    Args:
        now: milliseconds since 1970 UTC.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self.now = now
        sample_by(self._waiting)
        self._books: dict[str, Book] = {}

    def book(self, tenant: str, log: AuditLog) -> Book:
        """Return the book of a tenant."""
        book = self._books.get(tenant)
        if book is None or book.log is not log:
            book = self._books[tenant] = Book(tenant, log)
        return book

    def _waiting(self) -> Iterator[Sampled]:
        yield AUDIT_WAITING, sum(len(book.rows) for book in tuple(self._books.values())), ()

    def check(self, book: Book) -> None:
        """Refuse to go on where nothing can be recorded any more. Raises Busy."""
        if len(book.rows) >= _MOST:
            raise Busy("the audit cannot be written; nothing is answered without it")

    def add(self, book: Book, row: AuditRow | Waiting) -> None:
        """Record an event soon."""
        book.rows.append(row)
        if book.task is None and book.timer is None:
            book.timer = asyncio.get_running_loop().call_later(DELAY, self._start, book)

    def refused(self, book: Book, agent: Agent, status: int, code: str = REFUSED) -> None:
        """Count what was refused to somebody who is not known; the first of each minute is recorded at once, the others
        as a number."""
        key = (code, status, agent)
        if key not in book.refused and len(book.refused) >= _AGENTS:
            key = (code, status, Agent())
        if key not in book.refused:
            book.refused[key] = 0
            self.add(book, _refusal(self.now(), key, 1))
        else:
            book.refused[key] += 1
        soon = _SIGN_INS if code == SIGN_IN else _MINUTE
        loop = asyncio.get_running_loop()
        if book.summing is None or book.summing.when() > loop.time() + soon:
            if book.summing is not None:
                book.summing.cancel()
            book.summing = loop.call_later(soon, self._sum_up, book)

    async def flush(self) -> None:
        """Write all that waits, or give up where the store fails."""
        for book in list(self._books.values()):
            self._sum_up(book)
            if book.task is not None:
                await book.task
            await self._write(book)

    async def part(self, tenant: str) -> None:
        """Write what waits of one tenant and forget it: its store is about to be closed."""
        book = self._books.pop(tenant, None)
        if book is None:
            return
        self._sum_up(book)
        if book.task is not None:
            await book.task
        await self._write(book)
        if book.timer is not None:
            book.timer.cancel()

    async def close(self) -> None:
        """Write what waits and forget the tenants."""
        await self.flush()
        for book in self._books.values():
            if book.timer is not None:
                book.timer.cancel()
        self._books.clear()

    def _sum_up(self, book: Book) -> None:
        if book.summing is not None:
            book.summing.cancel()
            book.summing = None
        counted, book.refused = book.refused, {}
        for key, count in counted.items():
            if count:
                self.add(book, _refusal(self.now(), key, count))

    def _start(self, book: Book) -> None:
        book.timer = None
        book.task = asyncio.get_running_loop().create_task(self._run(book))

    async def _run(self, book: Book) -> None:
        """Write what waits now. What came meanwhile waits for its own delay: a group for every few rows costs more
        than all the rest of a read."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            done = await self._write(book, len(book.rows))
        finally:
            book.task = None
        if book.rows:
            delay = max(0.0, begun + DELAY - loop.time()) if done else 1.0
            book.timer = loop.call_later(delay, self._start, book)

    async def _write(self, book: Book, most: int | None = None) -> bool:
        """Write what waits, the oldest rows if not all; what cannot be written stays. Tell whether it went well."""
        left = most if most is not None else _MOST + len(book.rows)
        while book.rows and left > 0:
            taken = [book.rows.popleft() for _ in range(min(_BATCH, left, len(book.rows)))]
            batch = [each if isinstance(each, AuditRow) else row_of(*each) for each in taken]
            left -= len(batch)
            try:
                await book.log.note(batch)
                AUDIT_ROWS.add("apart", by=len(batch))
            except StoreError as error:
                AUDIT_FAILURES.add("write")
                book.rows.extendleft(reversed(batch))
                if book.complaint.is_new():
                    _log.error("%d audit events of tenant %s cannot be written: %s", len(book.rows), book.tenant, error)
                return False
            book.complaint.well()
        return True


def _refusal(now: int, key: tuple[str, int, Agent], count: int) -> AuditRow:
    code, status, agent = key
    return row_of(now, agent_text(agent), Event(code, status, count=count))

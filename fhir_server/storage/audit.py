"""The audit log of a tenant as engines keep it: rows that are appended and never changed, outside the version log.

An engine knows nothing of what a row means: `agent` and `body` are texts of `fhir_server.audit`, `keys` are what it is
found by.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec


class AuditRow(msgspec.Struct, frozen=True):
    """One event to record.

    time: milliseconds since 1970 UTC. agent: who and from where, a text that many rows share. body: what happened.
    keys: short texts by which the row is found.
    """

    time: int
    agent: str
    body: bytes
    keys: tuple[str, ...] = ()


class AuditEntry(msgspec.Struct, frozen=True):
    """One recorded event. `seq` counts from 1 without gaps; `time` never goes back from one row to the next."""

    seq: int
    time: int
    agent: str
    body: bytes


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Which rows.

    keys: for each of them, the row has one of these. since, until: time in [since, until), milliseconds.
    agent, test: what must hold of the agent, and of the whole row; called on any thread.
    below, above: seq is less, or greater. ascending: oldest first.
    count: rows of a page. most: rows that are looked at before the page ends early.
    """

    keys: tuple[frozenset[str], ...] = ()
    since: int | None = None
    until: int | None = None
    agent: Callable[[str], bool] | None = None
    test: Callable[[AuditEntry], bool] | None = None
    below: int | None = None
    above: int | None = None
    ascending: bool = False
    count: int = 50
    most: int = 100_000


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Rows in the order asked for; `next` is the seq of the last row looked at, None where nothing follows."""

    entries: tuple[AuditEntry, ...] = ()
    next: int | None = None


class AuditLog(Protocol):
    """The audit log of one store. Rows of a write go with its commit: `Store.commit(..., audit=...)`."""

    async def append(self, rows: Sequence[AuditRow]) -> int:
        """Record rows that belong to no write; return the seq of the first. Durable when it returns.

        Raises:
            StoreError: WriteBusy, StorageFull or StorageFault; none of them is recorded.
        """

    async def note(self, rows: Sequence[AuditRow]) -> None:
        """Record rows that belong to no write, of which nobody asks the seq. Durable when it returns.

        An engine may number them later, in the order in which they were noted, but before anything of the log is read.

        Raises:
            StoreError: as `append`. StoreUnavailable may leave it open; the same rows, noted again, are recorded once.
        """

    async def read(self, seq: int) -> AuditEntry | None:
        """Return one row."""

    async def find(self, query: AuditQuery) -> AuditPage:
        """Return a page of rows."""

    async def span(self, first: int, last: int) -> list[AuditEntry]:
        """Return the rows with first <= seq <= last, oldest first."""

    async def size(self) -> int:
        """Return how many rows were ever recorded: the seq of the newest."""

    async def first(self) -> int:
        """Return the seq of the oldest row that is there; 1 where none was removed."""

    async def cut(self, before: int) -> int:
        """Remove the rows with seq < before, beyond recovery by reading, but never the newest; return how many went.

        What is cut off is a beginning: no other rows can be removed. Made in steps; after a kill it is called again.
        """

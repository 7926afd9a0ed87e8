"""Retention: rows that are older than the years they are kept for are removed from the beginning of the log.

Never are removed: rows that no signed head counts, rows that a sink has not taken yet, and the newest. Rows go in
blocks of the ledger, and the hash of each stays: heads that were signed before can be proved for ever, and so can rows
that stand in an archive.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from fhir_server.audit.events import SECURITY, Agent, Event, agent_text, row_of
from fhir_server.audit.ledger import SPAN, Ledger, cut_size
from fhir_server.model.version import instant
from fhir_server.storage.audit import AuditLog, AuditQuery
from fhir_server.storage.base import Records, Store


@dataclass(frozen=True, slots=True)
class Plan:
    """What retention would do.

    first, last: the rows that go, 0 where none do. oldest, newest: when they were recorded, milliseconds. old: how many
    are old enough. waiting: how many of these have to wait for a head, a sink, or for others of their block.
    """

    first: int = 0
    last: int = 0
    oldest: int = 0
    newest: int = 0
    old: int = 0
    waiting: int = 0


def cutoff(now: int, years: int) -> int:
    """Return the time before which rows are old enough, both in milliseconds."""
    today = datetime.fromtimestamp(now / 1_000, UTC)
    day = 28 if (today.month, today.day) == (2, 29) else today.day
    return int(today.replace(year=today.year - years, day=day).timestamp() * 1_000)


async def plan(log: AuditLog, records: Records, before: int, safe: int) -> Plan:
    """Return what would go.

    Args:
        before: rows of this time and later stay.
        safe: the last row that a head counts and all sinks have.
    """
    first = max(await log.first(), await cut_size(records) + 1)
    page = await log.find(AuditQuery(until=before, count=1))
    old = page.entries[0].seq if page.entries else 0
    if old < first:
        return Plan()
    last = min(old, safe, await log.size() - 1) // SPAN * SPAN
    if last < first:
        return Plan(old=old - first + 1, waiting=old - first + 1)
    oldest, newest = await log.read(first), await log.read(last)
    assert oldest is not None
    assert newest is not None
    return Plan(first, last, oldest.time, newest.time, old - first + 1, old - last)


async def retain(store: Store, now: Callable[[], int], years: int, sent: int | None) -> int:
    """Remove what is older than some years; return how many rows went.

    Args:
        sent: the last row that all sinks have taken; None where there are none.
    """
    ledger, log = Ledger(store, now), store.audit
    done = await cut_size(store.records)
    if await log.first() <= done:
        return await log.cut(done + 1)  # a kill has left them
    head = await ledger.latest()
    if head is None:
        return 0
    found = await plan(log, store.records, cutoff(now(), years), min(head.size, head.size if sent is None else sent))
    if not found.last:
        return 0
    note = (
        f"audit rows {found.first} to {found.last}, of {instant(found.oldest)[:10]} to {instant(found.newest)[:10]}, "
    )
    event = Event(SECURITY, note=f"{note}removed after {years} years")
    await ledger.cut(found.last, lambda written: [row_of(now(), agent_text(Agent("server")), event)])
    return await log.cut(found.last + 1)

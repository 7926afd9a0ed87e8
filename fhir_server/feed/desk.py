"""What operators see of the feed and may ask of it, from any process: all of it stands in the records of the tenant."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final, Literal

from fhir_server.feed.feed import SEEN
from fhir_server.feed.records import (
    CURSORS,
    LETTERS,
    Cursor,
    Letter,
    Order,
    declare,
    letters,
    orders,
    read_cursor,
    read_letter,
)
from fhir_server.storage.base import Store

COUNTED: Final = 10_000
"""Letters up to which they are counted."""

Wish = Literal["pause", "resume", "replay", "skip", "restart"]


class UnknownConsumer(Exception):
    """There is no consumer of this name in the tenant."""


async def status(store: Store, home: Store | None = None) -> list[dict[str, Any]]:
    """Return how each consumer of a tenant stands. `home`: the default tenant, which knows what consumers there are."""
    await declare(store)
    paused = {order.consumer for order in await orders(store) if order.what == "pause"}
    known = {record.key: read_cursor(record) for record in await store.records.find(CURSORS.name, limit=1_000)}
    registered = await _registered(home)
    found = [await _of(store, name, cursor, paused=name in paused) for name, cursor in sorted(known.items())]
    for each in found:
        if registered is not None and each["name"] not in registered:
            each["state"] = "gone"
    return found


async def dead(store: Store, consumer: str = "", *, after: str = "", limit: int = 100) -> list[dict[str, Any]]:
    """Return dead letters, oldest first for each consumer; `after` is the `id` of the last one seen."""
    await declare(store)
    return [_letter(each) async for each in letters(store, consumer, "dead", after=after or None, limit=limit)]


async def wish(store: Store, consumer: str, what: Wish, *, ids: Sequence[str] = (), to: str = "head") -> None:
    """Give an order; the caller rings for it to be seen at once. Raises UnknownConsumer, and KeyError for a letter."""
    await declare(store)
    if await store.records.get(CURSORS.name, consumer) is None:
        names = [record.key for record in await store.records.find(CURSORS.name, limit=1_000)]
        raise UnknownConsumer(f"there is no consumer {consumer!r} here; there are: {', '.join(names) or 'none'}")
    for each in ids:
        record = await store.records.get(LETTERS.name, each)
        if record is None or read_letter(record).state != "dead" or read_letter(record).consumer != consumer:
            raise KeyError(each)
    if what == "resume":
        await store.commit((), (Order(consumer, "pause").drop(),))
    else:
        order = Order(consumer, what, tuple(ids), "now" if to == "now" else "head")
        await store.commit((), (order.put(),))


async def drop(store: Store, consumer: str, ids: Sequence[str] = ()) -> int:
    """Throw dead letters away (all of the consumer, if none is named); return how many."""
    gone = [each async for each in letters(store, consumer, "dead") if not ids or each.name in ids]
    for at in range(0, len(gone), 500):
        await store.commit((), [each.drop() for each in gone[at : at + 500]])
    return len(gone)


async def _registered(home: Store | None) -> set[str] | None:
    record = await home.records.get(SEEN.name, "~") if home is not None else None
    if record is None:
        return None
    names: Any = record.value["consumers"]
    return set(names)


async def _of(store: Store, name: str, cursor: Cursor, *, paused: bool) -> dict[str, Any]:
    txid = min((lane.position.txid for lane in cursor.lanes), default=0)
    outages = [lane.outage for lane in cursor.lanes if lane.outage is not None]
    behind = await store.count_changes(txid)
    next_ = await store.changes(txid, 1) if behind else []
    waiting, dead_ = await _count(store, name, "waiting"), await _count(store, name, "dead")
    state = "paused" if paused else "failing" if outages else "behind" if behind else "up to date"
    told: dict[str, Any] = {
        "name": name,
        "state": state,
        "txid": txid,
        "behind": behind,
        "oldest": next_[0].last_updated if next_ else 0,
        "waiting": waiting,
        "dead": dead_,
        "partitions": len(cursor.lanes),
        "started": cursor.started,
    }
    if outages:
        worst = min(outages, key=lambda outage: outage.since)
        told |= {"failing": asdict(worst)}
    return told


async def _count(store: Store, consumer: str, state: str) -> int:
    return len([each async for each in letters(store, consumer, state, limit=COUNTED)])


def _letter(letter: Letter) -> dict[str, Any]:
    return {
        "id": letter.name,
        "consumer": letter.consumer,
        "resource": str(letter.key),
        "version": letter.version,
        "txid": letter.txid,
        "method": letter.method,
        "attempts": letter.attempts,
        "since": letter.since,
        "reason": letter.reason,
    }

"""What the feed keeps in the records of a tenant: cursors, letters that could not be delivered, orders of operators."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal

import msgspec

from fhir_server.feed.change import FeedChange, Method
from fhir_server.model.keys import ResourceKey
from fhir_server.storage.base import Collection, Record, RecordChange, RecordField, Store, Where

CURSORS: Final = Collection("feed.cursors")
LETTERS: Final = Collection("feed.letters", (RecordField("consumer"), RecordField("state")))
ORDERS: Final = Collection("feed.orders", (RecordField("consumer"),))
COLLECTIONS: Final = (CURSORS, LETTERS, ORDERS)
_PAGE: Final = 500


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """How far a lane came: all of the commits up to `txid`, and of those after it the versions up to `pid`."""

    txid: int = 0
    pid: int = 0


@dataclass(frozen=True, slots=True)
class Outage:
    """Nothing gets through. Times are milliseconds since 1970 UTC.

    since: of the first failure. until: when it is tried again. reason: of the last one.
    """

    since: int
    attempts: int
    until: int
    reason: str


@dataclass(frozen=True, slots=True)
class LaneState:
    """One partition of a consumer in a tenant."""

    position: Position = field(default_factory=Position)
    outage: Outage | None = None


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a consumer is in a tenant; `started` is when it was first seen there, milliseconds since 1970 UTC."""

    lanes: tuple[LaneState, ...]
    started: int = 0


@dataclass(frozen=True, slots=True)
class Letter:
    """A change that could not be delivered.

    state: `waiting` for its next try, or `dead`.
    since: of its first failure, 0 for one that waits behind another of its resource. due: of its next try.
    """

    consumer: str
    key: ResourceKey
    version: int
    txid: int
    pid: int
    method: Method
    state: Literal["waiting", "dead"] = "waiting"
    attempts: int = 0
    since: int = 0
    due: int = 0
    reason: str = ""

    @property
    def name(self) -> str:
        """The key of its record; in the order of the log for each consumer."""
        return f"{self.consumer}~{self.pid:016d}"

    def put(self) -> RecordChange:
        """Return the change that writes it."""
        return RecordChange(LETTERS.name, self.name, {**asdict(self), "key": str(self.key)})

    def drop(self) -> RecordChange:
        """Return the change that removes it."""
        return RecordChange(LETTERS.name, self.name, None)


@dataclass(frozen=True, slots=True)
class Order:
    """What an operator wants of a consumer; the process that runs it does so and removes the order.

    what: `pause` stays for as long as it is to be paused.
    letters: those to replay (names of records), none: all dead ones.
    """

    consumer: str
    what: Literal["pause", "replay", "skip", "restart"]
    letters: tuple[str, ...] = ()
    to: Literal["head", "now", "beginning"] = "head"

    @property
    def name(self) -> str:
        """The key of its record."""
        return f"{self.consumer}~{self.what}"

    def put(self) -> RecordChange:
        """Return the change that gives it."""
        return RecordChange(ORDERS.name, self.name, asdict(self))

    def drop(self) -> RecordChange:
        """Return the change that removes it."""
        return RecordChange(ORDERS.name, self.name, None)


def letter_of(consumer: str, change: FeedChange, **known: Any) -> Letter:
    """Return the letter of a change."""
    row = change.row
    return Letter(consumer, row.key, row.version, row.txid, row.pid, change.method, **known)


def put_cursor(name: str, cursor: Cursor, revision: int) -> RecordChange:
    """Return the change that writes a cursor over the revision that was read (0: none)."""
    return RecordChange(CURSORS.name, name, asdict(cursor), expected=revision)


def read_cursor(record: Record) -> Cursor:
    """Return a stored cursor."""
    return msgspec.convert(dict(record.value), Cursor)


def read_letter(record: Record) -> Letter:
    """Return a stored letter."""
    value: Mapping[str, Any] = record.value
    type_, _, id_ = value["key"].partition("/")
    return replace(Letter(**{**value, "key": ResourceKey(type_, id_)}))


def read_order(record: Record) -> Order:
    """Return a stored order."""
    return msgspec.convert(dict(record.value), Order)


async def letters(
    store: Store, consumer: str, state: str, *, after: str | None = None, limit: int = 0
) -> AsyncIterator[Letter]:
    """Yield the letters of a consumer (all: empty) in the order of their names; `limit` 0: all of them."""
    where = [Where("state", "=", state)] + ([Where("consumer", "=", consumer)] if consumer else [])
    left = limit or -1
    while page := await store.records.find(LETTERS.name, where, after=after, limit=_PAGE):
        for record in page:
            yield read_letter(record)
            left -= 1
            if not left:
                return
        after = page[-1].key


async def orders(store: Store) -> Sequence[Order]:
    """Return all orders of a tenant."""
    return [read_order(record) for record in await store.records.find(ORDERS.name, limit=_PAGE)]


async def declare(store: Store) -> None:
    """Make the collections known to a store."""
    for collection in COLLECTIONS:
        await store.declare(collection)

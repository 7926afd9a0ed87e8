"""The log of events: one for each group, numbered without gaps, written once however often a change comes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from fhir_server.plugin_api import Collection, FeedChange, PluginStore, RecordChange, RecordField, Where

MEMBERS: Final = Collection(
    "fhir_subscriptions.members", (RecordField("state"), RecordField("group"), RecordField("due", "integer"))
)
GROUPS: Final = Collection("fhir_subscriptions.groups")
EVENTS: Final = Collection("fhir_subscriptions.events", (RecordField("at", "integer"),))
SENT: Final = Collection("fhir_subscriptions.sent", (RecordField("at", "integer"),))
TENANTS: Final = Collection("fhir_subscriptions.tenants")
TOKENS: Final = Collection("fhir_subscriptions.tokens", (RecordField("expires", "integer"),))
AUTHORITY: Final = Collection("fhir_subscriptions.authority")
COLLECTIONS: Final = (MEMBERS, GROUPS, EVENTS, SENT, TENANTS, TOKENS, AUTHORITY)


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a group: its number, and the version that it is about. at: milliseconds since 1970 UTC."""

    number: int
    type: str
    id: str
    version: int
    method: str
    at: int


def key_of(group: str, number: int) -> str:
    """Return the key of an event; keys sort as numbers do."""
    return f"{group}|{number:012d}"


@dataclass(slots=True)
class Head:
    """The end of a group's log, and the last changes that are in it."""

    number: int = 0
    txid: int = 0
    seen: tuple[str, ...] = ()
    revision: int = 0

    def has(self, change: FeedChange) -> bool:
        """Tell whether a change was noted before."""
        return change.txid < self.txid or (change.txid == self.txid and change.id in self.seen)

    def note(self, change: FeedChange) -> int:
        """Take a change in; return its number."""
        self.seen = (*self.seen, change.id) if change.txid == self.txid else (change.id,)
        self.number, self.txid = self.number + 1, change.txid
        return self.number


async def head_of(store: PluginStore, group: str) -> Head:
    """Return the end of a group's log."""
    record = await store.get(GROUPS.name, group)
    if record is None:
        return Head()
    value: Any = record.value
    return Head(value["number"], value["txid"], tuple(value["seen"]), record.revision)


async def append(store: PluginStore, group: str, changes: Sequence[FeedChange]) -> int:
    """Write the events of a group that are not there yet; return how many. Raises RecordChanged: somebody else did."""
    head = await head_of(store, group)
    fresh = [change for change in changes if not head.has(change)]
    if not fresh:
        return 0
    rows = [RecordChange(EVENTS.name, key_of(group, head.note(each)), _value(each), expected=0) for each in fresh]
    value = {"number": head.number, "txid": head.txid, "seen": list(head.seen)}
    await store.put(*rows, RecordChange(GROUPS.name, group, value, expected=head.revision))
    return len(fresh)


def _value(change: FeedChange) -> dict[str, Any]:
    return {
        "type": change.key.type, "id": change.key.id, "version": change.version, "method": change.method,
        "at": change.last_updated,
    }  # fmt: skip


async def events(store: PluginStore, group: str, after: int, most: int) -> list[Event]:
    """Return the events of a group with numbers above `after`, in order."""
    found = await store.find(EVENTS.name, after=key_of(group, after), limit=most)
    return [_event(record.key, record.value) for record in found if record.key.startswith(f"{group}|")]


def _event(key: str, value: Any) -> Event:
    number = int(key.rpartition("|")[2])
    return Event(number, value["type"], value["id"], value["version"], value["method"], value["at"])


async def numbered(store: PluginStore, subscription: str, after: int, most: int) -> list[Event]:
    """Return the events of a subscription with its own numbers above `after`, in order."""
    found = await store.find(SENT.name, after=key_of(subscription, after), limit=most)
    return [_event(record.key, record.value) for record in found if record.key.startswith(f"{subscription}|")]


def row_of(subscription: str, number: int, event: Event) -> RecordChange:
    """Return the record of an event under a subscription's own number."""
    value = {"type": event.type, "id": event.id, "version": event.version, "method": event.method, "at": event.at}
    return RecordChange(SENT.name, key_of(subscription, number), value, expected=0)


async def sweep(store: PluginStore, before: int, most: int = 1_000) -> int:
    """Remove events older than a time; what has not arrived by then was given up. Return how many."""
    removed = 0
    for collection in (EVENTS.name, SENT.name):
        while found := await store.find(collection, (Where("at", "<", before),), order="at", limit=most):
            await store.put(*(RecordChange(collection, record.key, None) for record in found))
            removed += len(found)
    return removed

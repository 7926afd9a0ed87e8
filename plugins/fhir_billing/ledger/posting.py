"""`post`: entries as records, with the balances they bring about; `Beside` writes them with their documents."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fhir_billing.ledger.accounts import is_sharded
from fhir_billing.ledger.entry import Entry, netted
from fhir_billing.ledger.records import BALANCES, ENTRIES
from fhir_billing.money import Money
from fhir_server.plugin_api import Conflict, PluginStore, Record, RecordChange, Where

_PAGE = 500
SHARDS = 128
"""Of an account that everybody uses."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Accounts that may not fall below zero (floors), or rise above it (what a party has to its credit is below)."""

    floors: Sequence[str] = ()
    ceilings: Sequence[str] = ()


class AlreadyBooked(Exception):
    """What an entry stands for is in the books: `key` says which."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key} is booked")
        self.key = key


async def post(
    store: PluginStore,
    entries: Sequence[Entry],
    *,
    at: int,
    shard: int = 0,
    bounds: Bounds | None = None,
    look: bool = True,
) -> list[RecordChange]:
    """Return the records that book entries; written in one commit with anything else, or not at all.

    Each change expects what it was made from: when somebody books on the same account in between, or the same entry,
    the commit is refused (RecordChanged) and is to be made anew. `book` does that.

    Args:
        at: milliseconds since 1970 UTC. shard: of the accounts that everybody uses, 0 to SHARDS - 1.
        look: whether to look first if they are booked; else the commit finds it, as RecordChanged.

    Raises:
        AlreadyBooked: one of them is there.
        Overdrawn: an account would pass its floor or ceiling.
    """
    if look:
        await _new(store, entries)
    changes = [RecordChange(ENTRIES.name, each.key, each.value(at), expected=0) for each in entries]
    moved = {key: amount for key, amount in netted(entries).items() if amount}
    keys = {key: balance_key(*key, shard) for key in moved}
    found = await _read(store, BALANCES.name, list(keys.values()))
    for (account, currency), amount in moved.items():
        key = keys[account, currency]
        changes.append(_moved(found.get(key), key, Money(amount, currency), account, bounds or Bounds()))
    return changes


async def _new(store: PluginStore, entries: Sequence[Entry]) -> None:
    """Hold that none of these entries is there. Raises AlreadyBooked."""
    found = await _read(store, ENTRIES.name, [each.key for each in entries])
    for key in found:
        raise AlreadyBooked(key)


async def _read(store: PluginStore, collection: str, keys: list[str]) -> dict[str, Record]:
    """Return those records that are there, read at once."""
    found: list[Record] = []
    for start in range(0, len(keys), _PAGE):
        part = keys[start : start + _PAGE]
        found += await store.find(collection, (Where("key", "in", part),), limit=len(part))
    return {each.key: each for each in found}


class Overdrawn(Conflict):
    """There is less on an account than what is to be taken."""

    def __init__(self, account: str) -> None:
        super().__init__(f"{account} would be overdrawn")
        self.account = account


def balance_key(account: str, currency: str, shard: int) -> str:
    """Return the key of a balance."""
    return f"{account}|{currency}|{shard if is_sharded(account) else 0:02d}"


def _moved(record: Record | None, key: str, amount: Money, account: str, bounds: Bounds) -> RecordChange:
    balance = amount_of(record) + amount.amount
    if (account in bounds.floors and balance < 0) or (account in bounds.ceilings and balance > 0):
        raise Overdrawn(account)
    value = {"account": account, "currency": amount.currency, "amount": str(balance), "open": int(bool(balance))}
    return RecordChange(BALANCES.name, key, value, expected=record.revision if record else 0)


def amount_of(record: Record | None) -> Decimal:
    """Return the balance that a record holds."""
    if record is None:
        return Decimal(0)
    value: Any = record.value
    return Decimal(value["amount"])

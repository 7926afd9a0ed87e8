"""`post`: entries as records, with the balances they bring about; `Beside` writes them with their documents."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from fhir_billing.ledger.accounts import is_sharded
from fhir_billing.ledger.entry import Entry, netted
from fhir_billing.ledger.records import BALANCES, ENTRIES
from fhir_server.plugin_api import Conflict, PluginStore, Record, RecordChange

SHARDS = 128
"""Of an account that everybody uses."""


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
    floors: Sequence[str] = (),
    ceilings: Sequence[str] = (),
) -> list[RecordChange]:
    """Return the records that book entries; written in one commit with anything else, or not at all.

    Each change expects what it was made from: when somebody books on the same account in between, or the same entry,
    the commit is refused (RecordChanged) and is to be made anew. `book` does that.

    Args:
        at: milliseconds since 1970 UTC. shard: of the accounts that everybody uses, 0 to SHARDS - 1.
        floors: accounts that may not fall below zero by this; ceilings: those that may not rise above it (what a party
            has to its credit is below zero).

    Raises:
        AlreadyBooked: one of them is there.
        Overdrawn: an account would pass its floor or ceiling.
    """
    for entry in entries:
        if await store.get(ENTRIES.name, entry.key) is not None:
            raise AlreadyBooked(entry.key)
    changes = [RecordChange(ENTRIES.name, each.key, each.value(at), expected=0) for each in entries]
    for (account, currency), amount in netted(entries).items():
        if amount:
            changes.append(
                await _moved(store, account, currency, amount, shard, (account in floors, account in ceilings))
            )
    return changes


class Overdrawn(Conflict):
    """There is less on an account than what is to be taken."""

    def __init__(self, account: str) -> None:
        super().__init__(f"{account} would be overdrawn")
        self.account = account


def balance_key(account: str, currency: str, shard: int) -> str:
    """Return the key of a balance."""
    return f"{account}|{currency}|{shard if is_sharded(account) else 0:02d}"


async def _moved(
    store: PluginStore, account: str, currency: str, amount: Decimal, shard: int, bounds: tuple[bool, bool]
) -> RecordChange:
    key = balance_key(account, currency, shard)
    record = await store.get(BALANCES.name, key)
    balance = amount_of(record) + amount
    if (bounds[0] and balance < 0) or (bounds[1] and balance > 0):
        raise Overdrawn(account)
    value = {"account": account, "currency": currency, "amount": str(balance), "open": int(bool(balance))}
    return RecordChange(BALANCES.name, key, value, expected=record.revision if record else 0)


def amount_of(record: Record | None) -> Decimal:
    """Return the balance that a record holds."""
    if record is None:
        return Decimal(0)
    value: Any = record.value
    return Decimal(value["amount"])

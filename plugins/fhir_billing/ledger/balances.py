"""What accounts stand at, and which entries are about a document."""

from collections import defaultdict
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

from fhir_billing.ledger.entry import Entry, entry_from
from fhir_billing.ledger.posting import amount_of
from fhir_billing.ledger.records import BALANCES, ENTRIES
from fhir_billing.money import Money, zero
from fhir_server.plugin_api import PluginStore, Record, Where

PAGE = 500


async def balance(store: PluginStore, account: str, currency: str) -> Money:
    """Return what an account stands at in a currency; below zero for more credits than debits."""
    found = await store.find(BALANCES.name, (Where("account", "=", account),), limit=PAGE)
    amounts = [amount_of(record) for record in found if record.value["currency"] == currency]
    return Money(sum(amounts, start=zero(currency).amount), currency)


async def balances(store: PluginStore, prefix: str = "", *, open_only: bool = False) -> dict[tuple[str, str], Money]:
    """Return what all accounts below a path stand at, by account and currency: `receivable/Patient.P1`."""
    where = [Where("account", "prefix", prefix)] if prefix else []
    if open_only:
        where.append(Where("open", "=", 1))
    sums: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    async for record in each(store, BALANCES.name, where):
        value: Any = record.value
        sums[value["account"], value["currency"]] += amount_of(record)
    return {key: Money(zero(key[1]).amount + amount, key[1]) for key, amount in sums.items()}


async def each(store: PluginStore, collection: str, where: list[Where] | None = None) -> AsyncIterator[Record]:
    """Yield all records of a collection that fulfil conditions, in the order of their keys."""
    after: str | None = None
    while True:
        page = await store.find(collection, where or (), after=after, limit=PAGE)
        for record in page:
            yield record
        if len(page) < PAGE:
            return
        after = page[-1].key


async def entry_of(store: PluginStore, key: str) -> Entry | None:
    """Return one entry."""
    record = await store.get(ENTRIES.name, key)
    return None if record is None else entry_from(record.key, record.value)


async def entries_about(store: PluginStore, document: str) -> list[tuple[int, Entry]]:
    """Return the entries about a document, `Invoice/1`, oldest first, each with its time."""
    found: list[tuple[int, Entry]] = []
    async for record in each(store, ENTRIES.name, [Where("about", "=", document)]):
        value: Any = record.value
        found.append((value["at"], entry_from(record.key, value)))
    return sorted(found, key=lambda pair: (pair[0], pair[1].key))

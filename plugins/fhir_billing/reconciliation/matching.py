"""Matching: which payment of ours a line is about; and where nobody knows, which it may be."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from fhir_billing.claims.records import CLAIMS
from fhir_billing.ledger import accounts, balance
from fhir_billing.ledger.balances import each
from fhir_billing.ledger.records import BALANCES, DOCUMENTS
from fhir_billing.payments.records import PAYMENTS, Payment, payment_from
from fhir_billing.reconciliation.lines import Line
from fhir_server.plugin_api import PluginStore, Where

_WORD: Final = re.compile(r"[0-9A-Za-z_-]{8,64}")
SHORT: Final = 12
"""So many signs of a payment's id stand where a processor has little room (M-Pesa's account reference)."""
_MOST: Final = 5


async def payments_for(store: PluginStore, lines: Sequence[Line]) -> dict[str, Payment]:
    """Return the payments that lines name, by each name that is used for them, read at once."""
    words = sorted({word for line in lines for word in words_of(line)})
    found: dict[str, Payment] = {}
    for field in ("key", "processor_ref", "short"):
        for start in range(0, len(words), 500):
            part = words[start : start + 500]
            for record in await store.find(PAYMENTS.name, [Where(field, "in", part)], limit=1_000):
                payment = payment_from(record)
                for name in (payment.id, payment.processor_ref, payment.id[:SHORT]):
                    if name:
                        found.setdefault(name, payment)
    return found


async def claims_for(store: PluginStore, lines: Sequence[Line]) -> dict[str, str]:
    """Return the accounts of what payers owe on the claims that lines name, by the claim's id."""
    words = sorted({word for line in lines for word in words_of(line)})
    found: dict[str, str] = {}
    for start in range(0, len(words), 500):
        part = words[start : start + 500]
        names = [f"Claim/{word}" for word in part]
        rows = await store.find(DOCUMENTS.name, [Where("key", "in", names)], limit=500)
        parties = {row.key.partition("/")[2]: str(row.value.get("party", "")) for row in rows}
        rows = await store.find(CLAIMS.name, [Where("key", "in", part)], limit=500)
        parties |= {row.key: str(row.value.get("payor", "")) for row in rows}
        found |= {claim: accounts.receivable(party, claim) for claim, party in parties.items() if party}
    return found


async def account_for(store: PluginStore, line: Line, claims: dict[str, str], taken: set[str]) -> str:
    """Return the account of the claim that a line pays; empty where it names none, or more than what is owed."""
    named = sorted({claims[word] for word in words_of(line) if word in claims} - taken)
    if len(named) != 1 or line.kind != "payment":
        return ""
    open_ = await balance(store, named[0], line.amount.currency)
    return named[0] if line.amount <= open_ else ""


def words_of(line: Line) -> Iterable[str]:
    """Return what may be the name of a payment in the references of a line."""
    for reference in line.references:
        yield from _WORD.findall(reference)


def match(line: Line, payments: dict[str, Payment]) -> Payment | None:
    """Return the payment that a line names; None where it names none, or two different ones."""
    named = {payments[word].id: payments[word] for word in words_of(line) if word in payments}
    return next(iter(named.values())) if len(named) == 1 else None


async def suggestions(store: PluginStore, currency: str, amount: str) -> list[str]:
    """Return what a line without a payment may be for: payments under way, and what is owed, of the same amount."""
    found: list[str] = []
    states = Where("state", "in", ["pending", "unknown", "requested", "expired", "failed"])
    for record in await store.find(PAYMENTS.name, [states], order="-at", limit=200):
        value: Any = record.value
        if value["currency"] == currency and value["amount"] == amount:
            found.append(f"payment {record.key}: {value['state']}, Invoice/{value['invoice']}")
    async for record in each(store, BALANCES.name, [Where("account", "prefix", "receivable/"), Where("open", "=", 1)]):
        value = record.value
        if value["currency"] == currency and value["amount"] == amount:
            _, party, document = str(value["account"]).split("/", 2)
            found.append(f"Invoice/{document}: open, owed by {party.replace('.', '/', 1)}")
            if len(found) >= _MOST:
                break
    return found[:_MOST]

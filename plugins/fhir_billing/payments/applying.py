"""Applying: a payment that came, as entry and documents; what is beyond the invoice is the party's credit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_billing.ledger import Booking, Entry, Posting, accounts, balance, owned, owner_change
from fhir_billing.ledger.entry import lines
from fhir_billing.ledger.records import DOCUMENTS
from fhir_billing.money import Money, zero
from fhir_billing.payments.documents import notice, notice_id, reconciliation, reconciliation_id
from fhir_billing.payments.rates import rate_from
from fhir_billing.payments.records import Payment
from fhir_server.plugin_api import PluginContext, Put, RecordChange


@dataclass(frozen=True, slots=True)
class Applied:
    """What a payment comes to: on the invoice, and beyond it; both in the currency of the invoice. last: nothing is
    open on it afterwards."""

    on_invoice: Money
    credited: Money
    last: bool = False


async def applied(ctx: PluginContext, payment: Payment, noted: Mapping[str, Any]) -> Applied:
    """Return how much of a payment goes on its invoice, as it stands now. One that is cancelled takes nothing."""
    value = in_invoice_currency(payment, noted["currency"], ctx.settings.rounding)
    if noted["status"] == "cancelled":
        return Applied(zero(noted["currency"]), value)
    open_ = await balance(ctx.store, accounts.receivable(noted["party"], payment.invoice), noted["currency"])
    on_it = min(value, max(open_, zero(open_.currency), key=_amount), key=_amount)
    return Applied(on_it, value - on_it, open_ == on_it)


def _amount(money: Money) -> Any:
    return money.amount


def in_invoice_currency(payment: Payment, currency: str, rule: Any = "half-up") -> Money:
    """Return the amount of a payment in the currency of its invoice, at the rate that stands on it."""
    if payment.amount.currency == currency:
        return payment.amount
    return rate_from(payment.rate).convert(payment.amount, rule)


def holding(payment: Payment) -> str:
    """Return the account where the money of a payment is."""
    if payment.processor == "cash":
        return accounts.cash(payment.shift)
    if payment.processor == "credit":
        return accounts.credit_of(payment.party)
    if payment.processor == "suspense":
        return accounts.suspense(payment.shift)
    return accounts.bank() if payment.processor == "bank" else accounts.processor(payment.processor)


async def booking(ctx: PluginContext, payment: Payment, more: Sequence[RecordChange] = ()) -> Booking:
    """Return what is written when a payment has succeeded; `payment` is as it shall be from then.

    The plan of `book`: it reads the balance that it applies the payment to.
    """
    name = f"Invoice/{payment.invoice}"
    noted = await owned(ctx.store, name)
    assert noted is not None, "a payment is for an invoice of the ledger"
    parts = await applied(ctx, payment, noted)
    entry = Entry(f"payment|{payment.id}", "payment", _postings(payment, parts, noted), name, payment.processor)
    puts = [Put(reconciliation(ctx, payment, parts.on_invoice, parts.credited), 0, trusted=True)]
    puts.append(Put(notice(ctx, payment, ctx.settings.provider), 0, trusted=True))
    records = [
        payment.change(),
        owner_change(f"PaymentReconciliation/{reconciliation_id(payment)}", "payment", patient=payment.patient),
        owner_change(f"PaymentNotice/{notice_id(payment)}", "notice", patient=payment.patient),
        *more,
    ]
    await _balanced(ctx, noted, name, parts, puts, records)
    floors = [accounts.receivable(noted["party"], payment.invoice)]
    ceilings = [accounts.credit_of(payment.party)] if payment.processor == "credit" else []
    return Booking([entry], puts, records, floors, ceilings)


def _postings(payment: Payment, parts: Applied, noted: Mapping[str, Any]) -> tuple[Posting, ...]:
    value = parts.on_invoice + parts.credited
    pairs = [(holding(payment), payment.amount)]
    if value.currency != payment.amount.currency:
        pairs += [
            (accounts.exchange(payment.amount.currency), -payment.amount),
            (accounts.exchange(value.currency), value),
        ]
    pairs.append((accounts.receivable(noted["party"], payment.invoice), -parts.on_invoice))
    pairs.append((accounts.credit_of(payment.party), -parts.credited))
    return lines(*pairs)


async def _balanced(
    ctx: PluginContext,
    noted: Mapping[str, Any],
    name: str,
    parts: Applied,
    puts: list[Put],
    records: list[RecordChange],
) -> None:
    """Add the invoice as balanced, where this payment is its last."""
    if noted["status"] != "issued" or not parts.last:
        return
    resource = await ctx.own.read(*name.split("/"))
    puts.append(Put({**resource, "status": "balanced"}, int(resource["meta"]["versionId"]), trusted=True))
    records.append(RecordChange(DOCUMENTS.name, name, {**noted, "status": "balanced"}))

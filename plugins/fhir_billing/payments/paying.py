"""Paying: an invoice, in part or in whole, by cash, credit, bank or a processor; once for each Idempotency-Key."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from fhir_billing.cash.drawer import cash_booking
from fhir_billing.ledger import AlreadyBooked, Booking, accounts, balance, book, owned
from fhir_billing.money import Money, MoneyFault
from fhir_billing.naming import id_of
from fhir_billing.payments.applying import booking, in_invoice_currency
from fhir_billing.payments.processor import Answer, NoAnswer, NotSent, Order, Refused
from fhir_billing.payments.rates import rate_for
from fhir_billing.payments.records import REQUESTS, Payment, payment_of
from fhir_billing.payments.routing import candidates, processor_of
from fhir_billing.payments.settling import apply, next_look
from fhir_server.plugin_api import Conflict, FhirError, InvalidResource, NotFound, PluginContext, RecordChange

AT_ONCE = frozenset(("cash", "credit"))
"""Methods by which money is there when they are booked."""


class NotPossible(FhirError):
    """No processor could take the payment; nothing has moved."""

    status, code = 502, "transient"


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to pay. amount: None for what is open. key: the Idempotency-Key; the same gives the same."""

    invoice: str
    method: str
    key: str
    amount: Money | None = None
    currency: str = ""
    country: str = ""
    shift: str = ""
    email: str = ""
    phone: str = ""
    back: str = ""

    def fingerprint(self) -> str:
        """Return what has to be the same for one key."""
        amount = "" if self.amount is None else str(self.amount)
        return id_of(self.invoice, self.method, amount, self.currency, self.country, self.shift, self.phone)


@dataclass(frozen=True, slots=True)
class Paid:
    """The payment as it stands, and what the payer needs to go on."""

    payment: Payment
    answer: Answer


async def pay(ctx: PluginContext, wish: Wish) -> Paid:
    """Pay.

    Raises:
        NotFound: no invoice of the ledger. Conflict: it is cancelled or paid. InvalidResource: the key is of another
            request. MoneyFault: an amount that cannot be, or is more than is open. NoRate: no exchange is possible.
        NotPossible: no processor took it.
    """
    found = await ctx.store.get(REQUESTS.name, wish.key)
    if found is not None:
        return await _again(ctx, wish, found.value)
    noted = await _invoice(ctx, wish.invoice)
    payment = await _payment(ctx, wish, noted)
    if wish.method in AT_ONCE:
        return await _at_once(ctx, wish, payment)
    if wish.method == "bank":
        await _begun(ctx, wish, payment.but(state="pending", processor="bank", processor_ref=payment.id))
        return Paid(payment.but(state="pending"), Answer("pending", payment.id))
    return await _by_processor(ctx, wish, payment)


async def _again(ctx: PluginContext, wish: Wish, value: Mapping[str, Any]) -> Paid:
    if value["fingerprint"] != wish.fingerprint():
        raise InvalidResource("this Idempotency-Key was used for another request", expression="http.idempotency-key")
    payment = await payment_of(ctx.store, value["payment"])
    assert payment is not None
    told = payment.more.get("answer", {})
    return Paid(
        payment, Answer(None, payment.processor_ref, **{k: told.get(k, "") for k in ("redirect", "qr", "token")})
    )


async def _invoice(ctx: PluginContext, id_: str) -> dict[str, Any]:
    noted = await owned(ctx.store, f"Invoice/{id_}")
    if noted is None:
        raise NotFound(f"Invoice/{id_} is not in the books: make it by $invoice", expression="Invoice")
    if noted["status"] != "issued":
        raise Conflict(f"this invoice is {noted['status']}: nothing can be paid on it", expression="Invoice.status")
    return noted


async def _payment(ctx: PluginContext, wish: Wish, noted: Mapping[str, Any]) -> Payment:
    open_ = await balance(ctx.store, accounts.receivable(noted["party"], wish.invoice), noted["currency"])
    if wish.amount is not None and not wish.amount:
        raise MoneyFault("nothing is paid: an amount is above zero", expression="Parameters.parameter")
    currency = wish.amount.currency if wish.amount else wish.currency or noted["currency"]
    rate = None if currency == noted["currency"] else await rate_for(ctx, currency, noted["currency"])
    if wish.method == "cash" and wish.amount and rate is None and open_ < wish.amount:
        wish = replace(wish, amount=open_)  # the rest is the change that is given back
    amount = wish.amount or (open_ if rate is None else rate.convert(open_, ctx.settings.rounding))
    payment = Payment(
        id_of("payment", ctx.tenant, wish.key), "created", amount, wish.invoice, noted["party"], noted["patient"],
        wish.method, ctx.now(), rate=rate.facts() if rate else {}, shift=wish.shift,
    )  # fmt: skip
    value = in_invoice_currency(payment, noted["currency"], ctx.settings.rounding)
    if amount.amount <= 0 or value.amount > open_.amount:
        raise MoneyFault(f"{open_} is open on this invoice, not {value}", expression="Invoice.totalNet")
    return payment


def _request(wish: Wish, payment: Payment) -> RecordChange:
    value = {"fingerprint": wish.fingerprint(), "payment": payment.id}
    return RecordChange(REQUESTS.name, wish.key, value, expected=0)


async def _at_once(ctx: PluginContext, wish: Wish, payment: Payment) -> Paid:
    """Book what is there: cash in a drawer, with its receipt, or a credit of the payer."""

    async def plan() -> Booking:
        await _unused(ctx, wish)
        there = payment.but(state="succeeded")
        if wish.method == "cash":
            return await cash_booking(ctx, there, [_request(wish, payment)])
        return await booking(ctx, there, [_request(wish, payment)])

    with contextlib.suppress(AlreadyBooked, _Used):
        await book(ctx, plan)
    return await _again(ctx, wish, await _used(ctx, wish))


class _Used(Exception):
    """Somebody else came with the same key."""


async def _unused(ctx: PluginContext, wish: Wish) -> None:
    if await ctx.store.get(REQUESTS.name, wish.key) is not None:
        raise _Used


async def _used(ctx: PluginContext, wish: Wish) -> Mapping[str, Any]:
    record = await ctx.store.get(REQUESTS.name, wish.key)
    assert record is not None
    return record.value


async def _begun(ctx: PluginContext, wish: Wish, payment: Payment) -> bool:
    """Write that a payment is about to be asked for; tell whether nobody else did under the same key."""

    async def plan() -> Booking:
        await _unused(ctx, wish)
        return Booking((), (), [payment.change(), _request(wish, payment)])

    try:
        await book(ctx, plan)
    except _Used:
        return False
    return True


async def _by_processor(ctx: PluginContext, wish: Wish, payment: Payment) -> Paid:
    """Ask processors in turn. Only one that surely moved nothing is followed by another."""
    names = candidates(ctx.settings, wish.method, payment.amount.currency, wish.country, ctx.tenant)
    first = payment.but(state="requested", processor=names[0], due=next_look(ctx, payment))
    if not await _begun(ctx, wish, first):
        return await _again(ctx, wish, await _used(ctx, wish))
    why = ""
    for name in names:
        asked = await _with(ctx, payment.id, name)
        try:
            answer = await processor_of(ctx.host, name).start(_order(ctx, wish, asked))
        except (NotSent, Refused) as error:
            why = f"{name}: {error}"
            continue
        except NoAnswer as error:
            answer = Answer("unknown", why=str(error))
        return Paid(await apply(ctx, payment.id, _kept(answer)), answer)
    await apply(ctx, payment.id, Answer("failed", why=why))
    raise NotPossible(f"no processor took the payment ({why}); nothing was paid", expression="http")


def _kept(answer: Answer) -> Answer:
    """Return an answer with what the payer needs noted, for whoever asks again."""
    told = {"redirect": answer.redirect, "qr": answer.qr, "token": answer.token}
    return replace(answer, more={**(answer.more or {}), "answer": told})


async def _with(ctx: PluginContext, id_: str, processor: str) -> Payment:
    """Return a payment, noted as that of a processor."""

    async def plan() -> Booking:
        found = await payment_of(ctx.store, id_)
        assert found is not None
        return Booking((), (), [found.but(processor=processor).change()] if found.processor != processor else [])

    await book(ctx, plan)
    found = await payment_of(ctx.store, id_)
    assert found is not None
    return found


def _order(ctx: PluginContext, wish: Wish, payment: Payment) -> Order:
    root = ctx.base.removesuffix("/fhir")
    callback = f"{root}/billing/webhooks/{payment.processor}"
    return Order(payment, callback, f"Invoice {payment.invoice[:8]}", wish.email, wish.phone, wish.back)

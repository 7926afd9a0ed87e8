"""Refunds: asked for by one, approved by another, paid out of the party's credit; sent to the processor once."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal

from fhir_billing.cash.drawer import next_receipt
from fhir_billing.cash.records import open_shift_of, point_of
from fhir_billing.ledger import AlreadyBooked, Booking, Entry, accounts, balance, book, credit, debit
from fhir_billing.money import Money, MoneyFault
from fhir_billing.naming import id_of, reference
from fhir_billing.payments.processor import NoAnswer, NotSent, RefundAnswer, Refused
from fhir_billing.payments.records import REFUNDS, Payment, payment_of
from fhir_billing.payments.routing import processor_of
from fhir_billing.payments.states import MOVED, REFUND_STEPS, RefundState
from fhir_server.plugin_api import (
    Conflict,
    Forbidden,
    NotFound,
    PluginContext,
    PluginStore,
    Put,
    Record,
    RecordChange,
    Where,
    instant,
)

_UNDER_WAY = ("approved", "sent", "unknown")


@dataclass(frozen=True, slots=True)
class Refund:
    """One refund of a payment, in the currency of the payment."""

    id: str
    state: RefundState
    payment: str
    amount: Money
    reason: str
    asked_by: str
    approved_by: str = ""
    way: str = "back"
    ref: str = ""
    receipt: str = ""
    why: str = ""
    at: int = 0
    tries: int = 0
    due: int = 0
    revision: int = 0

    def change(self) -> RecordChange:
        """Return the change that writes it."""
        value = {
            "state": self.state, "payment": self.payment, "amount": str(self.amount.amount),
            "currency": self.amount.currency, "reason": self.reason, "asked_by": self.asked_by,
            "approved_by": self.approved_by, "way": self.way, "ref": self.ref, "receipt": self.receipt,
            "why": self.why, "tries": self.tries, "due": self.due, "at": self.at,
        }  # fmt: skip
        return RecordChange(REFUNDS.name, self.id, value, expected=self.revision)


def refund_from(record: Record) -> Refund:
    """Return the refund of a record."""
    value: Any = dict(record.value)
    amount = Money(Decimal(value.pop("amount")), value.pop("currency"))
    return Refund(id=record.key, amount=amount, revision=record.revision, **value)


async def refund_of(store: PluginStore, id_: str) -> Refund:
    """Return one. Raises NotFound."""
    record = await store.get(REFUNDS.name, id_)
    if record is None:
        raise NotFound("there is no such refund", expression="Parameters.parameter.where(name='refund')")
    return refund_from(record)


async def request(ctx: PluginContext, payment_id: str, amount: Money, reason: str, key: str) -> Refund:
    """Ask for a refund. Nothing is booked: somebody else has to approve it.

    Raises:
        NotFound: no such payment. Conflict: no money came by it. MoneyFault: more than what is left of it, or
            another currency.
    """
    id_ = id_of("refund", ctx.tenant, payment_id, key)

    async def plan() -> Booking:
        payment = await _paid(ctx, payment_id)
        if await ctx.store.get(REFUNDS.name, id_) is not None:
            return Booking()
        left = payment.amount - await _given(ctx, payment)
        if amount.amount <= 0 or left < amount:
            raise MoneyFault(f"{left} is left of this payment, not {amount}", expression="Parameters.parameter")
        made = Refund(id_, "asked", payment_id, amount, reason, ctx.caller.name, at=ctx.now())
        return Booking((), [Put(_task(ctx, made, payment), 0)], [made.change(), payment.change()])

    await book(ctx, plan)
    return await refund_of(ctx.store, id_)


async def _paid(ctx: PluginContext, id_: str) -> Payment:
    payment = await payment_of(ctx.store, id_)
    if payment is None:
        raise NotFound("there is no such payment", expression="Parameters.parameter.where(name='payment')")
    if payment.state not in MOVED:
        raise Conflict(f"this payment is {payment.state}: no money came by it", expression="Parameters.parameter")
    return payment


async def _given(ctx: PluginContext, payment: Payment) -> Money:
    """Return what is refunded of a payment already, or asked for."""
    found = await ctx.store.find(REFUNDS.name, [Where("payment", "=", payment.id)], limit=1_000)
    refunds = [refund_from(record) for record in found]
    amounts = [each.amount for each in refunds if each.state not in ("refused", "failed")]
    return sum(amounts, start=payment.amount - payment.amount)


def _task(ctx: PluginContext, refund: Refund, payment: Payment) -> dict[str, Any]:
    """Return the Task by which a refund is asked for: https://hl7.org/fhir/R4/task.html"""
    return {
        "resourceType": "Task", "id": refund.id, "status": "requested", "intent": "order",
        "code": {"text": "Approve a refund"}, "description": f"{refund.amount}: {refund.reason}"[:500],
        "focus": reference(f"Invoice/{payment.invoice}"), "authoredOn": instant(ctx.now()),
        "for": reference(payment.patient),
    }  # fmt: skip


async def decide(ctx: PluginContext, id_: str, *, approve: bool, way: str = "back", shift: str = "") -> Refund:
    """Approve a refund, or refuse it; not by whoever asked for it. Approved, it is paid.

    way: `back` by the processor, or `cash` from the drawer of a shift, or `bank`.

    Raises:
        Forbidden: it was asked for by the same user. Conflict: it is decided. Overdrawn: the party has no credit left;
            an invoice is to be cancelled first.
    """

    async def plan() -> Booking:
        refund = await refund_of(ctx.store, id_)
        if refund.asked_by == ctx.caller.name and ctx.caller.grant != "*":
            raise Forbidden("a refund is approved by somebody else than who asked for it", expression="http")
        if refund.state != "asked":
            if approve and refund.state in _UNDER_WAY:
                return Booking()  # it is asked about again
            raise Conflict(f"this refund is {refund.state}", expression="Parameters.parameter")
        return await _decided(ctx, refund, approve=approve, way=way, shift=shift)

    try:
        await book(ctx, plan)
    except AlreadyBooked:
        await book(ctx, plan)  # somebody approved it while this was planned: it is planned on what is there now
    refund = await refund_of(ctx.store, id_)
    return await send(ctx, refund) if refund.state in _UNDER_WAY else refund


async def confirm(ctx: PluginContext, id_: str, state: Literal["paid", "failed"]) -> Refund:
    """Take in what somebody saw at the processor, of a refund without an answer. Raises Conflict: it has one."""
    refund = await refund_of(ctx.store, id_)
    if refund.state not in ("sent", "unknown"):
        raise Conflict(f"this refund is {refund.state}", expression="Parameters.parameter")
    answer = RefundAnswer(state, why=f"seen by {ctx.caller.name}")
    return await moved(ctx, id_, answer, await _paid(ctx, refund.payment))


async def _decided(ctx: PluginContext, refund: Refund, *, approve: bool, way: str, shift: str) -> Booking:
    task = await ctx.own.read("Task", refund.id)
    put = Put({**task, "status": "accepted" if approve else "rejected"}, int(task["meta"]["versionId"]))
    if not approve:
        return Booking((), [put], [replace(refund, state="refused", approved_by=ctx.caller.name).change()])
    payment = await _paid(ctx, refund.payment)
    held = accounts.credit_of(payment.party)
    records: list[RecordChange] = []
    done = replace(refund, state="approved", approved_by=ctx.caller.name, way=way)
    away = accounts.refund_due(refund.id)
    if way == "cash" or (way == "back" and payment.processor == "cash"):
        record = await open_shift_of(ctx.store, shift)
        receipt, records = await next_receipt(ctx, point_of(record), "refund", refund.id)
        done, away = replace(done, state="paid", way="cash", receipt=receipt), accounts.cash(shift)
    elif way == "bank":
        done, away = replace(done, state="paid"), accounts.bank()
    elif payment.processor == "credit":
        raise Conflict("this was paid out of a credit: nothing came by it", expression="Parameters.parameter")
    entry = await _entry(ctx, refund, payment, (held, away))
    return Booking([entry], [put], [done.change(), *records], ceilings=[held])


async def _entry(ctx: PluginContext, refund: Refund, payment: Payment, way: tuple[str, str]) -> Entry:
    """Return the entry that takes a refund out of the credit; a payment in another currency goes back as it came."""
    held, away = way
    about = f"Invoice/{payment.invoice}"
    if not payment.rate:
        both = debit(held, refund.amount), credit(away, refund.amount)
        return Entry(f"refund|{refund.id}", "refund", both, about, refund.reason[:100])
    from fhir_billing.payments.rates import rate_from

    rate = rate_from(payment.rate)
    value = rate.convert(refund.amount, ctx.settings.rounding)
    there = await balance(ctx.store, held, value.currency)
    value = min(value, -there, key=lambda each: each.amount) if -there.amount > 0 else value
    four = (
        debit(held, value), credit(accounts.exchange(value.currency), value),
        debit(accounts.exchange(refund.amount.currency), refund.amount), credit(away, refund.amount),
    )  # fmt: skip
    return Entry(f"refund|{refund.id}", "refund", four, about, refund.reason[:100])


async def send(ctx: PluginContext, refund: Refund) -> Refund:
    """Have the processor pay a refund, with its id as the idempotency key. One that knows no such keys is asked once
    only: what became of it without an answer is for people to see."""
    payment = await _paid(ctx, refund.payment)
    processor = processor_of(ctx.host, payment.processor)
    if not await _asking(ctx, refund.id, again=processor.keyed_refunds):
        return await refund_of(ctx.store, refund.id)
    try:
        answer = await processor.refund(payment, refund.amount, refund.id)
    except Refused as error:
        answer = RefundAnswer("failed", why=str(error))
    except (NotSent, NoAnswer) as error:
        return await _unknown(ctx, refund.id, str(error))
    return await moved(ctx, refund.id, answer, payment)


async def _asking(ctx: PluginContext, id_: str, *, again: bool) -> bool:
    """Write that a refund is about to be asked for, and when it is asked about next; tell whether it may be: of all
    who come at the same moment one asks, unless the processor may be asked `again`."""
    mine = False

    async def plan() -> Booking:
        nonlocal mine
        refund = await refund_of(ctx.store, id_)
        mine = refund.state == "approved" or (again and refund.state in _UNDER_WAY)
        if not mine:
            return Booking()
        pause = min(ctx.settings.ask_after * 2**refund.tries, ctx.settings.ask_longest)
        state: RefundState = "sent" if refund.state == "approved" else refund.state
        due = ctx.now() + int(pause * 1000)
        return Booking((), (), [replace(refund, state=state, tries=refund.tries + 1, due=due).change()])

    await book(ctx, plan)
    return mine


async def _unknown(ctx: PluginContext, id_: str, why: str) -> Refund:
    async def plan() -> Booking:
        refund = await refund_of(ctx.store, id_)
        if "unknown" not in REFUND_STEPS[refund.state]:
            return Booking()
        return Booking((), (), [replace(refund, state="unknown", why=why).change()])

    await book(ctx, plan)
    return await refund_of(ctx.store, id_)


async def moved(ctx: PluginContext, id_: str, answer: RefundAnswer, payment: Payment) -> Refund:
    """Take in what a processor says of a refund; a paid one leaves the books, one that failed is a credit again."""

    async def plan() -> Booking:
        refund = await refund_of(ctx.store, id_)
        if answer.state not in REFUND_STEPS[refund.state]:
            return Booking()
        done = replace(refund, state=answer.state, ref=answer.ref or refund.ref, why=answer.why)
        entries = [_outcome(refund, payment, answer.state)] if answer.state in ("paid", "failed") else []
        return Booking(entries, (), [done.change()])

    with contextlib.suppress(AlreadyBooked):
        await book(ctx, plan)
    return await refund_of(ctx.store, id_)


def _outcome(refund: Refund, payment: Payment, state: str) -> Entry:
    due = accounts.refund_due(refund.id)
    to = accounts.processor(payment.processor) if state == "paid" else accounts.credit_of(payment.party)
    both = debit(due, refund.amount), credit(to, refund.amount)
    return Entry(f"refund|{refund.id}|{state}", "refund", both, f"Invoice/{payment.invoice}", state)


async def ask_refunds(ctx: PluginContext, limit: int = 50) -> int:
    """Ask again for what was approved or has no answer, each time later; the key makes sure that it is paid once."""
    where = [Where("state", "in", ["approved", "sent", "unknown"])]
    found = [refund_from(record) for record in await ctx.store.find(REFUNDS.name, where, limit=limit)]
    after = ctx.now() - int(ctx.settings.ask_after * 1000)
    due = [each for each in found if (each.due <= ctx.now() if each.due else each.at <= after)]
    for refund in due:
        await send(ctx, refund)
    return len(due)


def shown(refund: Refund) -> Mapping[str, str]:
    """Return a refund as people see it."""
    return {"id": refund.id, "state": refund.state, "amount": str(refund.amount), "receipt": refund.receipt}

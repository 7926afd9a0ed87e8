"""Settling: what became of payments. A processor is asked, and what it answers is booked, once."""

import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fhir_billing.ledger import AlreadyBooked, Booking, book
from fhir_billing.payments.applying import booking
from fhir_billing.payments.processor import Answer, NoAnswer, NotSent, Refused
from fhir_billing.payments.records import PAYMENTS, Payment, payment_from, payment_of
from fhir_billing.payments.routing import processor_of
from fhir_billing.payments.states import OPEN, may_follow
from fhir_server.plugin_api import PluginContext, RecordChange, Where

logger = logging.getLogger(__name__)


def next_look(ctx: PluginContext, payment: Payment) -> int:
    """Return when a payment is to be asked about next, in milliseconds: each pause is double the one before."""
    settings = ctx.settings
    return ctx.now() + int(min(settings.ask_after * 2**payment.tries, settings.ask_longest) * 1000)


Beside = Callable[[], Awaitable[Sequence[RecordChange]]]
"""Returns what is written beside, once it is known what became of a payment: the event that told of it, as done."""


async def _nothing() -> Sequence[RecordChange]:
    return ()


async def apply(ctx: PluginContext, id_: str, answer: Answer, beside: Beside = _nothing) -> Payment:
    """Take in what a processor says of a payment, by itself or asked; return it as it stands.

    What would go back, or is known, changes nothing. Another amount than what was asked for is booked as it came;
    one in another currency is not booked but left to people.
    """

    async def plan() -> Booking:
        found = await payment_of(ctx.store, id_)
        assert found is not None
        step = await _step(ctx, found, answer)
        written = [each.value for each in step.records if each.collection == PAYMENTS.name and each.value]
        known = (written[0]["state"] if written else found.state) != "requested"
        return replace(step, records=[*step.records, *await beside()]) if known else step

    with contextlib.suppress(AlreadyBooked):
        await book(ctx, plan)
    after = await payment_of(ctx.store, id_)
    assert after is not None
    return after


async def _step(ctx: PluginContext, payment: Payment, answer: Answer) -> Booking:
    noted = payment.but(
        processor_ref=payment.processor_ref or answer.ref, more={**payment.more, **(answer.more or {})},
        why=answer.why or payment.why,
    )  # fmt: skip
    if answer.state is None or not may_follow(payment.state, answer.state):
        return _looked_at(ctx, payment, noted)
    if answer.state != "succeeded":
        tries = payment.tries + 1
        open_ = answer.state in OPEN
        due = next_look(ctx, noted) if open_ else 0
        return Booking(
            (), (), [noted.but(state=answer.state, due=due, tries=tries if open_ else payment.tries).change()]
        )
    if answer.amount is None or answer.amount.currency != payment.amount.currency or answer.amount.amount <= 0:
        why = f"paid as {answer.amount}, asked for {payment.amount}: to be looked at"
        logger.error("payment %s: another currency than asked for", payment.id)
        return Booking((), (), [noted.but(why=why, due=0).change()])
    return await booking(ctx, noted.but(state="succeeded", amount=answer.amount, due=0))


def _looked_at(ctx: PluginContext, payment: Payment, noted: Payment) -> Booking:
    if payment.state in OPEN:
        noted = noted.but(due=next_look(ctx, noted), tries=noted.tries + 1)
    return Booking((), (), [noted.change()] if noted != payment else [])


async def ask(ctx: PluginContext, payment: Payment, beside: Beside = _nothing) -> Payment:
    """Ask the processor of a payment what became of it. What is not known stays unknown; nothing is guessed."""
    try:
        answer = await processor_of(ctx.host, payment.processor).query(payment)
    except (NotSent, NoAnswer) as error:
        answer = Answer("unknown" if payment.state == "requested" else None, why=f"asked: {error}")
    except Refused:
        lost = ctx.now() - payment.at > ctx.settings.lost_after * 1000 and not payment.processor_ref
        answer = Answer("failed" if lost else "unknown", why="its processor knows of none such")
    if payment.state == "requested" and answer.state is None:
        answer = Answer("unknown", why=answer.why)
    return await apply(ctx, payment.id, answer, beside)


async def ask_due(ctx: PluginContext, limit: int = 100) -> int:
    """Ask about the payments whose time has come; return how many there were."""
    found = await ctx.store.find(
        PAYMENTS.name, [Where("state", "in", sorted(OPEN)), Where("due", "<=", ctx.now())], order="due", limit=limit
    )
    due = [payment_from(record) for record in found if record.value["due"]]
    for payment in due:
        if payment.processor in ctx.settings.processors:
            await ask(ctx, payment)
    return len(due)


async def by_reference(ctx: PluginContext, ref: str, processor: str) -> Payment | None:
    """Return the payment that a processor calls by this id of its own."""
    where = [Where("processor_ref", "=", ref), Where("processor", "=", processor)]
    found = await ctx.store.find(PAYMENTS.name, where, limit=1)
    return payment_from(found[0]) if found else None


def shown(payment: Payment) -> Mapping[str, Any]:
    """Return a payment as people see it."""
    return {"id": payment.id, "state": payment.state, "amount": str(payment.amount), "by": payment.processor}

"""Resolving: somebody says what a line is for, and the money leaves suspense."""

import contextlib
from decimal import Decimal
from typing import Any

from fhir_billing.ledger import AlreadyBooked, Booking, Entry, accounts, book, credit, debit, owned
from fhir_billing.money import Money
from fhir_billing.naming import id_of
from fhir_billing.payments.applying import booking
from fhir_billing.payments.records import Payment
from fhir_billing.reconciliation.lines import LINES
from fhir_server.plugin_api import Conflict, NotFound, PluginContext, Record, RecordChange


async def resolve(ctx: PluginContext, key: str, invoice: str, party: str) -> str:
    """Book a line that waits on an invoice, or as the credit of a party; return the id of the payment, or nothing.

    Raises:
        NotFound: no such line, or invoice. Conflict: the line does not wait.
    """
    id_ = id_of("line", key)

    async def plan() -> Booking:
        record = await _waiting(ctx, key)
        value: Any = record.value
        done = RecordChange(
            LINES.name, key, {**value, "state": "resolved", "by": ctx.caller.name}, expected=record.revision
        )
        amount = Money(Decimal(value["amount"]), value["currency"])
        if not invoice:
            both = debit(accounts.suspense(value["source"]), amount), credit(accounts.credit_of(party), amount)
            return Booking([Entry(f"resolved|{key}", "resolution", both, f"line/{key}")], (), [done])
        return await booking(ctx, await _payment(ctx, id_, amount, invoice, value["source"]), [done])

    with contextlib.suppress(AlreadyBooked):
        await book(ctx, plan)
    return id_ if invoice else ""


async def _waiting(ctx: PluginContext, key: str) -> Record:
    record = await ctx.store.get(LINES.name, key)
    if record is None:
        raise NotFound("there is no such line", expression="http.line")
    if record.value["state"] != "unmatched" or record.value["kind"] != "payment":
        raise Conflict(f"this line is {record.value['state']}", expression="http.line")
    return record


async def _payment(ctx: PluginContext, id_: str, amount: Money, invoice: str, source: str) -> Payment:
    noted = await owned(ctx.store, f"Invoice/{invoice}")
    if noted is None:
        raise NotFound(f"Invoice/{invoice} is not in the books", expression="http.invoice")
    if noted["currency"] != amount.currency:
        raise Conflict(
            f"the line is in {amount.currency}, the invoice in {noted['currency']}", expression="http.invoice"
        )
    return Payment(
        id_, "settled", amount, invoice, noted["party"], noted["patient"], "suspense", ctx.now(), shift=source
    )  # fmt: skip

"""The drawer: cash that comes in, rounded to the coins there are, each with a receipt whose number has no gaps."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fhir_billing.cash.records import NUMBERS, RECEIPTS, open_shift_of, point_of
from fhir_billing.ledger import Booking, Entry, accounts
from fhir_billing.ledger.entry import lines
from fhir_billing.money import Money, cash_rounded, smallest_of
from fhir_billing.payments.applying import booking
from fhir_billing.payments.records import Payment
from fhir_server.plugin_api import PluginContext, RecordChange


async def cash_booking(ctx: PluginContext, payment: Payment, more: Sequence[RecordChange] = ()) -> Booking:
    """Return what is written when cash is taken in: the plan of `book`.

    The number of the receipt is counted in the commit of the payment, so that none is given twice, and none is lost
    when the process dies. Raises NotOpen.
    """
    shift = await open_shift_of(ctx.store, payment.shift)
    receipt, records = await next_receipt(ctx, point_of(shift), "payment", payment.id)
    paid, difference = _in_coins(ctx, payment.amount)
    made = await booking(ctx, payment.but(receipt=receipt, amount=payment.amount), [*records, *more])
    touched = RecordChange("fhir_billing.shifts", shift.key, dict(shift.value), expected=shift.revision)
    entries = [*made.entries, *_rounding(payment, difference)]
    del paid
    return replace(made, entries=entries, records=[*made.records, touched])


def _in_coins(ctx: PluginContext, amount: Money) -> tuple[Money, Money]:
    unit = ctx.settings.cash_units.get(amount.currency, smallest_of(amount.currency))
    return cash_rounded(amount, unit, ctx.settings.rounding)


def _rounding(payment: Payment, difference: Money) -> list[Entry]:
    """Return the entry of what the coins make a payment differ by."""
    moved = lines((accounts.cash(payment.shift), difference), (accounts.ROUNDING, -difference))
    return [Entry(f"rounding|{payment.id}", "rounding", moved, f"Invoice/{payment.invoice}")] if moved else []


async def next_receipt(ctx: PluginContext, point: str, kind: str, of: str) -> tuple[str, list[RecordChange]]:
    """Return the next number of a cash point, and the records that give it."""
    record = await ctx.store.get(NUMBERS.name, point)
    value: Any = record.value if record else {"last": 0}
    number = int(value["last"]) + 1
    name = f"{point}-{number:06d}"
    return name, [
        RecordChange(NUMBERS.name, point, {"last": number}, expected=record.revision if record else 0),
        RecordChange(RECEIPTS.name, name, {"point": point, "number": number, "kind": kind, "of": of, "at": ctx.now()},
                     expected=0),
    ]  # fmt: skip

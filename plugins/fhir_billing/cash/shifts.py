"""Shifts: a cashier opens a drawer with a float, and closes it by counting; what differs is booked, never hidden."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fhir_billing.cash.records import NUMBERS, SHIFTS, NotOpen, open_shift_of
from fhir_billing.ledger import Booking, Entry, accounts, balances, book, owner_change
from fhir_billing.ledger.entry import lines
from fhir_billing.money import Money, zero
from fhir_billing.naming import PAYMENT_ID, PAYMENT_TYPES, coded, date_of, id_of, reference
from fhir_server.plugin_api import Conflict, PluginContext, Put, RecordChange, Where, instant


@dataclass(frozen=True, slots=True)
class Counted:
    """One currency of a drawer: what the ledger says, what was counted, and what that differs by."""

    expected: Money
    counted: Money

    @property
    def difference(self) -> Money:
        """Counted less expected."""
        return self.counted - self.expected


async def open_shift(ctx: PluginContext, point: str, cashier: str, floats: Sequence[Money]) -> str:
    """Open a drawer; return the id of the shift. Raises Conflict: the cashier has one open, or the point does."""
    shift = ctx.new_id()

    async def plan() -> Booking:
        marks = []
        for field, who in (("point", point), ("cashier", cashier)):
            marks.append(await _mark(ctx, f"open|{field}|{who}", shift))
            if await ctx.store.find(SHIFTS.name, [Where("state", "=", "open"), Where(field, "=", who)], limit=1):
                raise Conflict(f"a shift of this {field} is open: close it first", expression="Parameters.parameter")
        moved = [pair for each in floats for pair in ((accounts.cash(shift), each), (accounts.bank("safe"), -each))]
        entry = [Entry(f"float|{shift}", "float", lines(*moved), f"shift/{shift}")] if any(floats) else []
        value = {"state": "open", "point": point, "cashier": cashier, "opened": ctx.now(), "closed": 0}
        return Booking(entry, (), [RecordChange(SHIFTS.name, shift, value, expected=0), *marks])

    await book(ctx, plan)
    return shift


async def _mark(ctx: PluginContext, key: str, shift: str) -> RecordChange:
    """Return a change that only one of two who open at the same instant can make."""
    record = await ctx.store.get(NUMBERS.name, key)
    return RecordChange(NUMBERS.name, key, {"shift": shift}, expected=record.revision if record else 0)


async def close_shift(
    ctx: PluginContext, shift: str, counted: Sequence[Money], cashier: str = ""
) -> tuple[list[Counted], str]:
    """Close a shift: all of its drawer goes to the safe, what is short or over is booked as such.

    Returns:
        Each currency, and the PaymentReconciliation that says so (its id).

    Raises:
        NotOpen: it is closed. Conflict: it is somebody else's.
    """
    id_ = id_of("shift", shift)
    result: list[Counted] = []

    async def plan() -> Booking:
        record = await open_shift_of(ctx.store, shift)
        value: Any = record.value
        if cashier and value["cashier"] != cashier:
            raise Conflict("this is the shift of another cashier", expression="Parameters.parameter")
        result[:] = await _counted(ctx, shift, counted)
        entries = [_closing(shift, each) for each in result if each.counted or each.expected]
        closed = RecordChange(
            SHIFTS.name, shift, {**value, "state": "closed", "closed": ctx.now()}, expected=record.revision
        )
        document = owner_change(f"PaymentReconciliation/{id_}", "shift")
        return Booking(entries, [Put(_document(ctx, id_, shift, value, result), 0)], [closed, document])

    await book(ctx, plan)
    return result, id_


async def _counted(ctx: PluginContext, shift: str, counted: Sequence[Money]) -> list[Counted]:
    there = {key[1]: money for key, money in (await balances(ctx.store, accounts.cash(shift))).items()}
    given = {money.currency: money for money in counted}
    return [
        Counted(there.get(currency, zero(currency)), given.get(currency, zero(currency)))
        for currency in sorted(there.keys() | given.keys())
    ]


def _closing(shift: str, each: Counted) -> Entry:
    currency = each.expected.currency
    pairs = [(accounts.bank("safe"), each.counted), (accounts.cash(shift), -each.expected)]
    pairs.append(("shortage/cash", -each.difference))
    return Entry(f"closing|{shift}|{currency}", "closing", lines(*pairs), f"shift/{shift}", "shift closed")


def _document(
    ctx: PluginContext, id_: str, shift: str, value: dict[str, Any], result: Sequence[Counted]
) -> dict[str, Any]:
    first = result[0].counted if result else zero(ctx.settings.currency)
    details = [
        {"type": coded(PAYMENT_TYPES, kind), "date": date_of(ctx.now()), "amount": amount.as_fhir()}
        for each in result
        for kind, amount in (("payment", each.counted), ("adjustment", each.difference))
    ]
    requestor = {"requestor": reference(value["cashier"])} if "/" in value["cashier"] else {}
    return {
        "resourceType": "PaymentReconciliation", "id": id_, "status": "active", "outcome": "complete",
        "identifier": [{"system": f"{PAYMENT_ID}/shift", "value": shift}], "created": instant(ctx.now()),
        "period": {"start": instant(value["opened"]), "end": instant(ctx.now())}, **requestor,
        "disposition": f"shift at {value['point']} closed", "paymentDate": date_of(ctx.now()),
        "paymentAmount": first.as_fhir(), **({"detail": details} if details else {}),
    }  # fmt: skip


__all__ = ["Counted", "NotOpen", "close_shift", "open_shift"]

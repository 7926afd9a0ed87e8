"""Settlement: lines that match are booked from the processor to the bank, in chunks; others wait in suspense."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fhir_billing.ledger import AlreadyBooked, Booking, Entry, Posting, accounts, book
from fhir_billing.ledger.entry import lines as postings_of
from fhir_billing.money import Money
from fhir_billing.naming import id_of
from fhir_billing.payments.processor import Answer
from fhir_billing.payments.rates import rate_from
from fhir_billing.payments.records import Payment
from fhir_billing.payments.settling import apply
from fhir_billing.payments.states import State, may_follow
from fhir_billing.reconciliation.lines import LINES, Line
from fhir_billing.reconciliation.matching import account_for, claims_for, match, payments_for
from fhir_server.plugin_api import PluginContext, RecordChange, Where

CHUNK: Final = 500


@dataclass(slots=True)
class Counts:
    """What came of the lines of a file."""

    matched: int = 0
    unmatched: int = 0
    repeated: int = 0
    confirmed: int = 0


@dataclass(frozen=True, slots=True)
class Statement:
    """A file: source is the name of a processor, or `bank`; digest names its content."""

    source: str
    digest: str

    def key(self, line: Line) -> str:
        """Return the key of a line."""
        return f"{self.source}|{line.id}"[:300]


async def settle(ctx: PluginContext, statement: Statement, lines: Sequence[Line], counts: Counts) -> None:
    """Take in one chunk of lines; those that were taken in before are left out, so a file may be sent again."""
    fresh = await _fresh(ctx, statement, lines)
    counts.repeated += len(lines) - len(fresh)
    if not fresh:
        return
    counts.confirmed += await _confirm(ctx, statement, fresh)
    done: list[int] = []

    async def plan() -> Booking:
        booking, matched = await _booking(ctx, statement, fresh)
        done[:] = [matched]
        return booking

    try:
        await book(ctx, plan)
    except AlreadyBooked:
        counts.repeated += len(fresh)
        return
    counts.matched += done[0]
    counts.unmatched += len(fresh) - done[0]


async def _fresh(ctx: PluginContext, statement: Statement, lines: Sequence[Line]) -> list[Line]:
    keys = {statement.key(line): line for line in lines}
    names = list(keys)
    known = {each.key for each in await ctx.store.find(LINES.name, [Where("key", "in", names)], limit=len(names))}
    return [line for key, line in keys.items() if key not in known]


async def _confirm(ctx: PluginContext, statement: Statement, lines: Sequence[Line]) -> int:
    """Book what a statement is the first to tell of: bank transfers, PayNow, mobile money without an answer."""
    payments = await payments_for(ctx.store, lines)
    count = 0
    for line in lines:
        payment = match(line, payments)
        if payment is not None and line.kind == "payment" and may_follow(payment.state, "succeeded"):
            after = await apply(ctx, payment.id, Answer("succeeded", line.id, line.amount, why="the statement says so"))
            count += after.state == "succeeded"
    return count


async def _booking(ctx: PluginContext, statement: Statement, lines: Sequence[Line]) -> tuple[Booking, int]:
    """Return what is written for lines, and how many of them matched."""
    payments, claims = await payments_for(ctx.store, lines), await claims_for(ctx.store, lines)
    sums: dict[tuple[str, str], Money] = {}
    records: list[RecordChange] = []
    taken: set[str] = set()
    matched = 0
    for line in lines:
        found = match(line, payments)
        payment = found if found is not None and found.id not in taken and _fits(line, found) else None
        claim = "" if found is not None else await account_for(ctx.store, line, claims, taken)
        taken |= {name for name in (claim, payment.id if payment else "") if name}
        _add(sums, _postings(statement, line, payment, claim))
        if payment is not None:
            records.append(_next(line, payment).change())
        known = payment is not None or bool(claim) or line.kind == "fee"
        matched += known
        records.append(_noted(ctx, statement, line, "matched" if known else "unmatched", found))
    moved = postings_of(*[(account, amount) for (account, _), amount in sums.items()])
    floors = sorted(set(claims.values()) & taken)
    return Booking([_entry(statement, lines, moved)] if moved else [], (), records, floors), matched


def _add(sums: dict[tuple[str, str], Money], rows: Sequence[tuple[str, Money]]) -> None:
    for account, amount in rows:
        both = (account, amount.currency)
        sums[both] = sums[both] + amount if both in sums else amount


def _entry(statement: Statement, lines: Sequence[Line], moved: tuple[Posting, ...]) -> Entry:
    key = f"settlement|{statement.source}|{id_of(*[line.id for line in lines])}"
    return Entry(key, "settlement", moved, f"statement/{statement.source}", statement.digest[:16])


def _wanted(line: Line, payment: Payment) -> State | None:
    """Return the state that a line brings a payment to; None where it brings it to none."""
    if line.kind == "payment":
        return "settled"
    if line.kind == "chargeback":
        return "lost" if payment.state == "disputed" else "disputed"
    return None


def _fits(line: Line, payment: Payment) -> bool:
    """Tell whether a line can be that payment: its amount to the last unit, and its state."""
    wanted = _wanted(line, payment)
    return wanted is not None and line.amount == payment.amount and may_follow(payment.state, wanted)


def _next(line: Line, payment: Payment) -> Payment:
    state = _wanted(line, payment)
    assert state is not None
    return payment.but(state=state, more={**payment.more, "settled": line.day})


def _postings(statement: Statement, line: Line, payment: Payment | None, claim: str) -> list[tuple[str, Money]]:
    """Return the lines of the entry: between bank and processor, or between bank and suspense."""
    bank = accounts.bank()
    if line.kind == "fee":
        return [(accounts.fee(statement.source), line.amount), (bank, -line.amount)]
    sign = 1 if line.kind == "payment" else -1
    amount = line.amount if sign > 0 else -line.amount
    if payment is None:
        where = [(claim or accounts.suspense(statement.source), -amount), (bank, amount - line.fee)]
        return [*where, (accounts.fee(statement.source), line.fee)] if line.fee else where
    if line.kind == "chargeback":
        return [(accounts.receivable(payment.party, payment.invoice), line.amount), (bank, -line.amount)]
    if payment.processor in ("bank", "paynow"):
        return [(bank, line.amount), (_held(payment), -line.amount)] if payment.processor != "bank" else []
    if line.settled is not None and line.settled.currency != line.amount.currency:
        return _exchanged(statement, line, payment)
    return [(bank, line.net), (accounts.fee(statement.source), line.fee), (_held(payment), -line.amount)]


def _held(payment: Payment) -> str:
    return accounts.processor(payment.processor)


def _exchanged(statement: Statement, line: Line, payment: Payment) -> list[tuple[str, Money]]:
    """Return the lines where the processor pays in another currency: what that differs by from the rate at which the
    payment was booked is a gain or a loss, and realized."""
    came = line.settled
    assert came is not None
    rows = [(_held(payment), -line.amount), (accounts.fee(statement.source), line.fee)]
    rows += [(accounts.exchange(line.amount.currency), line.net), (accounts.bank(), came)]
    rate = rate_from(payment.rate) if payment.rate else None
    booked = came
    if rate is not None and {rate.base, rate.quote} == {came.currency, line.amount.currency}:
        booked = rate.convert(line.net)
    rows += [(accounts.exchange(came.currency), -booked), (accounts.FX, booked - came)]
    return rows


def _noted(ctx: PluginContext, statement: Statement, line: Line, state: str, payment: Payment | None) -> RecordChange:
    value = {
        "state": state, "source": statement.source, "at": ctx.now(), "kind": line.kind, "day": line.day,
        "amount": str(line.amount.amount), "currency": line.amount.currency, "fee": str(line.fee.amount),
        "references": list(line.references), "text": line.text[:200] if state == "unmatched" else "",
        "payment": payment.id if payment else "", "file": statement.digest[:16],
    }  # fmt: skip
    return RecordChange(LINES.name, statement.key(line), value, expected=0)

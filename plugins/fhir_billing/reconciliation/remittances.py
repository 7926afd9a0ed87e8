"""Remittances of payers (X12 835) against what they owe: paid, written off by contract, left to the patient, denied."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from fhir_billing.claims.incoming import settle_paid
from fhir_billing.claims.records import CLAIMS
from fhir_billing.ledger import (
    AlreadyBooked,
    Booking,
    Entry,
    accounts,
    balance,
    book,
    entry_of,
    owned,
    owner_change,
)
from fhir_billing.ledger.entry import lines as postings_of
from fhir_billing.money import Money
from fhir_billing.naming import PAYMENT_ID, PAYMENT_TYPES, coded, date_of, id_of
from fhir_billing.reconciliation.lines import LINES
from fhir_billing.reconciliation.settlement import Counts
from fhir_billing.x12.remittance import BadRemittance, Paid, Remittance, parse_835
from fhir_server.plugin_api import BadValue, PluginContext, Put, RecordChange, instant

_CONTRACT: Final = frozenset(("45", "97", "253"))
"""Reasons of group CO that a contract takes off for good; another denial stays open until somebody gives it up."""


@dataclass(frozen=True, slots=True)
class Owing:
    """Who owes on a claim, and whether a decision on it is booked already."""

    payer: str
    patient: str
    decided: bool
    open: Money


async def remit(ctx: PluginContext, source: str, data: bytes, counts: Counts) -> list[str]:
    """Book the remittances of a file; return their PaymentReconciliations. The same one again changes nothing.

    Raises:
        BadValue: the file is no 835, or a sum in it is wrong; nothing of it is booked.
    """
    try:
        found = parse_835(data)
    except BadRemittance as error:
        raise BadValue(f"the 835 cannot be booked: {error}", expression="http.file") from error
    named = [await _named(ctx, each) for each in found]
    return [await _one(ctx, source, each, counts) for each in named]


async def _named(ctx: PluginContext, found: Remittance) -> Remittance:
    """Return a remittance whose claims have the ids that they have here; those that wait for it are decided."""
    claims = [replace(paid, claim=await settle_paid(ctx, paid)) for paid in found.claims]
    return replace(found, claims=tuple(claims))


async def _one(ctx: PluginContext, source: str, found: Remittance, counts: Counts) -> str:
    id_ = id_of("835", source, found.payer_id, found.trace)
    done: list[int] = []

    async def plan() -> Booking:
        owing = {paid.claim: await _owing(ctx, paid) for paid in found.claims}
        done[:] = [sum(each is not None for each in owing.values())]
        return _booking(ctx, source, id_, found, owing)

    try:
        await book(ctx, plan)
    except AlreadyBooked:
        counts.repeated += len(found.claims)
        return id_
    counts.matched += done[0]
    counts.unmatched += len(found.claims) - done[0]
    return id_


async def _owing(ctx: PluginContext, paid: Paid) -> Owing | None:
    noted = await owned(ctx.store, f"Claim/{paid.claim}")
    record = await ctx.store.get(CLAIMS.name, paid.claim)
    value: Any = record.value if record else {}
    payer = str((noted or {}).get("party") or value.get("payor") or "")
    patient = str((noted or {}).get("patient") or value.get("patient") or "")
    if not payer or not patient:
        return None
    decided = await entry_of(ctx.store, f"adjudication|{paid.claim}|1") is not None
    open_ = await balance(ctx.store, accounts.receivable(payer, paid.claim), paid.paid.currency)
    return Owing(payer, patient if "/" in patient else f"Patient/{patient}", decided, open_)


def _booking(ctx: PluginContext, source: str, id_: str, found: Remittance, owing: dict[str, Owing | None]) -> Booking:
    rows: list[tuple[str, Money]] = []
    records: list[RecordChange] = [owner_change(f"PaymentReconciliation/{id_}", "remittance")]
    for paid in found.claims:
        who = owing[paid.claim]
        if who is None:
            rows += [(accounts.bank(), paid.paid), (accounts.suspense(source), -paid.paid)]
            records.append(_waiting(ctx, source, found, paid))
        else:
            rows += list(_rows(source, paid, who))
    for _, _, amount in found.withheld:
        rows += [(accounts.suspense(f"{source}-withheld"), amount), (accounts.bank(), -amount)]
    sums: defaultdict[tuple[str, str], Money] = defaultdict()
    for account, amount in rows:
        key = (account, amount.currency)
        sums[key] = sums[key] + amount if key in sums else amount
    moved = postings_of(*[(account, amount) for (account, _), amount in sums.items()])
    floors = [accounts.receivable(who.payer, claim) for claim, who in owing.items() if who is not None]
    entry = Entry(f"remittance|{id_}", "remittance", moved, f"PaymentReconciliation/{id_}", found.trace[:50])
    return Booking([entry] if moved else [], [Put(_document(ctx, id_, found), 0)], records, floors)


def _rows(source: str, paid: Paid, who: Owing) -> Iterator[tuple[str, Money]]:
    """Yield what one claim moves. What comes beyond what is owed waits in suspense."""
    owed = accounts.receivable(who.payer, paid.claim)
    left = who.open
    if not who.decided:
        for each in _adjustments(paid):
            yield _account(each[0], each[1], paid, who), each[2]
            yield owed, -each[2]
            left = left - each[2]
    on_it = min(paid.paid, max(left, left - left, key=_amount), key=_amount)
    yield accounts.bank(), paid.paid
    yield owed, -on_it
    yield accounts.suspense(source), on_it - paid.paid


def _amount(money: Money) -> Any:
    return money.amount


def _adjustments(paid: Paid) -> Sequence[tuple[str, str, Money]]:
    own = [(each.group, each.reason, each.amount) for each in paid.adjustments]
    return own + [(each.group, each.reason, each.amount) for line in paid.lines for each in line.adjustments]


def _account(group: str, reason: str, paid: Paid, who: Owing) -> str:
    if group == "PR":
        return accounts.receivable(who.patient, paid.claim)
    if group == "CO" and reason in _CONTRACT:
        return accounts.contractual(who.payer)
    if group == "CO":
        return accounts.receivable(who.payer, f"{paid.claim}.denied")
    return accounts.writeoff(group.lower())


def _waiting(ctx: PluginContext, source: str, found: Remittance, paid: Paid) -> RecordChange:
    value = {
        "state": "unmatched", "source": source, "at": ctx.now(), "kind": "payment", "day": str(found.paid_on or ""),
        "amount": str(paid.paid.amount), "currency": paid.paid.currency, "fee": "0", "references": [paid.claim],
        "text": f"835 {found.trace}: claim {paid.claim}"[:200], "payment": "", "file": found.trace[:16],
    }  # fmt: skip
    return RecordChange(LINES.name, f"{source}|{found.trace}|{paid.claim}"[:300], value, expected=0)


def _document(ctx: PluginContext, id_: str, found: Remittance) -> dict[str, Any]:
    day = found.paid_on.isoformat() if found.paid_on else date_of(ctx.now())
    details = [
        {"type": coded(PAYMENT_TYPES, "payment"), "amount": each.paid.as_fhir(), "date": day,
         "identifier": {"value": each.claim}}
        for each in found.claims
    ]  # fmt: skip
    issuer = {"paymentIssuer": {"display": found.payer}} if found.payer else {}
    return {
        "resourceType": "PaymentReconciliation", "id": id_, "status": "active", "outcome": "complete",
        "created": instant(ctx.now()), "paymentDate": day, "paymentAmount": found.total.as_fhir(), **issuer,
        "paymentIdentifier": {"system": f"{PAYMENT_ID}/trace", "value": found.trace},
        "disposition": f"remittance {found.trace}", **({"detail": details} if details else {}),
    }  # fmt: skip

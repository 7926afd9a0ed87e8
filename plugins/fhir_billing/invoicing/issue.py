"""Issuing: charges become invoices, claims and exemptions, all in one commit; and taking an invoice back."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fhir_billing.dunning.reminders import first_due
from fhir_billing.invoicing.documents import claim, invoice
from fhir_billing.invoicing.lines import Line, Share, amounts_of, open_lines, spread, sum_of
from fhir_billing.ledger import (
    AlreadyBooked,
    Booking,
    Entry,
    accounts,
    balance,
    book,
    credit,
    debit,
    entry_of,
    owned,
    owner_change,
    reversal,
)
from fhir_billing.ledger.entry import lines as postings_of
from fhir_billing.ledger.records import DOCUMENTS
from fhir_billing.money import Money
from fhir_billing.naming import id_of
from fhir_server.plugin_api import Conflict, NotFound, PluginContext, Put, Record, RecordChange


class NothingToBill(Conflict):
    """There are no charges that are on no invoice yet."""

    code = "business-rule"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be billed. key: of the request; the same key makes the same documents."""

    patient: str
    shares: tuple[Share, ...]
    key: str
    context: str = ""
    account: str = ""
    items: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Issued:
    """The documents that were made: names of Invoices and Claims."""

    invoices: tuple[str, ...]
    claims: tuple[str, ...]


async def issue(ctx: PluginContext, wanted: Wanted) -> Issued:
    """Bill what is charged; asked again with the same key, return the same.

    Raises:
        NothingToBill: there is nothing.
        MoneyFault: several currencies, or shares that do not come to the whole.
    """
    ids = [id_of("bill", wanted.key, str(number)) for number in range(len(wanted.shares))]
    issued = _issued(wanted.shares, ids)
    if await entry_of(ctx.store, _entry_key(wanted.shares[0], ids[0])) is not None:
        return issued

    async def plan() -> Booking:
        found = await open_lines(
            ctx, wanted.patient, context=wanted.context, account=wanted.account, items=wanted.items
        )
        if not found:
            raise NothingToBill("nothing is charged that is not on an invoice yet", expression="ChargeItem")
        return await _booking(ctx, wanted, ids, found)

    with contextlib.suppress(AlreadyBooked):
        await book(ctx, plan)
    return issued


def _issued(shares: Sequence[Share], ids: Sequence[str]) -> Issued:
    pairs = list(zip(shares, ids, strict=True))
    return Issued(
        tuple(f"Invoice/{id_}" for share, id_ in pairs if share.kind == "invoice"),
        tuple(f"Claim/{id_}" for share, id_ in pairs if share.kind == "claim"),
    )


def _entry_key(share: Share, id_: str) -> str:
    return f"{share.kind}|{id_}"


async def _booking(ctx: PluginContext, wanted: Wanted, ids: Sequence[str], found: Sequence[Line]) -> Booking:
    amounts = amounts_of(sum_of(found), wanted.shares)
    table = spread(found, amounts)
    items = {line.item: await ctx.own.read(*line.item.split("/")) for line in found}
    puts = [_billed(item) for item in items.values()]
    documents = [_noted(line, ids) for line in found]
    entries = []
    for share, id_, amount, row in zip(wanted.shares, ids, amounts, table, strict=True):
        entries.append(_entry(wanted, share, id_, amount))
        resource = _document(ctx, wanted, share, id_, [*zip(found, row, strict=True)], items)
        if resource is not None:
            puts.append(Put(resource, 0))
            documents.append(_owner(ctx, wanted, share, id_, amount))
    return Booking(entries, puts, documents)


def _billed(item: Mapping[str, Any]) -> Put:
    return Put({**item, "status": "billed"}, int(item["meta"]["versionId"]))


def _noted(line: Line, ids: Sequence[str]) -> RecordChange:
    value = {**line.record.value, "invoice": ",".join(ids)}
    return RecordChange(DOCUMENTS.name, line.item, value, expected=line.record.revision)


def _owner(ctx: PluginContext, wanted: Wanted, share: Share, id_: str, amount: Money) -> RecordChange:
    type_ = "Invoice" if share.kind == "invoice" else "Claim"
    due = first_due(ctx.settings.dunning_days, ctx.now()) if type_ == "Invoice" and amount else 0
    facts = {
        "patient": wanted.patient, "party": share.party, "currency": amount.currency, "total": str(amount.amount),
        "status": "issued", "at": ctx.now(), "due": due, "coverage": share.coverage, "items": list(wanted.items),
    }  # fmt: skip
    return owner_change(f"{type_}/{id_}", share.kind, **facts)


def _entry(wanted: Wanted, share: Share, id_: str, amount: Money) -> Entry:
    patient = wanted.patient.partition("/")[2]
    account = (
        accounts.exemption(share.code or "waived")
        if share.kind == "exemption"
        else accounts.receivable(share.party, id_)
    )
    about = {"invoice": "Invoice/", "claim": "Claim/", "exemption": "exemption/"}[share.kind] + id_
    both = debit(account, amount), credit(accounts.unbilled(patient), amount)
    return Entry(_entry_key(share, id_), "invoice" if share.kind != "exemption" else "exemption", both, about)


def _document(
    ctx: PluginContext, wanted: Wanted, share: Share, id_: str, rows: list[tuple[Line, Money]], items: Mapping[str, Any]
) -> dict[str, Any] | None:
    amounts = [part for _, part in rows]
    amount = sum(amounts[1:], start=amounts[0])
    if share.kind == "invoice":
        return invoice(ctx, id_, share, wanted.patient, rows, amount)
    if share.kind == "claim":
        return claim(ctx, id_, share, wanted.patient, [(line, part, items[line.item]) for line, part in rows])
    return None


async def cancel(ctx: PluginContext, id_: str, reason: str) -> None:
    """Take an invoice back: its entry is reversed, its charges may be billed anew, what was paid is the party's credit.

    Raises:
        NotFound: it is not one of the ledger. Conflict: it is shared with others, who have theirs.
    """
    name = f"Invoice/{id_}"

    async def plan() -> Booking:
        noted, booked = await owned(ctx.store, name), await entry_of(ctx.store, f"invoice|{id_}")
        if noted is None or booked is None:
            raise NotFound(f"{name} is no invoice of the ledger", expression="Invoice")
        lines = await _lines_of(ctx, noted, id_)
        resource = await ctx.own.read("Invoice", id_)
        cancelled = {**resource, "status": "cancelled", "cancelledReason": reason}
        puts = [Put(cancelled, int(resource["meta"]["versionId"])), *[await _billable(ctx, line.key) for line in lines]]
        records = [replace_value(line, invoice="") for line in lines]
        records.append(RecordChange(DOCUMENTS.name, name, {**noted, "status": "cancelled"}))
        entries = [reversal(booked, reason), *await _given_back(ctx, noted, id_)]
        return Booking(entries, puts, records, [accounts.receivable(noted["party"], id_)])

    with contextlib.suppress(AlreadyBooked):
        await book(ctx, plan)


async def _lines_of(ctx: PluginContext, noted: Mapping[str, Any], id_: str) -> list[Record]:
    from fhir_billing.ledger.balances import each
    from fhir_server.plugin_api import Where

    where = [Where("kind", "=", "charge"), Where("patient", "=", noted["patient"])]
    found = [record async for record in each(ctx.store, DOCUMENTS.name, where)]
    on_it = [record for record in found if id_ in str(record.value["invoice"]).split(",")]
    if any("," in str(record.value["invoice"]) for record in on_it):
        raise Conflict(
            "this invoice is one of several shares: give a refund, or cancel by a credit", expression="Invoice"
        )
    return on_it


async def _billable(ctx: PluginContext, item: str) -> Put:
    resource = await ctx.own.read(*item.split("/"))
    return Put({**resource, "status": "billable"}, int(resource["meta"]["versionId"]))


def replace_value(record: Record, **changes: Any) -> RecordChange:
    """Return the change of a document's record."""
    return RecordChange(DOCUMENTS.name, record.key, {**record.value, **changes}, expected=record.revision)


async def _given_back(ctx: PluginContext, noted: Mapping[str, Any], id_: str) -> list[Entry]:
    """Return the entry that makes what was paid on an invoice the credit of who paid it."""
    account = accounts.receivable(noted["party"], id_)
    open_ = await balance(ctx.store, account, noted["currency"])
    paid = Money(replace(open_, amount=type(open_.amount)(noted["total"]) - open_.amount).amount, open_.currency)
    moved = postings_of((account, paid), (accounts.credit_of(noted["party"]), -paid))
    return [Entry(f"uncredit|{id_}", "credit", moved, f"Invoice/{id_}")] if moved else []

"""`PaymentReconciliation/$reconcile`: a statement against the books; what nobody knows, and what it was for."""

import asyncio
import base64
import binascii
from collections.abc import Iterator
from decimal import Decimal
from hashlib import sha256
from itertools import islice
from typing import Any

from fhir_billing.ledger import Booking, book, owner_change
from fhir_billing.naming import PAYMENT_ID, date_of, id_of
from fhir_billing.operations.authority import for_staff
from fhir_billing.operations.definitions import definition, part, parts
from fhir_billing.operations.inputs import seen
from fhir_billing.reconciliation.formats import read
from fhir_billing.reconciliation.lines import LINES, Line
from fhir_billing.reconciliation.matching import suggestions
from fhir_billing.reconciliation.remittances import remit
from fhir_billing.reconciliation.resolving import resolve
from fhir_billing.reconciliation.settlement import CHUNK, Counts, Statement, settle
from fhir_server.plugin_api import BadValue, Call, Operation, Outputs, PluginContext, Put, Where, instant

_LISTED = 50

FACTS = definition(
    "reconcile", ("PaymentReconciliation",), "Hold a statement against the books",
    [
        part("source", "code", "Whose statement: the name of a processor, or bank; of an 835, of the payer."),
        part("format", "code", "plain, stripe, paystack, flutterwave, mpesa, bank, or 835 of a payer."),
        part("file", "base64Binary", "The file. It may be sent again: each line counts once."),
        part("line", "string", "A line that waits: say what it is for."),
        part("invoice", "Reference", "The invoice that it pays."),
        part("party", "Reference", "Or whose credit it is."),
    ],
    [
        part("lines", "integer", "Lines of the file."), part("matched", "integer", "Booked to the bank."),
        part("confirmed", "integer", "Payments that this was the first to tell of."),
        part("repeated", "integer", "Lines that were taken in before."),
        part("unmatched", "integer", "Lines that wait in suspense, of this file, or of all where none is sent."),
        parts("waiting", "Lines that wait, the oldest first.", [
            part("line", "string", "Its key.", least=1), part("day", "string", "Its day."),
            part("amount", "Money", "Its amount.", least=1), part("text", "string", "What it says."),
            part("suggestion", "string", "What it may be for.", most="*"),
        ]),
        part("payment", "string", "The payment that a line became."),
        part("reconciliation", "PaymentReconciliation", "The document of the file.", most="*"),
    ],
)  # fmt: skip


async def run(ctx: PluginContext, call: Call) -> Outputs:
    """Answer a call."""
    inputs = call.inputs
    if inputs.one("line"):
        invoice, party = await seen(ctx, inputs, "invoice", ("Invoice",)), await seen(ctx, inputs, "party", _PARTIES)
        if bool(invoice) == bool(party):
            raise BadValue("name the invoice that it pays, or the party whose credit it is", expression="http.invoice")
        payment = await resolve(ctx, str(inputs.one("line")), invoice.partition("/")[2], party)
        return Outputs([("payment", payment)] if payment else [])
    if inputs.one("file") is None:
        return Outputs(await _waiting(ctx))
    return Outputs(await _file(ctx, call))


_PARTIES = ("Patient", "Organization", "RelatedPerson", "Practitioner")


async def _file(ctx: PluginContext, call: Call) -> list[tuple[str, Any]]:
    inputs = call.inputs
    source, format_ = str(inputs.one("source", "")), str(inputs.one("format", "plain"))
    if source != "bank" and source not in ctx.settings.processors and format_ != "835":
        raise BadValue("source is the name of a processor, or bank", expression="http.source")
    try:
        data = base64.b64decode(str(inputs.one("file")), validate=True)
    except (ValueError, binascii.Error):
        raise BadValue("the file is not base64", expression="http.file") from None
    if format_ == "835":
        return await _remitted(ctx, source, data)
    statement, counts = Statement(source, sha256(data).hexdigest()), Counts()
    lines = await asyncio.to_thread(lambda: list(read(format_, data)))  # all of it is good, or nothing is booked
    rest: Iterator[Line] = iter(lines)
    while chunk := list(islice(rest, CHUNK)):
        await settle(ctx, statement, chunk, counts)
    document = await _document(ctx, statement, lines, counts)
    found = [("lines", len(lines)), ("matched", counts.matched), ("confirmed", counts.confirmed)]
    found += [("repeated", counts.repeated), ("unmatched", counts.unmatched)]
    return [*found, *([("reconciliation", document)] if document else [])]


async def _remitted(ctx: PluginContext, source: str, data: bytes) -> list[tuple[str, Any]]:
    counts = Counts()
    made = await remit(ctx, source or "payer", data, counts)
    found: list[tuple[str, Any]] = [("matched", counts.matched), ("repeated", counts.repeated)]
    found.append(("unmatched", counts.unmatched))
    return [*found, *[("reconciliation", await ctx.own.read("PaymentReconciliation", each)) for each in made]]


async def _document(
    ctx: PluginContext, statement: Statement, lines: list[Line], counts: Counts
) -> dict[str, Any] | None:
    """Write the PaymentReconciliation of a file, once."""
    id_ = id_of("statement", statement.source, statement.digest)
    if not lines:
        return None
    paid = [line.net for line in lines if line.kind == "payment" and line.amount.currency == lines[0].amount.currency]
    whole = sum(paid[1:], start=paid[0]) if paid else lines[0].amount - lines[0].amount
    resource = {
        "resourceType": "PaymentReconciliation", "id": id_, "status": "active", "outcome": "complete",
        "identifier": [{"system": f"{PAYMENT_ID}/statement", "value": statement.digest[:32]}],
        "created": instant(ctx.now()), "paymentDate": date_of(ctx.now()), "paymentAmount": whole.as_fhir(),
        "disposition": f"{statement.source}: {counts.matched} lines matched, {counts.unmatched} wait",
    }  # fmt: skip

    async def plan() -> Booking:
        if await ctx.own.find("PaymentReconciliation", id_) is not None:
            return Booking()
        return Booking((), [Put(resource, 0)], [owner_change(f"PaymentReconciliation/{id_}", "statement")])

    await book(ctx, plan)
    return await ctx.own.read("PaymentReconciliation", id_)


async def _waiting(ctx: PluginContext) -> list[tuple[str, Any]]:
    found = await ctx.store.find(LINES.name, [Where("state", "=", "unmatched")], order="at", limit=_LISTED)
    rows: list[tuple[str, Any]] = [("unmatched", len(found))]
    for record in found:
        value: Any = record.value
        known = await suggestions(ctx.store, value["currency"], value["amount"])
        money = {"value": value["amount"], "currency": value["currency"]}
        rows.append(("waiting", [
            ("line", record.key), ("day", value["day"]), ("amount", _number(money)), ("text", value["text"] or "-"),
            *[("suggestion", each) for each in known],
        ]))  # fmt: skip
    return rows


def _number(money: dict[str, str]) -> dict[str, Any]:
    return {"value": Decimal(money["value"]), "currency": money["currency"]}


OPERATION = Operation(FACTS, for_staff(run), "Hold a statement against the books; say what waiting lines are for.")

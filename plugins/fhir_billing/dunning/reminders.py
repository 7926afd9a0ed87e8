"""Dunning: an invoice that is not paid is asked for again, in steps; each step once."""

from typing import Any

from fhir_billing.ledger import AlreadyBooked, Booking, accounts, balance, book
from fhir_billing.ledger.records import DOCUMENTS
from fhir_billing.money import Money
from fhir_billing.naming import id_of, reference
from fhir_server.plugin_api import PluginContext, Put, Record, RecordChange, Where, instant

DAY = 86_400_000


def first_due(days: tuple[int, ...], at: int) -> int:
    """Return when an invoice of this time is dunned first; 0 for never."""
    return at + days[0] * DAY if days else 0


async def remind(ctx: PluginContext) -> int:
    """Take the next step with each invoice whose time has come; return how many there were."""
    where = [Where("kind", "=", "invoice"), Where("due", ">", 0), Where("due", "<=", ctx.now())]
    found = await ctx.store.find(DOCUMENTS.name, where, limit=500)
    for record in found:
        await _step(ctx, record.key)
    return len(found)


async def _step(ctx: PluginContext, document: str) -> None:
    async def plan() -> Booking:
        record = await ctx.store.get(DOCUMENTS.name, document)
        assert record is not None
        value: Any = record.value
        if not 0 < value["due"] <= ctx.now():
            return Booking()
        account = accounts.receivable(value["party"], document.partition("/")[2])
        open_ = await balance(ctx.store, account, value["currency"])
        if value["status"] != "issued" or open_.amount <= 0:
            return Booking((), (), [_change(record, due=0)])
        level, days = int(value.get("level", 0)) + 1, ctx.settings.dunning_days
        due = value["at"] + days[level] * DAY if level < len(days) else 0
        letter = Put(_letter(ctx, document, value, level, open_), 0)
        return Booking((), [letter], [_change(record, due=due, level=level)])

    try:
        await book(ctx, plan)
    except AlreadyBooked:
        return


def _change(record: Record, **changes: Any) -> RecordChange:
    return RecordChange(DOCUMENTS.name, record.key, {**record.value, **changes}, expected=record.revision)


def _letter(ctx: PluginContext, document: str, value: Any, level: int, open_: Money) -> dict[str, Any]:
    """Return the request to write to who owes: https://hl7.org/fhir/R4/communicationrequest.html"""
    return {
        "resourceType": "CommunicationRequest", "id": id_of("dunning", document, str(level)), "status": "active",
        "category": [{"text": "dunning"}], "priority": "routine" if level == 1 else "urgent",
        "subject": reference(value["patient"]), "about": [reference(document)], "authoredOn": instant(ctx.now()),
        "recipient": [reference(value["party"])],
        "payload": [{"contentString": f"Reminder {level}: {open_} is open on {document}."}],
    }  # fmt: skip

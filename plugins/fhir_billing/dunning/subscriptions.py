"""Subscriptions: something that is charged and billed in each period, until it is ended; once for each, whatever
happens. When its invoices are dunned to the end unpaid it is suspended."""

import calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from fhir_billing.charging.charge import Charge, charge
from fhir_billing.invoicing.issue import NothingToBill, Wanted, issue
from fhir_billing.invoicing.lines import Share
from fhir_billing.ledger import owned
from fhir_server.plugin_api import (
    BadValue,
    Collection,
    PluginContext,
    Record,
    RecordChange,
    RecordChanged,
    RecordField,
    Where,
)

SUBSCRIPTIONS: Final = Collection(
    "fhir_billing.subscriptions", (RecordField("state"), RecordField("due", "integer"), RecordField("patient"))
)
_MOST: Final = 24
"""Periods that are made up for at once, after a long stop."""


@dataclass(frozen=True, slots=True)
class Period:
    """How often: so many months, or days."""

    months: int = 0
    days: int = 0

    def __post_init__(self) -> None:
        """Refuse what is no period. Raises BadValue."""
        if (self.months > 0) == (self.days > 0) or self.months > 120 or self.days > 3_650:
            raise BadValue("a period is a number of months, or of days", expression="http.months")

    def start_of(self, first: date, number: int) -> date:
        """Return the first day of a period, from 0; the 31st is the last day of a shorter month."""
        if self.days:
            return first + timedelta(days=self.days * number)
        month = first.month - 1 + self.months * number
        year, month = first.year + month // 12, month % 12 + 1
        return date(year, month, min(first.day, calendar.monthrange(year, month)[1]))


async def subscribe(
    ctx: PluginContext, patient: str, party: str, code: dict[str, Any], period: Period, first: date
) -> str:
    """Begin a subscription; return its id."""
    id_ = ctx.new_id()
    value = {
        "state": "active", "patient": patient, "party": party, "code": code, "months": period.months,
        "days": period.days, "first": first.isoformat(), "number": 0, "due": _at(first), "last": "",
    }  # fmt: skip
    await ctx.store.put(RecordChange(SUBSCRIPTIONS.name, id_, value, expected=0))
    return id_


async def end(ctx: PluginContext, id_: str) -> bool:
    """End a subscription; tell whether there was one."""
    record = await ctx.store.get(SUBSCRIPTIONS.name, id_)
    if record is not None:
        await ctx.store.put(_change(record, state="ended"))
    return record is not None


def _at(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)


async def bill_due(ctx: PluginContext) -> int:
    """Bill the periods that have begun; return how many."""
    where = [Where("state", "=", "active"), Where("due", "<=", ctx.now())]
    count = 0
    for record in await ctx.store.find(SUBSCRIPTIONS.name, where, order="due", limit=500):
        count += await _bill(ctx, record.key)
    return count


async def _bill(ctx: PluginContext, id_: str) -> int:
    """Bill one subscription up to now. What is made is named by its period, so that a crash in between makes nothing
    twice."""
    for count in range(_MOST):
        record = await ctx.store.get(SUBSCRIPTIONS.name, id_)
        assert record is not None
        value: Any = record.value
        if value["state"] != "active" or value["due"] > ctx.now():
            return count
        if await _given_up(ctx, value["last"]):
            await ctx.store.put(_change(record, state="suspended"))
            return count
        period, first = Period(value["months"], value["days"]), date.fromisoformat(value["first"])
        invoice = await _invoice(ctx, id_, value, period.start_of(first, value["number"]))
        due = _at(period.start_of(first, value["number"] + 1))
        try:
            await ctx.store.put(_change(record, number=value["number"] + 1, due=due, last=invoice))
        except RecordChanged:
            return count
    return _MOST


async def _invoice(ctx: PluginContext, id_: str, value: Any, day: date) -> str:
    source = f"subscription/{id_}-{value['number']}"
    wanted = Charge(source, value["patient"], value["code"], day.isoformat())
    item = await charge(ctx, wanted)
    assert item is not None
    share = Share(value["party"], "invoice")
    bill = Wanted(value["patient"], (share,), source, items=(f"ChargeItem/{item['id']}",))
    try:
        return (await issue(ctx, bill)).invoices[0]
    except NothingToBill:
        return ""  # somebody billed it by hand


async def _given_up(ctx: PluginContext, invoice: str) -> bool:
    """Tell whether the last invoice was dunned to the end, and is open."""
    noted = await owned(ctx.store, invoice) if invoice else None
    steps = len(ctx.settings.dunning_days)
    return noted is not None and noted["status"] == "issued" and steps > 0 and int(noted.get("level", 0)) >= steps


def _change(record: Record, **changes: Any) -> RecordChange:
    return RecordChange(SUBSCRIPTIONS.name, record.key, {**record.value, **changes}, expected=record.revision)

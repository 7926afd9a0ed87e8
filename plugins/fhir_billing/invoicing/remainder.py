"""What is left to a patient after an insurer decided, as an Invoice that can be paid."""

import contextlib
from collections.abc import Mapping
from typing import Any

from fhir_billing.dunning.reminders import first_due
from fhir_billing.ledger import AlreadyBooked, Booking, Entry, accounts, balance, book, credit, debit, owner_change
from fhir_billing.money import Money
from fhir_billing.naming import PRICE_REASONS, coded, id_of, reference
from fhir_server.plugin_api import Conflict, PluginContext, Put, instant


async def bill_remainder(ctx: PluginContext, claim: str, key: str) -> str:
    """Make the Invoice of what a patient owes on a claim; return its name.

    Raises:
        Conflict: they owe nothing on it that is not on an invoice.
    """
    id_ = id_of("remainder", claim, key)
    resource = await ctx.own.read("Claim", claim)
    patient = "/".join(str(resource["patient"]["reference"]).split("/")[-2:])
    currency = _currency(resource)

    async def plan() -> Booking:
        if await ctx.own.find("Invoice", id_) is not None:
            return Booking()
        account = accounts.receivable(patient, claim)
        owed = await balance(ctx.store, account, currency)
        if owed.amount <= 0:
            raise Conflict("the patient owes nothing on this claim", expression="Claim")
        both = debit(accounts.receivable(patient, id_), owed), credit(account, owed)
        facts = {"patient": patient, "party": patient, "currency": currency, "total": str(owed.amount), "at": ctx.now()}
        facts["due"] = first_due(ctx.settings.dunning_days, ctx.now())
        document = owner_change(f"Invoice/{id_}", "invoice", status="issued", claim=claim, items=[], **facts)
        entry = Entry(f"invoice|{id_}", "invoice", both, f"Invoice/{id_}", f"share of Claim/{claim}")
        return Booking([entry], [Put(_invoice(ctx, id_, patient, claim, owed), 0)], [document], [account])

    with contextlib.suppress(AlreadyBooked):
        await book(ctx, plan)
    return f"Invoice/{id_}"


def _currency(claim: Mapping[str, Any]) -> str:
    """Return the currency of a claim; its total need not be there."""
    amounts = [claim.get("total"), *(item.get("net") or item.get("unitPrice") for item in claim.get("item", ()))]
    found = next((each["currency"] for each in amounts if each and "currency" in each), None)
    if found is None:
        raise Conflict("this claim has no amounts", expression="Claim.total")
    return str(found)


def _invoice(ctx: PluginContext, id_: str, patient: str, claim: str, owed: Money) -> dict[str, Any]:
    part = {"type": "base", "code": coded(PRICE_REASONS, "own-share"), "amount": owed.as_fhir()}
    line = {
        "sequence": 1, "chargeItemCodeableConcept": {"text": f"Own share of claim {claim}"}, "priceComponent": [part]
    }  # fmt: skip
    return {
        "resourceType": "Invoice", "id": id_, "status": "issued", "subject": reference(patient),
        "recipient": reference(patient), "date": instant(ctx.now()), "lineItem": [line], "totalNet": owed.as_fhir(),
        "totalGross": owed.as_fhir(),
    }  # fmt: skip

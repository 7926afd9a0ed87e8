"""Charging one thing: its price, the ChargeItem and the entry, in one commit; once, however often it is asked for."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from fhir_billing.charging.account import account_of, opening
from fhir_billing.charging.definitions import definition_for
from fhir_billing.charging.price import NAMES, Component, Price, included, price_of
from fhir_billing.ledger import (
    AlreadyBooked,
    Booking,
    Entry,
    Posting,
    accounts,
    book,
    entry_of,
    owned,
    owner_change,
    reversal,
)
from fhir_billing.ledger.entry import lines
from fhir_billing.ledger.records import DOCUMENTS
from fhir_billing.money import Money
from fhir_billing.naming import date_of, id_of, reference, refers
from fhir_server.plugin_api import FhirError, PluginContext, Put, RecordChange, Where, instant

_SERVICES = ("ImagingStudy/", "MedicationDispense/", "Observation/", "Procedure/")


class NoPrice(FhirError):
    """Nothing in the price lists fits."""

    status, code = 422, "not-found"


@dataclass(frozen=True, slots=True)
class Charge:
    """What is to be charged.

    source: what it is for, `Procedure/1`; the same source is charged once. patient, context, payer, account: as
    `Type/id`. code: a CodeableConcept. day: when it was done. item: the id of the ChargeItem, where there is one.
    """

    source: str
    patient: str
    code: Mapping[str, Any]
    day: str
    quantity: Decimal = Decimal(1)
    context: str = ""
    payer: str = ""
    account: str = ""
    item: str = ""
    resource: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The key of its entry."""
        return f"charge|{self.source}"

    @property
    def id(self) -> str:
        """The id of its ChargeItem."""
        return self.item or id_of("charge", self.source)


async def charge(ctx: PluginContext, wanted: Charge, *, must: bool = True) -> dict[str, Any] | None:
    """Charge something; return the ChargeItem, or None where it has no price and need not have one.

    Raises:
        NoPrice: there is no price for it, and `must`.
    """
    price = await _priced(ctx, wanted)
    if price is None:
        if must:
            raise NoPrice("there is no price for this code on this day", expression="ChargeItem.code")
        return None

    async def plan() -> Booking:
        before = await ctx.own.find("ChargeItem", wanted.id) if wanted.item else None
        expected = int(before["meta"]["versionId"]) if before else 0
        resource = charge_item(ctx, wanted, price, before or {})
        opened, noted = await opening(ctx, wanted.patient) if not wanted.account else ([], [])
        document = owner_change(f"ChargeItem/{wanted.id}", "charge", **facts(wanted, price))
        return Booking([entry(wanted, price)], [*opened, Put(resource, expected)], [*noted, document])

    with contextlib.suppress(AlreadyBooked):
        await book(ctx, plan)
    return await ctx.own.read("ChargeItem", wanted.id)


async def _priced(ctx: PluginContext, wanted: Charge) -> Price | None:
    settings = ctx.settings
    definition = await definition_for(ctx, wanted.code, wanted.day, payer=wanted.payer)
    if definition is None:
        return None
    patient = await ctx.own.read(*wanted.patient.split("/"))
    more = {"service": [dict(wanted.resource)] if wanted.resource else [], "payer": wanted.payer, "day": wanted.day}
    price = price_of(definition, wanted.quantity, patient, more, settings.rounding)
    for package in definition.get("partOf", ()):
        if await _has_package(ctx, wanted, str(package).partition("|")[0]):
            return included(price, str(definition.get("title", "package")))
    return price


async def _has_package(ctx: PluginContext, wanted: Charge, url: str) -> bool:
    """Tell whether the package that a definition is part of was charged for the same encounter, or the same day."""
    found = await ctx.store.find(DOCUMENTS.name, [Where("kind", "=", "charge"), Where("patient", "=", wanted.patient)])
    for record in found:
        value: Any = record.value
        same = value["context"] == wanted.context if wanted.context else value["day"] == wanted.day
        if same and not value.get("void") and value["definition"].partition("|")[0] == url:
            return True
    return False


def entry(wanted: Charge, price: Price) -> Entry:
    """Return the entry of a charge: what is asked for, what was taken off and why, and what was earned."""
    patient = wanted.patient.partition("/")[2]
    parts = [(_account(each), -each.amount) for each in price.components]
    postings = lines((accounts.unbilled(patient), price.net), *_merged(parts))
    return Entry(wanted.key, "charge", postings or _nothing(patient, price.net), f"ChargeItem/{wanted.id}")


def _nothing(patient: str, amount: Money) -> tuple[Posting, ...]:
    """Return the line of what costs nothing: that it was charged is known all the same."""
    return (Posting(accounts.unbilled(patient), amount),)


def _merged(parts: Sequence[tuple[str, Money]]) -> list[tuple[str, Money]]:
    sums: dict[str, Money] = {}
    for account, amount in parts:
        sums[account] = sums[account] + amount if account in sums else amount
    return list(sums.items())


def _account(component: Component) -> str:
    if component.type in NAMES:
        return f"{NAMES[component.type]}/{component.code}"
    return "revenue/tax" if component.type == "tax" else accounts.revenue()


def facts(wanted: Charge, price: Price) -> dict[str, Any]:
    """Return what is noted of a charge, for its invoice."""
    return {
        "patient": wanted.patient, "context": wanted.context, "day": wanted.day, "payer": wanted.payer,
        "source": wanted.source, "account": wanted.account or account_of(wanted.patient),
        "definition": price.definition, "currency": price.net.currency, "net": str(price.net.amount), "invoice": "",
        "components": [[each.type, each.code, str(each.amount.amount)] for each in price.components],
    }  # fmt: skip


def charge_item(ctx: PluginContext, wanted: Charge, price: Price, before: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ChargeItem: https://hl7.org/fhir/R4/chargeitem.html"""
    more: dict[str, Any] = {
        "context": reference(wanted.context) if wanted.context else None,
        "account": [reference(wanted.account or account_of(wanted.patient))],
        "service": [reference(wanted.source)] if wanted.source.startswith(_SERVICES) else None,
        "definitionCanonical": [price.definition] if price.definition else None,
    }
    kept = {name: value for name, value in before.items() if name not in ("meta",)}
    made = {
        "resourceType": "ChargeItem", "id": wanted.id, "status": "billable", "code": dict(wanted.code),
        "subject": reference(wanted.patient), "occurrenceDateTime": wanted.day, "quantity": {"value": wanted.quantity},
        "priceOverride": price.net.as_fhir(), "overrideReason": "net of the price list",
        "enteredDate": instant(ctx.now()),
    }  # fmt: skip
    return {**kept, **made, **{name: value for name, value in more.items() if value is not None}}


async def void(ctx: PluginContext, source: str, memo: str) -> bool:
    """Take a charge back that is on no invoice; tell whether there was one. One that is on an invoice stays: the
    invoice is to be cancelled first, by somebody."""
    key = f"charge|{source}"
    if await entry_of(ctx.store, key) is None:
        return False

    async def plan() -> Booking:
        booked = await entry_of(ctx.store, key)
        assert booked is not None
        noted = await owned(ctx.store, booked.about) or {}
        if noted.get("invoice") or noted.get("void"):
            return Booking()
        item = await ctx.own.read(*booked.about.split("/"))
        put = Put({**item, "status": "entered-in-error"}, int(item["meta"]["versionId"]))
        return Booking([reversal(booked, memo)], [put], [_voided(booked.about, noted)])

    with contextlib.suppress(AlreadyBooked):
        await book(ctx, plan)
    return True


def _voided(document: str, noted: Mapping[str, Any]) -> RecordChange:
    return RecordChange(DOCUMENTS.name, document, {**noted, "void": True})


def patient_of(resource: Mapping[str, Any]) -> str:
    """Return the patient that a resource is about, `Patient/1`; empty for none."""
    found = refers(resource.get("subject") or resource.get("patient"))
    return found if found.startswith("Patient/") else ""


def today(ctx: PluginContext) -> str:
    """Return the day."""
    return date_of(ctx.now())

"""Capture: what was done and has a price is charged as the change feed tells of it, exactly once."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from fhir_billing.charging.charge import Charge, charge, patient_of, today, void
from fhir_billing.ledger import owned
from fhir_billing.naming import refers
from fhir_server.plugin_api import Consumer, FeedChange, FhirError, InvalidResource, PluginContext, decode

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Source:
    """How a type is charged: the status in which it was done, where its code and its time are."""

    done: frozenset[str]
    codes: tuple[str, ...]
    times: tuple[str, ...]
    context: str = "encounter"


SOURCES: Final[Mapping[str, Source]] = {
    "Encounter": Source(frozenset(("finished",)), ("type", "serviceType"), ("period",), ""),
    "Procedure": Source(frozenset(("completed",)), ("code",), ("performedDateTime", "performedPeriod")),
    "MedicationDispense": Source(
        frozenset(("completed",)), ("medicationCodeableConcept",), ("whenHandedOver", "whenPrepared"), "context"
    ),
    "Observation": Source(frozenset(("final", "amended", "corrected")), ("code",), ("effectiveDateTime", "issued")),
    "ImagingStudy": Source(frozenset(("available",)), ("procedureCode",), ("started",)),
    "ChargeItem": Source(frozenset(("planned", "billable")), ("code",), ("occurrenceDateTime",), "context"),
}
_VOID: Final = frozenset(("entered-in-error", "cancelled", "not-done"))
_LABORATORY: Final = "laboratory"
_PRICE: Final = "ChargeItemDefinition"
_MOST: Final = 1_000_000


async def capture(ctx: PluginContext, changes: Sequence[FeedChange]) -> None:
    """Charge what is done, and take back what was in error."""
    priced = await _priced(ctx)
    for change in changes:
        if not change.body:
            await void(ctx, str(change.key), "deleted")
        elif change.key.type == _PRICE:
            priced |= set(_tokens([decode(change.body).get("code") or {}]))
        else:
            await _one(ctx, decode(change.body), priced)


async def _priced(ctx: PluginContext) -> set[str]:
    """Return the codes that ever had a price, so that no search is made for others (an import of a million
    observations). The feed tells of prices in its order, before what is done at them."""
    known: dict[str, set[str]] = ctx.shared.setdefault("priced", {})
    if ctx.tenant not in known:
        codes = [each.get("code") or {} async for each in ctx.own.each(_PRICE)]
        known[ctx.tenant] = set(_tokens(codes))
    return known[ctx.tenant]


def _tokens(codes: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for code in codes:
        for coding in code.get("coding", ()):
            yield f"{coding.get('system', '')}|{coding.get('code', '')}"


async def _one(ctx: PluginContext, resource: dict[str, Any], priced: set[str]) -> None:
    name = f"{resource['resourceType']}/{resource['id']}"
    source = SOURCES[resource["resourceType"]]
    if resource.get("status") in _VOID:
        await void(ctx, name, str(resource["status"]))
        return
    codes = _codes(resource, source.codes)
    if priced.isdisjoint(_tokens(codes)) or resource.get("status") not in source.done:
        return
    if (
        not patient_of(resource)
        or not _is_charged(resource)
        or _day(resource, source.times) < ctx.settings.capture_from
    ):
        return
    if resource["resourceType"] == "ChargeItem" and await owned(ctx.store, name) is not None:
        return
    await _charged(ctx, resource, codes)


async def _charged(ctx: PluginContext, resource: Mapping[str, Any], codes: Sequence[Mapping[str, Any]]) -> None:
    """Charge the first of the codes of something that has a price."""
    for code in codes:
        try:
            if await charge(ctx, charge_for(ctx, resource, code), must=False) is not None:
                return
        except FhirError as error:
            if error.status >= 500:
                raise
            logger.warning("%s/%s is not charged: %s", resource["resourceType"], resource["id"], error)


def charge_for(ctx: PluginContext, resource: Mapping[str, Any], code: Mapping[str, Any]) -> Charge:
    """Return the charge of something that was done."""
    type_, name = resource["resourceType"], f"{resource['resourceType']}/{resource['id']}"
    source = SOURCES[type_]
    context = name if type_ == "Encounter" else refers(resource.get(source.context))
    accounts = resource.get("account") or [{}]
    return Charge(
        source=name, patient=patient_of(resource), code=code, day=_day(resource, source.times) or today(ctx),
        quantity=_quantity(resource), context=context if context.startswith("Encounter/") else "",
        account=refers(accounts[0] if isinstance(accounts, list) else accounts),
        item=str(resource["id"]) if type_ == "ChargeItem" else "", resource=resource,
    )  # fmt: skip


def _codes(resource: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
    found: list[Any] = []
    for name in names:
        value = resource.get(name) or []
        found += value if isinstance(value, list) else [value]
    return found


def _is_charged(resource: Mapping[str, Any]) -> bool:
    """Tell whether a resource is one that costs: of observations those of the laboratory, and no parts of a panel."""
    if resource["resourceType"] != "Observation":
        return True
    codings = [coding for category in resource.get("category", ()) for coding in category.get("coding", ())]
    return any(coding.get("code") == _LABORATORY for coding in codings)


def _day(resource: Mapping[str, Any], names: Sequence[str]) -> str:
    for name in names:
        value = resource.get(name)
        if value:
            return str(value.get("start", "") if isinstance(value, dict) else value)[:10]
    return ""


def _quantity(resource: Mapping[str, Any]) -> Decimal:
    value = (resource.get("quantity") or {}).get("value")
    quantity = Decimal(1) if value is None else Decimal(value)
    if not 0 < quantity <= _MOST:
        raise InvalidResource(
            f"a quantity is above 0 and at most {_MOST}", expression=f"{resource['resourceType']}.quantity"
        )
    return quantity


CONSUMER: Final = Consumer("capture", capture, types=(*SOURCES, _PRICE), start="beginning", batch=200)

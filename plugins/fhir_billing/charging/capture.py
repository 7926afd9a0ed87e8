"""Capture: what was done and has a price is charged as the change feed tells of it, exactly once."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from fhir_billing.charging.charge import Charge, charge, patient_of, today, void
from fhir_billing.ledger import owned
from fhir_billing.naming import refers
from fhir_server.plugin_api import Consumer, FeedChange, FhirError, PluginContext, decode

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


async def capture(ctx: PluginContext, changes: Sequence[FeedChange]) -> None:
    """Charge what is done, and take back what was in error."""
    for change in changes:
        if change.body:
            await _one(ctx, decode(change.body))
        else:
            await void(ctx, str(change.key), "deleted")


async def _one(ctx: PluginContext, resource: dict[str, Any]) -> None:
    name = f"{resource['resourceType']}/{resource['id']}"
    source = SOURCES[resource["resourceType"]]
    if resource.get("status") in _VOID:
        await void(ctx, name, str(resource["status"]))
    elif resource.get("status") in source.done and patient_of(resource) and _is_charged(resource):
        if resource["resourceType"] == "ChargeItem" and await owned(ctx.store, name) is not None:
            return
        if _day(resource, source.times)[:10] < ctx.settings.capture_from:
            return
        for number, code in enumerate(_codes(resource, source.codes)):
            try:
                if await charge(ctx, charge_for(ctx, resource, code, number), must=False) is not None:
                    break
            except FhirError as error:
                if error.status >= 500:
                    raise
                logger.warning("%s is not charged: %s", name, error)


def charge_for(ctx: PluginContext, resource: Mapping[str, Any], code: Mapping[str, Any], number: int = 0) -> Charge:
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
    return Decimal(value) if value else Decimal(1)


CONSUMER: Final = Consumer("capture", capture, types=tuple(SOURCES), start="beginning", batch=50)

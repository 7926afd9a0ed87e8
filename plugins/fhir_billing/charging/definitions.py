"""ChargeItemDefinitions: which one is in force for a code, a payer and a day; and how they are found."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fhir_billing.naming import refers
from fhir_server.plugin_api import PluginContext

_PROGRAM: Final = "program"

CODE_PARAMETER: Final[Mapping[str, Any]] = {
    "resourceType": "SearchParameter", "id": "ChargeItemDefinition-code",
    "url": "http://fhir-server.org/SearchParameter/ChargeItemDefinition-code", "name": "code", "status": "active",
    "description": "What a price is for", "code": "code", "base": ["ChargeItemDefinition"], "type": "token",
    "expression": "ChargeItemDefinition.code",
}  # fmt: skip


async def definition_for(
    ctx: PluginContext, code: Mapping[str, Any], day: str, *, payer: str = "", currency: str = ""
) -> dict[str, Any] | None:
    """Return the definition that is in force for a code on a day: the payer's tariff, else the price list.

    Of several the one that took force last wins, then that of the greater version. The lists are ordinary versioned
    resources: a price that is to end gets an `effectivePeriod.end`, and stays for what was done before.
    """
    tokens = [f"{each.get('system', '')}|{each['code']}" for each in code.get("coding", ()) if each.get("code")]
    if not tokens:
        return None
    criteria = [("code", ",".join(tokens)), ("status", "active,retired")]
    found = [each async for each in ctx.own.each("ChargeItemDefinition", criteria) if in_force(each, day)]
    fits = [each for each in found if _fits(each, payer, currency)]
    return max(
        fits, key=lambda each: (payer_of(each) == payer, _since(each), str(each.get("version", ""))), default=None
    )


def in_force(definition: Mapping[str, Any], day: str) -> bool:
    """Tell whether a definition is in force on a day (`2026-11-22`)."""
    period = definition.get("effectivePeriod") or {}
    start, end = str(period.get("start", ""))[:10], str(period.get("end", ""))[:10]
    if definition.get("status") == "retired" and not end:
        return False
    return start[: len(day)] <= day and (not end or day <= end)


def payer_of(definition: Mapping[str, Any]) -> str:
    """Return the payer whose tariff this is, as its useContext `program` says; empty for the price list of all."""
    for each in definition.get("useContext", ()):
        if each.get("code", {}).get("code") == _PROGRAM and (found := refers(each.get("valueReference"))):
            return found
    return ""


def currency_of(definition: Mapping[str, Any]) -> str:
    """Return the currency of the base price; empty where there is none."""
    groups: Sequence[Any] = definition.get("propertyGroup", ())
    for component in (each for group in groups for each in group.get("priceComponent", ())):
        if component.get("type") == "base" and "amount" in component:
            return str(component["amount"].get("currency", ""))
    return ""


def _fits(definition: Mapping[str, Any], payer: str, currency: str) -> bool:
    owner = payer_of(definition)
    return (not owner or owner == payer) and (not currency or currency_of(definition) in ("", currency))


def _since(definition: Mapping[str, Any]) -> str:
    return str((definition.get("effectivePeriod") or {}).get("start", ""))

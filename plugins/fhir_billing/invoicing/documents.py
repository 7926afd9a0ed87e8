"""Invoice and Claim as resources.

Spec: https://hl7.org/fhir/R4/invoice.html, https://hl7.org/fhir/R4/claim.html
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fhir_billing.charging.price import Component
from fhir_billing.claims.making import Charge, Claimant, make_claim
from fhir_billing.invoicing.lines import Line, Share
from fhir_billing.money import Money
from fhir_billing.naming import PRICE_REASONS, coded, date_of, reference
from fhir_server.plugin_api import PluginContext, instant


def invoice(
    ctx: PluginContext, id_: str, share: Share, patient: str, rows: Sequence[tuple[Line, Money]], amount: Money
) -> dict[str, Any]:
    """Return an issued Invoice."""
    whole = len(rows) > 0 and all(line.net == part for line, part in rows)
    found = {
        "resourceType": "Invoice", "id": id_, "status": "issued" if amount else "balanced",
        "subject": reference(patient), "recipient": reference(share.party), "date": instant(ctx.now()),
        "lineItem": [_line_item(number, line, part) for number, (line, part) in enumerate(rows, 1)],
        "totalNet": amount.as_fhir(), "totalGross": amount.as_fhir(),
    }  # fmt: skip
    named = {str(line.record.value["account"]) for line, _ in rows} - {""}
    if len(named) == 1:
        found["account"] = reference(named.pop())
    if not whole:
        found["note"] = [{"text": "The share of this recipient; others bear the rest of each line."}]
    return found


def _line_item(number: int, line: Line, part: Money) -> dict[str, Any]:
    components = line.components if line.net == part else (Component("base", "share", part),)
    return {
        "sequence": number,
        "chargeItemReference": reference(line.item),
        "priceComponent": [_component(each) for each in components],
    }


def _component(component: Component) -> dict[str, Any]:
    return {
        "type": component.type,
        "code": coded(PRICE_REASONS, component.code),
        "amount": component.amount.as_fhir(),
    }


def claim(
    ctx: PluginContext, id_: str, share: Share, patient: str, rows: Sequence[tuple[Line, Money, Mapping[str, Any]]]
) -> dict[str, Any]:
    """Return an active Claim for an insurer's share; its lines are those of the charges."""
    charges = [Charge(item["code"], str(line.record.value["day"]), part, source=line.item) for line, part, item in rows]
    claimant = Claimant(patient, ctx.settings.provider or share.party, [share.coverage], insurer=share.party)
    return make_claim(id_, claimant, charges, created=date_of(ctx.now()), kind=share.code or "professional")

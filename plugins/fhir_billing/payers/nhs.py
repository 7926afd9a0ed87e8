"""NHS England: no claims; activity is priced by the tariff and reported to commissioners, line by line, as CSV.

Source: https://www.england.nhs.uk/pay-syst/nhs-payment-scheme/
"""

import csv
import io
from base64 import b64encode
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

from fhir_billing.claims.denials import decided_claims
from fhir_billing.claims.records import CLAIMS
from fhir_billing.claims.response import money
from fhir_server.plugin_api import Call, Forbidden, Outputs, PluginContext

COLUMNS: Final = (
    "provider", "commissioner", "claim", "line", "activity_date", "hrg", "quantity", "charge", "price", "currency",
    "plan",
)  # fmt: skip
_DAY: Final = 86_400_000


async def report(ctx: PluginContext, call: Call) -> Outputs:
    """Answer a call of `Claim/$activity-report`: a Binary of CSV with the lines that were priced in a period.

    Raises:
        Forbidden: the caller may not see all claims.
    """
    restriction = ctx.core.restriction
    if restriction.bound or not restriction.may("search-type", "Claim") or not restriction.visibility.unrestricted:
        raise Forbidden("a report of activity needs a token that sees all claims", expression="Claim")
    since, until = _instant(call.inputs.one("start")), _instant(call.inputs.one("end")) + _DAY
    payor = str(call.inputs.one("payor", {}).get("reference", ""))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    async for each in decided_claims(ctx.store, since, until):
        if payor in ("", each.payor):
            claim = await ctx.own.read("Claim", each.claim)
            record = await ctx.store.get(CLAIMS.name, each.claim)
            answer = await ctx.own.read("ClaimResponse", str(record.value["response"] if record else ""))
            writer.writerows(_rows(claim, answer, each.payor, str(record.value["plan"] if record else "")))
    binary = {"resourceType": "Binary", "contentType": "text/csv", "data": _base64(text.getvalue())}
    return Outputs([("return", binary)])


def _rows(claim: Mapping[str, Any], answer: Mapping[str, Any], payor: str, plan: str) -> Iterator[list[str]]:
    prices = {item["itemSequence"]: item["adjudication"] for item in answer.get("item", ())}
    for item in claim["item"]:
        price = _paid(prices.get(item["sequence"], ()))
        day = item.get("servicedDate") or item.get("servicedPeriod", {}).get("start", "")
        codes = item["productOrService"]["coding"]
        yield [
            _plain(claim["provider"].get("reference", "")), _plain(payor), str(claim["id"]), str(item["sequence"]),
            str(day), _plain(codes[0]["code"]), str(item.get("quantity", {}).get("value", 1)), _said(item["net"]),
            str(price.get("value", "")), str(item["net"]["currency"]), _plain(plan),
        ]  # fmt: skip


def _said(net: Mapping[str, Any]) -> str:
    return str(money(Decimal(net["value"]), str(net["currency"]))["value"])


def _paid(adjudications: Any) -> Mapping[str, Any]:
    for each in adjudications:
        if any(coding.get("code") == "benefit" for coding in each["category"].get("coding", ())):
            amount: Mapping[str, Any] = each["amount"]
            return money(amount["value"], str(amount["currency"]))
    return {}


def _plain(text: str) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in "=+-@\t" and text else text


def _instant(day: str) -> int:
    return int(datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC).timestamp() * 1000)


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()

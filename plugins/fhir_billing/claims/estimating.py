"""Estimates: what the patient would pay, through all payers in their order, by the same engine; nothing is stored."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from fhir_billing.adjudication.facts import PriorLine
from fhir_billing.adjudication.results import Result
from fhir_billing.claims.deciding import by_table, months
from fhir_billing.claims.desk import Desk
from fhir_billing.claims.gathering import Gathered, gather
from fhir_billing.claims.response import Heading, money, response
from fhir_billing.claims.standing import read
from fhir_server.plugin_api import BadRequest, PluginContext, instant


async def estimated(ctx: PluginContext, desk: Desk, claim: Mapping[str, Any]) -> dict[str, Any]:
    """Return a ClaimResponse as the focal payer would give it, with a note of what the patient pays in the end.

    Raises:
        InvalidResource: the claim has faults. BadRequest: a payer answers for the coverage, and only it knows.
    """
    claim = {**claim, "id": str(claim.get("id") or "estimate")}
    gathered = await gather(ctx, desk, claim)
    result = await _result(ctx, desk, gathered)
    found = response(claim, Heading("estimate", instant(ctx.now()), _insurer(gathered)), result)
    found.pop("identifier")
    found["disposition"] = f"An estimate. {found['disposition']}"
    last, steps = await _others(ctx, desk, claim, gathered, result)
    note = {"number": 99, "type": "display", "text": f"After all payers the patient pays {last} {result.currency}."}
    found["processNote"] = [*found.get("processNote", ()), *steps, note]
    found["total"] = [*found["total"], _patient_pays(last, result.currency)]
    return found


async def _result(ctx: PluginContext, desk: Desk, gathered: Gathered) -> Result:
    if gathered.payer:
        raise BadRequest(
            f"the payer {gathered.payer} decides by rules of its own: submit with use `predetermination`",
            expression="Claim.insurance",
        )
    numbers = {line.authorization for line in gathered.taken.lines}
    standing = await read(ctx.store, gathered.cover, months(gathered), numbers)
    return by_table(desk.plans, gathered, standing, ahead=True)


async def _others(
    ctx: PluginContext, desk: Desk, claim: Mapping[str, Any], first: Gathered, result: Result
) -> tuple[Decimal, list[dict[str, Any]]]:
    """Follow the payers after the focal one; return what is left to the patient, and a note for each."""
    left, notes = result.patient, list[dict[str, Any]]()
    prior = {line.sequence: PriorLine(line.paid, line.patient) for line in result.lines}
    for number, insurance in enumerate(claim["insurance"]):
        if number <= first.taken.insurance or not left:
            continue
        turned = [{**each, "focal": n == number} for n, each in enumerate(claim["insurance"])]
        gathered = await gather(ctx, desk, {**claim, "insurance": turned})
        lines = tuple(replace(line, earlier=prior[line.sequence]) for line in gathered.taken.lines)
        later = replace(gathered, taken=replace(gathered.taken, lines=lines))
        result = await _result(ctx, desk, later)
        prior = {line.sequence: PriorLine(prior[line.sequence].paid + line.paid, line.patient) for line in result.lines}
        left = result.patient
        text = f"{insurance.get('coverage', {}).get('reference', '')} pays {result.paid} {result.currency} of the rest."
        notes.append({"number": number + 1, "type": "display", "text": text})
    return left, notes


def _patient_pays(amount: Decimal, currency: str) -> dict[str, Any]:
    return {"category": {"text": "patient pays after all payers"}, "amount": money(amount, currency)}


def _insurer(gathered: Gathered) -> Mapping[str, Any]:
    given: Mapping[str, Any] = gathered.taken.resource.get("insurer") or gathered.cover.resource["payor"][0]
    return given

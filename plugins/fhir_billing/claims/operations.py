"""The operations on claims: $submit, $estimate, $inquire, $cancel and $decide.

Spec: https://hl7.org/fhir/R4/claim-operation-submit.html, https://hl7.org/fhir/us/davinci-pas/
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from fhir_billing.claims.bundles import answers, claims_in
from fhir_billing.claims.cancelling import cancel_claim
from fhir_billing.claims.desk import desk_of
from fhir_billing.claims.estimating import estimated
from fhir_billing.claims.exchange import work
from fhir_billing.claims.inquiring import inquired
from fhir_billing.claims.reviewing import decided_by_person
from fhir_billing.claims.submission import submitted
from fhir_server.plugin_api import (
    BadRequest,
    Call,
    FhirError,
    Forbidden,
    Outputs,
    PluginContext,
    encode,
    outcome,
)

_AT_ONCE = 4
"""Claims of one Bundle that are worked on at the same time: more would only wait for each other in the books."""


async def submit(ctx: PluginContext, call: Call) -> Outputs:
    """Answer a call of `Claim/$submit`: a ClaimResponse for a Claim, a Bundle of them for a Bundle."""
    given = call.inputs.one("resource")
    if given.get("resourceType") != "Bundle":
        return Outputs([("return", await _one(ctx, _claim(given)))])
    found = await _all(ctx, await claims_in(ctx, given))
    return Outputs([("return", answers(ctx, found))])


async def _all(ctx: PluginContext, claims: Sequence[Mapping[str, Any]]) -> list[bytes]:
    """Submit many claims: those on one coverage one after the other, for they share its limits, others at once.

    What is wrong with one of several is said in its place; the others are not held up by it.
    """
    lanes: dict[str, list[int]] = {}
    for number, claim in enumerate(claims):
        lanes.setdefault(str(claim.get("insurance")), []).append(number)
    found: dict[int, bytes] = {}

    gate = asyncio.Semaphore(_AT_ONCE)

    async def lane(numbers: Sequence[int]) -> None:
        for number in numbers:
            try:
                async with gate:
                    found[number] = await _one(ctx, claims[number])
            except FhirError as error:
                if len(claims) == 1:
                    raise
                found[number] = outcome(error.issues)

    await asyncio.gather(*map(lane, lanes.values()))
    return [found[number] for number in range(len(claims))]


async def _one(ctx: PluginContext, claim: Mapping[str, Any]) -> bytes:
    desk = desk_of(ctx)
    if claim.get("status") == "cancelled":
        return encode(await cancel_claim(ctx, desk, claim))
    if claim.get("status") != "active":
        raise BadRequest(
            f"a claim that is submitted is active or cancelled, not {claim.get('status')}", expression="Claim.status"
        )
    return await submitted(ctx, desk, claim)


async def estimate(ctx: PluginContext, call: Call) -> Outputs:
    """Answer a call of `Claim/$estimate`: what the patient would pay; nothing is stored."""
    return Outputs([("return", await estimated(ctx, desk_of(ctx), _claim(call.inputs.one("resource"))))])


async def inquire(ctx: PluginContext, call: Call) -> Outputs:
    """Answer a call of `Claim/$inquire`: where claims stand that are like the one given."""
    given = call.inputs.one("resource")
    claims = await claims_in(ctx, given) if given.get("resourceType") == "Bundle" else [_claim(given)]
    found = [answer for each in claims for answer in await inquired(ctx, each)]
    return Outputs([("return", answers(ctx, [encode(each) for each in found]))])


async def cancel(ctx: PluginContext, call: Call) -> Outputs:
    """Answer a call of `Claim/[id]/$cancel`."""
    claim = await ctx.client.read("Claim", call.request.id or "")
    return Outputs([("return", await cancel_claim(ctx, desk_of(ctx), claim))])


async def follow_up(ctx: PluginContext, call: Call) -> Outputs:
    """Answer a call of `Claim/$follow-up`."""
    if not ctx.core.restriction.may("update", "Claim"):
        raise Forbidden("the token does not allow to change claims: it needs Claim.u", expression="Claim")
    return Outputs([("asked", await work(ctx, desk_of(ctx)))])


async def decide(ctx: PluginContext, call: Call) -> Outputs:
    """Answer a call of `Claim/[id]/$decide`: what a person says to a claim that waits for one."""
    return Outputs([("return", await decided_by_person(ctx, desk_of(ctx), call))])


def _claim(given: Mapping[str, Any]) -> Mapping[str, Any]:
    if given.get("resourceType") != "Claim":
        raise BadRequest(f"a Claim or a Bundle with Claims, not {given.get('resourceType')}", expression="resource")
    return given

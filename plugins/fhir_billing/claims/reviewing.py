"""Reviewing: a person decides a claim that waits for one: an appeal, or a service that the table leaves to people."""

from typing import Any

from fhir_billing.adjudication.reasons import REASONS
from fhir_billing.claims.desk import Desk
from fhir_billing.claims.gathering import gather
from fhir_billing.claims.records import CLAIMS, claim_record
from fhir_billing.claims.submission import Submission
from fhir_billing.ledger import book
from fhir_server.plugin_api import BadValue, Call, Conflict, Forbidden, PluginContext


async def decided_by_person(ctx: PluginContext, desk: Desk, call: Call) -> dict[str, Any]:
    """Decide a claim: lines that are refused with their reason, all others by the table; return the answer.

    Raises:
        Forbidden: the token does not allow to make answers, or is bound to patients.
        Conflict: the claim does not wait for a person. BadValue: there is no such line or reason.
    """
    claim = await ctx.client.read("Claim", call.request.id or "")
    if ctx.core.restriction.bound or not ctx.core.restriction.may("create", "ClaimResponse"):
        raise Forbidden(
            "who decides claims has a token of their own for it: ClaimResponse.c", expression="ClaimResponse"
        )
    record = claim_record(claim["id"], await ctx.store.get(CLAIMS.name, claim["id"]))
    if record.state != "review":
        raise Conflict(f"the claim is {record.state or 'not submitted'}: it does not wait for a person")
    refused = _refused(call, {int(item["sequence"]) for item in claim["item"]})
    gathered = await gather(ctx, desk, claim)
    at = (str(claim["id"]), int(claim["meta"]["versionId"]))
    await book(ctx, Submission(ctx, desk, gathered, at, refused, reviewed=True).plan)
    return await ctx.own.read("ClaimResponse", str(record.value["response"]))


def _refused(call: Call, sequences: set[int]) -> dict[int, str]:
    if call.inputs.one("refuse", False):
        return dict.fromkeys(sequences, str(call.inputs.one("reason", "216")))
    found = {int(each.one("sequence")): str(each.one("reason", "216")) for each in call.inputs.many("line")}
    for sequence, reason in found.items():
        if sequence not in sequences:
            raise BadValue(f"the claim has no line {sequence}", expression="line.sequence")
        if reason not in REASONS:
            raise BadValue(f"{reason[:20]} is none of the reasons {', '.join(REASONS)}", expression="line.reason")
    return found

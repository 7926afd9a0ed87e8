"""Cancelling: what a claim brought about is taken back, by reversals, in one commit."""

from collections.abc import Mapping
from typing import Any

from fhir_billing.claims.desk import Desk
from fhir_billing.claims.identity import identity_of
from fhir_billing.claims.records import AUTHORIZATIONS, CLAIMS, IDENTITIES, ClaimRecord, claim_record
from fhir_billing.claims.standing import Standing, read
from fhir_billing.claims.writing import Draft, share_is_free, undo, withdraw
from fhir_billing.coverage.cover import cover_of
from fhir_billing.ledger import book
from fhir_billing.ledger.booking import Booking
from fhir_server.plugin_api import Conflict, Forbidden, NotFound, PluginContext, RecordChange


async def cancel_claim(ctx: PluginContext, desk: Desk, claim: Mapping[str, Any]) -> dict[str, Any]:
    """Cancel a claim that was submitted; return its answer, cancelled. A second time gives the same answer.

    Raises:
        NotFound: there is no such claim that was submitted. Conflict: it was replaced, is with a payer who does not
            know of the cancellation yet, or the patient was asked for their share.
    """
    if not ctx.core.restriction.may("update", "Claim"):
        raise Forbidden("the token does not allow to change claims: it needs Claim.u", expression="Claim")
    id_ = await _named(ctx, claim)
    await ctx.client.read("Claim", id_)

    async def plan() -> Booking:
        record = claim_record(id_, await ctx.store.get(CLAIMS.name, id_))
        draft = Draft()
        if record.state == "cancelled":
            return draft.booking()
        _hold(record)
        await share_is_free(ctx, record)
        if record.value["payer"] != "table" and record.state not in ("queued", "decided", "refused"):
            draft.records.append(_asked(ctx, record))
            return draft.booking()
        await reverse(ctx, draft, record, "cancelled")
        return draft.booking()

    await book(ctx, plan)
    record = claim_record(id_, await ctx.store.get(CLAIMS.name, id_))
    return await ctx.own.read("ClaimResponse", str(record.value["response"]))


async def reverse(ctx: PluginContext, draft: Draft, record: ClaimRecord, why: str) -> None:
    """Gather all that takes a claim back."""
    standing = await standing_of(ctx, record)
    await undo(ctx, draft, record, why, standing)
    await withdraw(ctx, draft, record)
    if number := record.value.get("authorization"):
        granted = await ctx.store.get(AUTHORIZATIONS.name, number)
        if granted is not None:
            draft.records.append(RecordChange(AUTHORIZATIONS.name, number, None, expected=granted.revision))
    draft.records += standing.changes() if standing else ()
    draft.records.append(record.change("cancelled", due=None))


async def standing_of(ctx: PluginContext, record: ClaimRecord) -> Standing | None:
    """Return the standing that a claim has changed; None where it changed none."""
    if not record.value.get("used") and not record.value.get("seen"):
        return None
    coverage = {**await ctx.own.read("Coverage", str(record.value["coverage"])), "status": "active"}
    months, numbers = record.value.get("seen", {}).values(), record.value.get("spent", {})
    return await read(ctx.store, cover_of(coverage), months, numbers)


def _hold(record: ClaimRecord) -> None:
    if not record.state:
        raise NotFound(f"Claim/{record.id} was never submitted")
    if record.state == "replaced":
        later = record.value.get("replaced_by")
        raise Conflict(f"the claim was replaced by Claim/{later}: cancel that one", expression="Claim")


def _asked(ctx: PluginContext, record: ClaimRecord) -> RecordChange:
    """Note that a claim which a payer has is to be cancelled there; it stays as it is until the payer agrees."""
    value = {**record.value, "cancel": True, "due": ctx.now()}
    return RecordChange(CLAIMS.name, record.id, value, expected=record.revision)


async def _named(ctx: PluginContext, claim: Mapping[str, Any]) -> str:
    """Return the id of the claim that is meant: by its id, or by its identifier at the payer."""
    if (id_ := str(claim.get("id", ""))) and await ctx.store.get(CLAIMS.name, id_) is not None:
        return id_
    for insurance in claim.get("insurance", ()):
        reference = str(insurance.get("coverage", {}).get("reference", "")).rpartition("Coverage/")[2]
        coverage = await ctx.client.find("Coverage", reference) if insurance.get("focal") and reference else None
        if coverage is not None:
            payor = _payor(coverage)
            known = await ctx.store.get(IDENTITIES.name, identity_of(claim, payor))
            if known is not None:
                return str(known.value["claim"])
    raise NotFound("there is no such claim that was submitted")


def _payor(coverage: Mapping[str, Any]) -> str:
    return str(coverage["payor"][0].get("reference", ""))

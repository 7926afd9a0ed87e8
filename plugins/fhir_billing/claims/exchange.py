"""Exchange: claims on their way to payers, step by step; each step is written before the next is taken.

`sending` is written before the payer is called, so after a crash it is known that nobody knows: the payer is asked, and
only one that says that it does not have the claim is sent it again.
"""

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from fhir_billing.adjudication.results import Result, Unbalanced
from fhir_billing.claims.answers import Unreadable, result_of
from fhir_billing.claims.bookings import Parties
from fhir_billing.claims.cancelling import reverse, standing_of
from fhir_billing.claims.desk import Desk
from fhir_billing.claims.identity import digest
from fhir_billing.claims.records import CLAIMS, ClaimRecord, claim_record
from fhir_billing.claims.response import Heading, head
from fhir_billing.claims.writing import Draft, Matter, decide, put, undo, withdraw
from fhir_billing.ledger import book, entry_of, reversal
from fhir_billing.ledger.booking import Booking
from fhir_billing.payers.payer import (
    Answered,
    Cancelled,
    NotThere,
    Parcel,
    Payer,
    Pended,
    Refused,
    Reply,
    Unclear,
)
from fhir_server.plugin_api import FhirError, PluginContext, RecordChange, RecordChanged, Where, instant

_REFERRED: Final = (
    "Patient",
    "Coverage",
    "Organization",
    "Practitioner",
    "PractitionerRole",
    "Location",
    "ClaimResponse",
    "DocumentReference",
    "Encounter",
    "ServiceRequest",
)
_AT_ONCE: Final = 16
_CALLS: Final = 5
"""Most calls of one step: a token, a question, a claim, and two that are repeated with a new token."""


async def work(ctx: PluginContext, desk: Desk) -> int:
    """Take the next step of every claim that is due; return how many there were."""
    due = await ctx.store.find(CLAIMS.name, (Where("due", "<=", ctx.now()),), limit=200)
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(key: str) -> None:
        async with gate:
            await step(ctx, desk, key)

    await asyncio.gather(*(one(record.key) for record in due))
    return len(due)


async def step(ctx: PluginContext, desk: Desk, claim: str) -> None:
    """Take the next step of one claim, if it is due and nobody else takes it."""
    record = claim_record(claim, await ctx.store.get(CLAIMS.name, claim))
    due = record.value.get("due")
    payer = desk.payers.get(str(record.value.get("payer")))
    if due is None or due > ctx.now() or payer is None:
        return
    taken = await _take(ctx, record)
    if taken is None:
        return
    try:
        await settle(ctx, taken, await _ask(payer, await parcel_of(ctx, taken), record))
    except Unclear as unclear:
        await _later(ctx, taken, str(unclear))
    except FhirError as error:  # an answer that cannot be stored, a claim that was erased: others go on
        await _later(ctx, taken, f"{type(error).__name__}: {error}")


async def _take(ctx: PluginContext, record: ClaimRecord) -> ClaimRecord | None:
    """Write that the payer is asked now; None where somebody else does.

    Nobody else takes it up for as long as all calls of one step may last, so that a payer is not asked twice at once.
    """
    state = "sending" if record.state == "queued" else record.state
    attempts = int(record.value.get("attempts", 0)) + 1
    lease = int(1000 * _CALLS * ctx.settings.payer_timeout)
    value = {**record.value, "state": state, "attempts": attempts, "due": ctx.now() + lease}
    try:
        await ctx.store.put(RecordChange(CLAIMS.name, record.id, value, expected=record.revision))
    except RecordChanged:
        return None
    return ClaimRecord(record.id, value, record.revision + 1)


def _next(ctx: PluginContext, record: ClaimRecord) -> int:
    return ctx.now() + _pause(ctx, int(record.value.get("attempts", 1)))


def _pause(ctx: PluginContext, attempts: int) -> int:
    """Return milliseconds until the payer is asked again."""
    first, longest = ctx.settings.payer_first_pause, ctx.settings.payer_longest_pause
    return int(1000 * min(longest, first * 2 ** min(attempts - 1, 20)))


async def _ask(payer: Payer, parcel: Parcel, before: ClaimRecord) -> Reply:
    """Send what was never sent; ask about all else, and send again only what the payer does not have."""
    if before.value.get("cancel"):
        return await payer.cancel(parcel)
    if before.state == "queued":
        return await payer.submit(parcel)
    found = await payer.inquire(parcel)
    return await payer.submit(parcel) if isinstance(found, NotThere) else found


async def _later(ctx: PluginContext, taken: ClaimRecord, why: str) -> None:
    """Note why nothing is known, and when to ask again."""
    try:
        value = {**taken.value, "unclear": why[:200], "due": _next(ctx, taken)}
        await ctx.store.put(RecordChange(CLAIMS.name, taken.id, value, expected=taken.revision))
    except RecordChanged:
        return


async def parcel_of(ctx: PluginContext, record: ClaimRecord) -> Parcel:
    """Return a claim with what it refers to, as it goes to a payer."""
    claim = await ctx.own.read("Claim", record.id)
    found: dict[str, Mapping[str, Any]] = {}
    for reference in references(claim):
        type_, _, id_ = reference.partition("/")
        if type_ in _REFERRED and reference not in found:
            resource = await ctx.own.find(type_, id_)
            if resource is not None:
                found[reference] = resource
                found |= {name: each for name, each in (await _payors(ctx, resource)).items() if name not in found}
    replaced = record.value.get("replaces")
    before = claim_record(replaced, await ctx.store.get(CLAIMS.name, replaced)) if replaced else None
    return Parcel(
        claim=claim,
        resources=found,
        key=record.id,
        created=instant(int(record.value["received"])),
        trace=str(record.value.get("trace", "")),
        replaces=str(before.value.get("trace", "")) if before else "",
        coverage=f"Coverage/{record.value['coverage']}",
        attempt=int(record.value.get("attempts", 0)),
    )


async def _payors(ctx: PluginContext, resource: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for each in resource.get("payor", ()) if resource["resourceType"] == "Coverage" else ():
        reference = str(each.get("reference", ""))
        if reference.startswith("Organization/"):
            payor = await ctx.own.find("Organization", reference.partition("/")[2])
            if payor is not None:
                found[reference] = payor
    return found


def references(value: Any) -> list[str]:
    """Return all references of a resource, in order."""
    if isinstance(value, Mapping):
        own = [value["reference"]] if isinstance(value.get("reference"), str) else []
        return [*own, *(each for part in value.values() for each in references(part))]
    if isinstance(value, list):
        return [each for part in value for each in references(part)]
    return []


async def settle(ctx: PluginContext, record: ClaimRecord, reply: Reply) -> None:
    """Write what a payer said. What it said already changes nothing."""
    record_id = record.id

    async def plan() -> Booking:
        now = claim_record(record_id, await ctx.store.get(CLAIMS.name, record_id))
        draft = Draft()
        await _write(ctx, draft, now, reply)
        return draft.booking()

    await book(ctx, plan)


async def _write(ctx: PluginContext, draft: Draft, record: ClaimRecord, reply: Reply) -> None:
    if isinstance(reply, Answered):
        await _answered(ctx, draft, record, reply)
    elif isinstance(reply, Refused):
        await _refused(ctx, draft, record, reply)
    elif isinstance(reply, Cancelled) or (isinstance(reply, NotThere) and record.value.get("cancel")):
        if record.state != "cancelled":
            await reverse(ctx, draft, record, "cancelled")
    elif isinstance(reply, Pended) and record.state in ("sending", "pended"):
        trace = reply.trace or record.value.get("trace", "")
        version = int(record.value["response_version"])
        if record.state != "pended" or record.value.get("trace") != trace:
            await _say(ctx, draft, record, reply.why)
            version += 1
        notes = {"trace": trace, "response_version": version, "unclear": "", "due": _next(ctx, record)}
        draft.records.append(record.change("pended", **notes))


async def _answered(ctx: PluginContext, draft: Draft, record: ClaimRecord, reply: Answered) -> None:
    """Write a decision. A second one that says the same is none; another one takes the place of the first."""
    if record.state not in ("sending", "pended", "decided", "queued"):
        return
    if record.value["use"] != "claim":
        await _authorized(ctx, draft, record, reply)
        return
    asked = {int(number): Decimal(amount) for number, amount in record.value["asked"].items()}
    try:
        result = result_of(reply.response, asked, str(record.value["currency"]))
    except (Unreadable, Unbalanced) as error:
        draft.records.append(_puzzled(ctx, record, str(error)))
        return
    figures = said(result)
    if record.state == "decided" and record.value.get("figures") == figures:
        return
    matter = await matter_of(ctx, record)
    entries = list(record.value.get("entries", ()))
    if record.state == "decided":
        entries = await _taken_back(ctx, draft, entries)
    notes = decide(ctx, draft, matter, result)
    if decision := notes.pop("decision", ""):
        entries.append(decision)
    answer = draft.puts[0].resource
    draft.puts[0] = put({**answer, **_kept(reply.response)}, draft.puts[0].expected)
    await _replace(ctx, draft, record)
    trace = reply.trace or record.value.get("trace", "")
    if record.state == "queued":
        record = ClaimRecord(record.id, {**record.value, "state": "sending"}, record.revision)
    draft.records.append(
        record.change("decided", **notes, entries=entries, figures=figures, trace=trace, due=None, unclear="")
    )


async def _authorized(ctx: PluginContext, draft: Draft, record: ClaimRecord, reply: Answered) -> None:
    """Write the answer to a request for authorization as the payer gave it; nothing is booked."""
    matter = await matter_of(ctx, record)
    heading = Heading(str(record.value["response"]), instant(ctx.now()), matter.insurer)
    disposition = str(reply.response.get("disposition", "Decided by the payer."))
    answer = head(matter.claim, heading, "complete", disposition) | _kept(reply.response)
    answer |= {name: reply.response[name] for name in ("item", "total") if name in reply.response}
    version = int(record.value["response_version"])
    kept = {name: answer[name] for name in answer if name != "created"}
    if record.state == "decided" and record.value.get("figures") == [digest(kept)]:
        return
    draft.puts.append(put(answer, version, trusted=False))
    if record.state == "queued":
        record = ClaimRecord(record.id, {**record.value, "state": "sending"}, record.revision)
    notes = {"response_version": version + 1, "figures": [digest(kept)], "decided": ctx.now(), "denied": []}
    number = str(reply.response.get("preAuthRef", ""))
    draft.records.append(record.change("decided", **notes, trace=reply.trace, due=None, authorization=number))


def _kept(response: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a payer's answer is taken over as it is."""
    names = ("preAuthRef", "preAuthPeriod", "disposition", "processNote", "error", "communicationRequest", "extension")
    return {name: response[name] for name in names if name in response}


def said(result: Result) -> list[list[str]]:
    """Return the figures of a result, to tell a repeat from a correction."""
    return [
        [str(line.sequence), "paid", "", str(line.paid)] if one is None else
        [str(line.sequence), one.group, one.reason, str(one.amount)]
        for line in result.lines for one in (None, *line.adjustments)
    ]  # fmt: skip


async def _taken_back(ctx: PluginContext, draft: Draft, entries: list[str]) -> list[str]:
    """Take the entries of the last decision back, before another one is booked."""
    kept = []
    for key in entries:
        entry = await entry_of(ctx.store, key) if key.startswith("adjudication|") else None
        if entry is None:
            kept.append(key)
        else:
            draft.entries.append(reversal(entry, "corrected by the payer"))
    return kept


async def matter_of(ctx: PluginContext, record: ClaimRecord) -> Matter:
    """Return what a claim is written about by."""
    claim = await ctx.own.read("Claim", record.id)
    parties = Parties(
        record.id, str(record.value["payor"]), str(record.value["patient"]), int(record.value.get("decisions", 0)) + 1
    )
    insurer = claim.get("insurer") or {"reference": record.value["payor"]}
    return Matter(claim, int(claim["meta"]["versionId"]), record, parties, insurer)


async def _replace(ctx: PluginContext, draft: Draft, record: ClaimRecord) -> None:
    """Take back the claim that this one takes the place of, now that it is decided."""
    if not (id_ := record.value.get("replaces")):
        return
    previous = claim_record(id_, await ctx.store.get(CLAIMS.name, id_))
    if previous.state == "decided":
        standing = await standing_of(ctx, previous)
        await undo(ctx, draft, previous, "replaced", standing)
        await withdraw(ctx, draft, previous)
        draft.records += standing.changes() if standing else ()
        draft.records.append(previous.change("replaced", replaced_by=record.id))


async def _refused(ctx: PluginContext, draft: Draft, record: ClaimRecord, reply: Refused) -> None:
    """Write that the payer did not take the claim: what was booked is taken back, for nothing is asked of it now."""
    if record.state not in ("sending", "pended"):
        return
    await undo(ctx, draft, record, "refused", None)
    matter = await matter_of(ctx, record)
    heading = Heading(str(record.value["response"]), instant(ctx.now()), matter.insurer)
    answer = head(matter.claim, heading, "error", "The payer does not take the claim as it is.")
    answer["error"] = [{"code": {"text": text}} for text in reply.issues]
    version = int(record.value["response_version"])
    draft.puts.append(put(answer, version))
    draft.records.append(record.change("refused", due=None, response_version=version + 1, refused=list(reply.issues)))


async def _say(ctx: PluginContext, draft: Draft, record: ClaimRecord, why: str) -> None:
    """Write a new version of the answer that says why the claim waits."""
    matter = await matter_of(ctx, record)
    heading = Heading(str(record.value["response"]), instant(ctx.now()), matter.insurer)
    draft.puts.append(put(head(matter.claim, heading, "queued", why), int(record.value["response_version"])))


def _puzzled(ctx: PluginContext, record: ClaimRecord, why: str) -> RecordChange:
    """Note an answer that does not fit the claim; the payer is asked again, and people see why."""
    value = {**record.value, "unclear": why[:200], "due": _next(ctx, record)}
    return RecordChange(CLAIMS.name, record.id, value, expected=record.revision)

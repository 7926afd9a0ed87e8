"""What payers send by themselves: remittances and acknowledgments in X12, notifications in FHIR.

A notification is only a reason to ask the payer; what it says is not believed. An 835 comes over a connection that the
payer or the clearing house has a token for, and each claim in it has to fit what was asked.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from fhir_billing.claims.desk import Desk, desk_of
from fhir_billing.claims.exchange import parcel_of, settle, step
from fhir_billing.claims.records import CLAIMS, OPEN, claim_record
from fhir_billing.payers.payer import Answered, Unclear
from fhir_billing.payers.x12_answers import answer_of
from fhir_billing.x12.acknowledgment import acknowledge, refuse
from fhir_billing.x12.envelope import BadEnvelope, Interchange, parse
from fhir_billing.x12.remittance import BadRemittance, Paid, remittance
from fhir_billing.x12.shapes import check
from fhir_server.plugin_api import (
    PluginContext,
    RecordChange,
    RecordChanged,
    Route,
    RouteRequest,
    RouteResponse,
    Where,
    decode,
)

X12 = "application/edi-x12"


async def take_x12(ctx: PluginContext, asked: RouteRequest) -> RouteResponse:
    """Take interchanges in; the answer is a 999 for each, or a TA1 for what cannot be opened."""
    raw = await asked.body()
    now = datetime.fromtimestamp(ctx.now() / 1000, UTC).replace(tzinfo=None)
    try:
        interchanges = parse(raw)
    except BadEnvelope as error:
        return RouteResponse(400, refuse(raw, error, now) or str(error).encode(), X12)
    for each in interchanges:
        await _post(ctx, each)
    answers = [acknowledge(each, now, number) for number, each in enumerate(interchanges, 1)]
    return RouteResponse(200, b"".join(answers), X12)


async def _post(ctx: PluginContext, interchange: Interchange) -> None:
    """Settle the claims of an interchange without faults; the 999 tells of the others."""
    if interchange.faults:
        return
    for transaction in interchange.transactions:
        if transaction.kind != "835" or check(transaction):
            continue
        try:
            found = remittance(transaction)
        except BadRemittance:
            continue
        for paid in found.claims:
            await settle_paid(ctx, paid)


async def settle_paid(ctx: PluginContext, paid: Paid) -> str:
    """Settle one claim by what an 835 says; what is not ours, or does not fit, is left to reconciliation.

    Returns:
        The id of the Claim; where none is known, the number as it came.
    """
    id_ = await claim_of(ctx, paid.claim)
    record = claim_record(id_, await ctx.store.get(CLAIMS.name, id_))
    if record.value.get("payer", "table") == "table" or paid.is_reversal:
        return id_
    try:
        answer = answer_of(paid, await parcel_of(ctx, record))
    except Unclear:
        return id_
    await settle(ctx, record, Answered(answer, paid.payer_control))
    return id_


async def claim_of(ctx: PluginContext, number: str) -> str:
    """Return the id of the Claim that payers keep under a number; the number itself where there is none."""
    found = await ctx.store.find(CLAIMS.name, (Where("number", "=", number),), limit=2)
    return found[0].key if len(found) == 1 else number


async def take_notification(ctx: PluginContext, asked: RouteRequest) -> RouteResponse:
    """Take a notification: the claims that it names are asked about now."""
    try:
        body: Any = decode(await asked.body())
    except ValueError:
        return RouteResponse(400, b"", "text/plain")
    desk = desk_of(ctx)
    for name in sorted(set(_names(body)))[:100]:
        await _hurry(ctx, desk, name)
    return RouteResponse(202, b"", "text/plain")


async def _hurry(ctx: PluginContext, desk: Desk, name: str) -> None:
    found = [name] if await ctx.store.get(CLAIMS.name, name) is not None else []
    found += [each.key for each in await ctx.store.find(CLAIMS.name, (Where("trace", "=", name),), limit=10)]
    for id_ in found:
        record = claim_record(id_, await ctx.store.get(CLAIMS.name, id_))
        if record.state not in OPEN or record.value.get("due") is None:
            continue
        value = {**record.value, "due": ctx.now()}
        try:
            await ctx.store.put(RecordChange(CLAIMS.name, id_, value, expected=record.revision))
        except RecordChanged:
            continue  # somebody asks it now
        await step(ctx, desk, id_)


def _names(value: Any) -> Iterator[str]:
    """Yield ids of claims and identifiers that a notification names."""
    if isinstance(value, list):
        for each in value:
            yield from _names(each)
    elif isinstance(value, dict):
        for name, each in value.items():
            if name == "reference" and isinstance(each, str):
                yield each.rpartition("/")[2]
            elif name == "value" and isinstance(each, str):
                yield each
            else:
                yield from _names(each)


_ASKS = (("create", "ClaimResponse"),)
ROUTES = (
    Route("/billing/x12", take_x12, ("POST",), asks=_ASKS),
    Route("/billing/payers/notifications", take_notification, ("POST",), asks=_ASKS),
)

"""Webhooks: taken in fast and once, believed only after the processor was asked.

The answer is 200 as soon as the event is durable. An event gives no value by itself: it makes us ask. So one that is
forged well, comes late, twice, out of order or before the answer to our own request does no harm.
"""

import asyncio
import logging
from functools import partial
from typing import Final

from fhir_billing.payments.processor import Answer, Forged, Received, RefundAnswer, Told
from fhir_billing.payments.records import EVENTS, REFUNDS, Payment, payment_of
from fhir_billing.payments.refunds import moved, refund_from
from fhir_billing.payments.routing import processor_of, serves
from fhir_billing.payments.settling import apply, ask, by_reference
from fhir_billing.payments.states import MOVED
from fhir_server.plugin_api import (
    FhirError,
    PluginContext,
    Record,
    RecordChange,
    RecordChanged,
    Route,
    RouteRequest,
    RouteResponse,
    StoreError,
    TooLarge,
    UnknownPath,
    Where,
)

logger = logging.getLogger(__name__)
BATCH: Final = 200
_AT_ONCE: Final = 16


async def receive(ctx: PluginContext, request: RouteRequest) -> RouteResponse:
    """Take in a webhook."""
    own = await ctx.host.context(request.tenant, request.base)
    name = request.path["processor"]
    mine = own.settings.processors.get(name)
    if mine is None or not serves(mine, own.tenant):
        raise UnknownPath("there is nothing here", expression="http.url")
    body = await request.body()
    if len(body) > own.settings.webhook_body:
        raise TooLarge(f"a webhook has at most {own.settings.webhook_body} bytes", expression="http.body")
    came = Received(
        body, request.headers, request.url, request.path.get("token", ""), request.address, own.now(),
        own.settings.webhook_window,
    )  # fmt: skip
    try:
        told = processor_of(own.host, name).read(came)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Forged("the webhook is not of the form that its processor sends", expression="http.body") from error
    for each in told:
        await _note(own, name, each)
    ring(own)
    return RouteResponse(200, b'{"received":true}')


async def _note(ctx: PluginContext, processor: str, told: Told) -> None:
    """Write an event, if it is new: the replay store is the queue."""
    value = {
        "state": "new", "at": ctx.now(), "processor": processor, "payment": told.payment, "ref": told.ref,
        "kind": told.kind,
    }  # fmt: skip
    try:
        await ctx.store.put(RecordChange(EVENTS.name, f"{processor}|{told.id}"[:500], value, expected=0))
    except RecordChanged:
        return


def ring(ctx: PluginContext) -> None:
    """Have the events of a tenant worked on now, beside requests; one run at a time."""
    again: set[str] = ctx.host.shared.setdefault("again", set())
    running: dict[str, asyncio.Task[None]] = ctx.host.shared.setdefault("running", {})
    again.add(ctx.tenant)
    if ctx.tenant not in running:
        task = running[ctx.tenant] = asyncio.create_task(_run(ctx, again))
        task.add_done_callback(lambda _: running.pop(ctx.tenant, None))


async def _run(ctx: PluginContext, again: set[str]) -> None:
    while ctx.tenant in again:
        again.discard(ctx.tenant)
        try:
            while await process(ctx):
                pass
        except (FhirError, StoreError) as error:
            logger.warning("events wait for the next look: %s", type(error).__name__)


async def process(ctx: PluginContext) -> int:
    """Work on the events that came; return how many are done."""
    found = await ctx.store.find(EVENTS.name, [Where("state", "=", "new")], order="at", limit=BATCH)
    turn = asyncio.Semaphore(_AT_ONCE)

    async def one(record: Record) -> bool:
        async with turn:
            return await _event(ctx, record)

    return sum(await asyncio.gather(*[one(record) for record in found]))


async def _event(ctx: PluginContext, record: Record) -> bool:
    value = record.value
    if str(value["kind"]).startswith("refund-"):
        return await _done(ctx, record, await _refunded(ctx, record))
    payment = await _about(ctx, record)
    if payment is None:
        if ctx.now() - int(str(value["at"])) < ctx.settings.event_life * 1000:
            return False  # it may have come before the answer to our request
        return await _done(ctx, record, "unmatched")
    if value["kind"] == "dispute" and payment.state in MOVED:
        await apply(ctx, payment.id, Answer("disputed", why="a chargeback"))
    elif payment.state not in MOVED:
        after = await ask(ctx, payment, partial(_ending, ctx, record.key))
        if after.state == "requested":
            return False
        if not await _ending(ctx, record.key):
            return True
    return await _done(ctx, record, "done")


async def _ending(ctx: PluginContext, key: str) -> list[RecordChange]:
    """Return what marks an event as done; nothing where it is."""
    found = await ctx.store.get(EVENTS.name, key)
    if found is None or found.value["state"] != "new":
        return []
    return [RecordChange(EVENTS.name, key, {**found.value, "state": "done"}, expected=found.revision)]


async def _refunded(ctx: PluginContext, record: Record) -> str:
    """Take in what a signed event says of a refund whose processor cannot be asked; nothing comes to us by that."""
    found = await ctx.store.get(REFUNDS.name, str(record.value["payment"]))
    payment = await payment_of(ctx.store, refund_from(found).payment) if found else None
    if found is None or payment is None or payment.processor != record.value["processor"]:
        return "unmatched"
    paid = record.value["kind"] == "refund-paid"
    await moved(ctx, found.key, RefundAnswer("paid" if paid else "failed", why="told by webhook"), payment)
    return "done"


async def _about(ctx: PluginContext, record: Record) -> Payment | None:
    payment, ref, name = (str(record.value[key]) for key in ("payment", "ref", "processor"))
    found = await payment_of(ctx.store, payment) if payment else None
    if found is None and ref:
        found = await by_reference(ctx, ref, name)
    return found if found is not None and found.processor == name else None


async def _done(ctx: PluginContext, record: Record, state: str) -> bool:
    change = RecordChange(EVENTS.name, record.key, {**record.value, "state": state}, expected=record.revision)
    try:
        await ctx.store.put(change)
    except RecordChanged:
        return False
    return True


ROUTES: Final = (
    Route("/billing/webhooks/{processor}", receive, ("POST",), public=True),
    Route("/billing/webhooks/{processor}/{token}", receive, ("POST",), public=True),
)

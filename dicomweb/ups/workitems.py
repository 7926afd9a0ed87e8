"""UPS-RS: workitems are made, found, read, changed, claimed, ended; who wants to is told.

Spec: https://dicom.nema.org/medical/dicom/current/output/chtml/part18/chapter_11.html
"""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from dicomweb.model.values import DicomJson
from dicomweb.ups import events, states
from dicomweb.ups import workitem as w
from dicomweb.ups.states import FINAL, WorkitemRefused
from dicomweb.ups.store import find_workitem, keep, matching
from dicomweb.ups.subscriptions import followers, newly_followed
from dicomweb.ups.tasks import patient_of
from dicomweb.ups.web import done, keys_of, number, payload, rows, warning
from dicomweb.worklist.coding import el, sequence, text
from fhir_server.plugin_api import PluginContext, RecordChange, RouteRequest, RouteResponse

_UID_NAMES: Final = ("workitem", "AffectedSOPInstanceUID")
_TRANSACTION_NAMES: Final = ("transaction-uid", "transactionUID", "transaction")
_RETURNED: Final = (
    w.SOP_CLASS, w.SOP_INSTANCE, "00100010", "00100020", "00100030", "00100040", "00100021", "0020000D", "00380010",
    w.STATE, w.PRIORITY, w.LABEL, w.STEP_LABEL, w.START, "00404011", "00404010", w.READINESS, "00404018", "00404021",
    "00404025", "00404026", "00404027", "00404034", w.PROGRESS, "0040A370",
)  # fmt: skip
"""What a search returns by itself: PS3.4 table CC.2.5-3."""


async def create(ctx: PluginContext, asked: RouteRequest) -> RouteResponse:
    """Make a workitem."""
    uid = _bare(asked, _UID_NAMES) or f"2.25.{uuid.uuid4().int}"
    if not w.is_uid(uid):
        raise WorkitemRefused(0x0117, 400, "The UID of the UPS is none.")
    moment = w.date_time(ctx.now())
    attributes = w.new_attributes(await payload(asked), ctx.settings.ups_label, moment)
    item = w.Workitem(uid, attributes, "", ctx.new_id(), 0, await patient_of(ctx, attributes))
    titles, subscriptions = await newly_followed(ctx, item)
    told = events.events_for(ctx, item, titles, events.STATE_REPORT, events.state_report(item))
    await keep(ctx, item, [*subscriptions, *told])
    location = f"{asked.root}/dicomweb/workitems/{uid}"
    return done(201, {"Location": location, "Content-Location": location})


def _bare(asked: RouteRequest, names: Sequence[str]) -> str:
    """Return a UID of the query: under a name, or as the whole of it (`?1.2.3`)."""
    query = dict(asked.query)
    for name in names:
        if name in query:
            return query[name]
    return next((name for name, value in asked.query if not value and name[:1].isdigit()), "")


async def retrieve(ctx: PluginContext, asked: RouteRequest) -> RouteResponse:
    """Show a workitem."""
    item = await find_workitem(ctx, asked.path["uid"])
    headers = {}
    if item.state == states.IN_PROGRESS:
        headers["Warning"] = warning(asked, "The UPS is in progress and may change.")
    return rows([item.shown], headers)


async def update(ctx: PluginContext, asked: RouteRequest) -> RouteResponse:
    """Change a workitem."""
    item = await find_workitem(ctx, asked.path["uid"])
    changes = await payload(asked)
    given = _bare(asked, _TRANSACTION_NAMES) or text(changes, w.TRANSACTION)
    changes = {tag: value for tag, value in changes.items() if tag != w.TRANSACTION}
    states.may_update(item.state, item.transaction, given)
    after = replace(item, attributes=w.updated(item.attributes, changes, w.date_time(ctx.now())))
    reports = events.change_reports(item, after)
    titles = await followers(ctx, item) if reports else []
    told = [each for kind, data in reports for each in events.events_for(ctx, after, titles, kind, data)]
    await keep(ctx, after, told)
    return done(200, {"Content-Location": f"{asked.root}/dicomweb/workitems/{item.uid}"})


async def change_state(ctx: PluginContext, asked: RouteRequest) -> RouteResponse:
    """Claim, complete or cancel a workitem."""
    item = await find_workitem(ctx, asked.path["uid"])
    given = await payload(asked)
    target, transaction = text(given, w.STATE), text(given, w.TRANSACTION)
    if transaction and not w.is_uid(transaction):
        raise WorkitemRefused(0xC301, 400, states.WRONG_TRANSACTION)
    way = states.passage(item.state, target, item.transaction, transaction)
    if not way.changed:
        return done(200, {"Warning": warning(asked, way.warning)})
    if target in FINAL:
        w.finished(item.attributes, target)
    await _moved(ctx, replace(item, transaction=transaction), target)
    return done()


async def _moved(ctx: PluginContext, item: w.Workitem, target: str, beside: DicomJson | None = None) -> None:
    moment = w.date_time(ctx.now())
    attributes = {**item.attributes, **(beside or {}), w.STATE: el("CS", target), "00404010": el("DT", moment)}
    after = replace(item, attributes=attributes)
    report = events.state_report(after)
    if target == states.CANCELED:
        report |= {w.PROGRESS: attributes[w.PROGRESS]} if w.PROGRESS in attributes else {}
    titles = await followers(ctx, item)
    await keep(ctx, after, events.events_for(ctx, after, titles, events.STATE_REPORT, report))


async def request_cancellation(ctx: PluginContext, asked: RouteRequest) -> RouteResponse:
    """Cancel a workitem that nobody has claimed, or ask who has."""
    item = await find_workitem(ctx, asked.path["uid"])
    given = await payload(asked)
    w.well_formed(given)
    way = states.cancellation(item.state)
    if way.warning:
        return done(202, {"Warning": warning(asked, way.warning)})
    if way.changed:
        await _moved(ctx, item, states.CANCELED, {w.PROGRESS: sequence(_why(given, w.date_time(ctx.now())))})
        return done(202)
    titles = await followers(ctx, item)
    wanted = (w.REASON, w.REASON_CODES, w.CONTACT_URI, w.CONTACT_NAME)
    data = {tag: given[tag] for tag in wanted if tag in given}
    told: list[RecordChange] = events.events_for(ctx, item, titles, events.CANCEL_REQUESTED, data)
    if told:
        await ctx.store.put(*told)
    heard = {} if told else {"Warning": warning(asked, "The performer cannot be contacted.")}
    return done(202 if told else 409, heard)


def _why(given: DicomJson, moment: str) -> dict[str, Any]:
    reason = {tag: given[tag] for tag in (w.REASON, w.REASON_CODES) if (given.get(tag) or {}).get("Value")}
    return {w.CANCEL_TIME: el("DT", moment), **(reason or {w.REASON: el("LT", "canceled on request")})}


async def search(ctx: PluginContext, asked: RouteRequest) -> RouteResponse:
    """Find workitems, those that start first coming first."""
    query = dict(asked.query)
    keys, wanted = keys_of(asked.query)
    limit = min(number(query, "limit", ctx.settings.ups_page), ctx.settings.ups_max_page)
    offset = number(query, "offset", 0)
    found = [item async for item in matching(ctx, keys, ctx.settings.ups_looked_at)]
    found.sort(key=lambda item: (text(item.attributes, w.START), item.uid))
    page = found[offset : offset + limit]
    remaining = len(found) - offset - len(page)
    headers = {}
    if remaining > 0:
        headers["Warning"] = warning(asked, f"There are {remaining} additional results that can be requested")
    return rows([_returned(item.shown, keys, wanted) for item in page], headers)


def _returned(row: DicomJson, keys: DicomJson, wanted: Sequence[str]) -> DicomJson:
    if "all" in wanted:
        return row
    asked = {*_RETURNED, *keys, *wanted}
    return {tag: value for tag, value in row.items() if tag in asked}

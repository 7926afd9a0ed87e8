"""The worklist of modalities, performed steps and storage commitment over the web: PS3.18 chapters 13, 14 and 15."""

from dicomweb.ups.states import WorkitemRefused
from dicomweb.ups.web import done, keys_of, number, payload, rows, warning
from dicomweb.ups.workitem import is_uid
from dicomweb.worklist.commitments import is_taken, judged, remember, remembered
from dicomweb.worklist.items import STEPS, scheduled
from dicomweb.worklist.steps import change_step, create_step, read_step, shown
from fhir_server.plugin_api import PluginContext, RouteRequest, RouteResponse


async def search_orders(ctx: PluginContext, asked: RouteRequest) -> RouteResponse:
    """Find what is scheduled. Spec: PS3.18 section 14.4."""
    query = dict(asked.query)
    keys, wanted = keys_of(asked.query)
    found = await scheduled(ctx, keys, ctx.settings.dimse_max_matches)
    limit = min(number(query, "limit", ctx.settings.ups_page), ctx.settings.ups_max_page)
    offset = number(query, "offset", 0)
    page = found[offset : offset + limit]
    remaining = len(found) - offset - len(page)
    headers = {}
    if remaining > 0:
        headers["Warning"] = warning(asked, f"There are {remaining} additional results that can be requested")
    told = [{tag: value for tag, value in row.items() if value.get("Value") or tag in wanted} for row in page]
    return rows([row for row in told if STEPS in row], headers)


async def post_step(ctx: PluginContext, asked: RouteRequest) -> RouteResponse:
    """Begin a performed step, or with `?update` go on with one. Spec: PS3.18 sections 15.4 and 15.5."""
    uid = asked.path["uid"]
    if any(name == "update" for name, _ in asked.query):
        await change_step(ctx, uid, await payload(asked))
        return done(200, {"Content-Location": asked.url})
    await create_step(ctx, uid, await payload(asked))
    return done(201, {"Location": asked.url, "Content-Location": asked.url})


async def get_step(ctx: PluginContext, asked: RouteRequest) -> RouteResponse:
    """Show a performed step. Spec: PS3.18 section 15.6."""
    return rows([shown(await read_step(ctx, asked.path["uid"]))])


async def ask_commitment(ctx: PluginContext, asked: RouteRequest) -> RouteResponse:
    """Say which of some instances are kept. Spec: PS3.18 section 13.4."""
    uid = asked.path["uid"]
    if not is_uid(uid):
        raise WorkitemRefused(0x0117, 400, "the transaction UID is none")
    if await is_taken(ctx, uid):
        raise WorkitemRefused(0x0131, 409, "the transaction UID is in use")
    verdict = await judged(ctx, await payload(asked), uid)
    await remember(ctx, verdict, ctx.settings.dimse_title)
    return rows([verdict.data(ctx.settings.dimse_title)])


async def get_commitment(ctx: PluginContext, asked: RouteRequest) -> RouteResponse:
    """Say it again. Spec: PS3.18 section 13.5."""
    found = await remembered(ctx, asked.path["uid"])
    if found is None:
        raise WorkitemRefused(0xC307, 404, "there is no such transaction")
    return rows([found["data"]])

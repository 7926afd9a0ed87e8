"""Subscribing over the web. Spec: PS3.18 sections 11.10 to 11.12."""

from dicomweb.ups.states import WorkitemRefused
from dicomweb.ups.store import find_workitem
from dicomweb.ups.subscriptions import (
    FILTERED,
    GLOBAL,
    a_title,
    claim,
    owns,
    subscribe,
    subscribe_all,
    suspend,
    unsubscribe,
)
from dicomweb.ups.web import done, keys_of
from fhir_server.plugin_api import Forbidden, PluginContext, RouteRequest, RouteResponse

CHANNEL = "/dicomweb/subscribers/{ae}"


async def start(ctx: PluginContext, asked: RouteRequest) -> RouteResponse:
    """Subscribe to one workitem, to all or to those that match."""
    title, uid = a_title(asked.path["ae"]), asked.path["uid"]
    lock = dict(asked.query).get("deletionlock", "false").lower() == "true"
    if uid in (GLOBAL, FILTERED):
        keys, _ = keys_of(_filter(asked))
        if uid == FILTERED and not keys:
            raise WorkitemRefused(0xC307, 400, "A filtered subscription needs a filter.")
        await claim(ctx, title)
        await subscribe_all(ctx, title, lock=lock, keys=keys if uid == FILTERED else None)
    else:
        item = await find_workitem(ctx, uid)
        await claim(ctx, title)
        await subscribe(ctx, item, title, lock=lock)
    socket = f"{asked.root.replace('http', 'ws', 1)}{CHANNEL.replace('{ae}', title)}"
    return done(201, {"Content-Location": socket})


def _filter(asked: RouteRequest) -> list[tuple[str, str]]:
    """Return the pairs of a filter: each a parameter, or all of them in one, `filter=a=b,c=d`."""
    found: list[tuple[str, str]] = []
    for name, value in asked.query:
        if name == "filter":
            found += [(key, what) for key, _, what in (each.partition("=") for each in value.split(",")) if key]
        elif name != "deletionlock":
            found.append((name, value))
    return found


async def stop(ctx: PluginContext, asked: RouteRequest) -> RouteResponse:
    """Unsubscribe."""
    await _need(ctx, asked)
    await unsubscribe(ctx, asked.path["uid"], asked.path["ae"])
    return done()


async def pause(ctx: PluginContext, asked: RouteRequest) -> RouteResponse:
    """Suspend a global subscription."""
    await _need(ctx, asked)
    await suspend(ctx, asked.path["uid"], asked.path["ae"])
    return done()


async def _need(ctx: PluginContext, asked: RouteRequest) -> None:
    if not await owns(ctx, a_title(asked.path["ae"])):
        raise Forbidden("this AE title is not yours", expression="http.url")

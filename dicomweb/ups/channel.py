"""The notification channel: events of workitems over a WebSocket, to whoever owns the AE title.

What waited while nobody listened comes first. Before an event is sent, its reader must still see the workitem.

Spec: https://dicom.nema.org/medical/dicom/current/output/chtml/part18/sect_8.10.html
"""

import asyncio
from contextlib import suppress
from typing import Any, Final

from dicomweb.ups.events import taken, waiting
from dicomweb.ups.subscribing import CHANNEL
from dicomweb.ups.subscriptions import owns
from fhir_server.plugin_api import FhirError, Host, PluginContext, Record, RouteRequest, Socket, SocketRoute, encode

_NOT_YOURS: Final = 1008
_ENDED: Final = 1008


async def serve(host: Host, asked: RouteRequest, socket: Socket) -> None:
    """Serve one subscriber."""
    title, authorization = asked.path["ae"], asked.headers.get("authorization", "")
    try:
        ctx = await host.let_in(asked.tenant, authorization, asked.base)
    except FhirError:
        await socket.close(_NOT_YOURS, "an access token is needed")
        return
    if not await owns(ctx, title):
        await socket.close(_NOT_YOURS, "nobody with your token has subscribed under this AE title")
        return
    following = asyncio.create_task(_follow(host, asked, socket, title))
    try:
        while await socket.receive() is not None and not following.done():
            continue  # nothing that a subscriber says means anything
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError, ConnectionError):
            await following


async def _follow(host: Host, asked: RouteRequest, socket: Socket, title: str) -> None:
    number = 0
    while True:
        try:
            ctx = await host.let_in(asked.tenant, asked.headers.get("authorization", ""), asked.base)
        except FhirError:
            await socket.close(_ENDED, "the access token is no longer good")
            return
        for record in await waiting(ctx, title, ctx.settings.ups_events):
            number = number % 0xFFFF + 1
            if await _seen(ctx, record):
                await socket.send(_message(record, number))
            await taken(ctx, [record])
        await asyncio.sleep(ctx.settings.ups_poll)


async def _seen(ctx: PluginContext, record: Record) -> bool:
    try:
        return await ctx.client.find("Task", str(record.value["task"])) is not None
    except FhirError:
        return False


def _message(record: Record, number: int) -> str:
    data: Any = record.value["data"]
    return encode({"00000110": {"vr": "US", "Value": [number]}, **data}).decode()


ROUTE: Final = SocketRoute(CHANNEL, serve)

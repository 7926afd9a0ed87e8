"""WebSockets: `bind ID` of R4, and `bind-with-token` of the backport.

A socket lives in whichever process the client reached, so it follows the log of its subscription by itself.

Spec: https://hl7.org/fhir/R4/subscription.html#channels,
https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/channels.html#websockets
"""

import asyncio
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any

from fhir_server.plugin_api import FhirError, Host, PluginContext, RouteRequest, Socket, SocketRoute, Unauthorized
from fhir_subscriptions.log import TOKENS, numbered
from fhir_subscriptions.members import member_of
from fhir_subscriptions.notification import bundle_of
from fhir_subscriptions.numbering import includes_of
from fhir_subscriptions.seeing import Sight
from fhir_subscriptions.wish import Membership

PATH = "/subscriptions/websocket"
_MOST = 50
_MOST_BOUND = 100


@dataclass(slots=True)
class _Session:
    """One open socket: what it is bound to, under which grants, and the number of the last event that it was sent."""

    ctx: PluginContext
    host: Host
    socket: Socket
    authorization: str
    bound: dict[str, int] = field(default_factory=dict)
    grants: dict[str, str] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)

    async def said(self, message: str) -> None:
        """Answer what the client says."""
        word, _, rest = message.strip().partition(" ")
        if word == "bind":
            await self._bind(rest.strip().removeprefix(":"))
        elif word == "bind-with-token":
            await self._bind_with_token(rest.strip())
        elif word == "unbind":
            self.bound.pop(rest.strip().removeprefix(":"), None)  # its grant is kept: another `bind` replaces it
        else:
            await self.socket.send("error: say `bind ID` or `bind-with-token TOKEN`")

    async def _bind(self, id_: str) -> None:
        """Bind to a subscription that the caller may read: anybody could guess its id."""
        try:
            caller = await self.host.let_in(self.ctx.tenant, self.authorization, self.ctx.base)
            await caller.client.read("Subscription", id_)
            grant = await caller.lasting_grant()
        except FhirError:
            await self.socket.send(f"error: there is no subscription {id_[:64]} here")
            return
        if await self._take(id_, grant) is not None:
            await self.socket.send(f"bound {id_}")

    async def _bind_with_token(self, token: str) -> None:
        record = await self.ctx.store.get(TOKENS.name, token)
        value: Any = record.value if record else {"expires": 0, "ids": ()}
        if value["expires"] <= self.ctx.now():
            await self.socket.send("error: the token is not good")
            return
        try:
            grant = await (await self.host.under(self.ctx.tenant, str(value["grant"]), self.ctx.base)).lasting_grant()
        except Unauthorized:
            await self.socket.send("error: what the token was made under has ended")
            return
        for id_ in value["ids"]:
            member = await self._take(id_, grant)
            if member is not None:
                body = bundle_of(member, "handshake", (), self.ctx.now())
                await self.socket.send(body.decode())

    async def _take(self, id_: str, grant: str) -> Membership | None:
        self.made.add(grant)
        member = await member_of(self.ctx.store, id_)
        if member is None or member.wish.channel != "websocket" or len(self.bound) >= _MOST_BOUND:
            await self.socket.send(f"error: {id_[:64]} is no subscription by websocket that is at work")
            return None
        self.bound[id_], self.grants[id_] = member.total, grant
        return member

    async def follow(self) -> None:
        """Send what is new, for as long as this runs."""
        while True:
            await asyncio.sleep(self.ctx.settings.poll)
            for id_ in list(self.bound):
                await self._send_new(id_)

    async def _send_new(self, id_: str) -> None:
        found = await numbered(self.ctx.store, id_, self.bound[id_], _MOST)
        if not found:
            return
        member = await member_of(self.ctx.store, id_)
        if member is None or member.state not in ("active", "requested"):
            await self._let_go(id_, "is off")
            return
        try:
            asker = await self.host.under(self.ctx.tenant, self.grants[id_], self.ctx.base)
            member = replace(member, base=self.ctx.base)
            told = await Sight(self.host, self.ctx, member, asker).told(found, await includes_of(self.ctx, member))
        except Unauthorized:
            await self._let_go(id_, "is no longer yours to follow: what was granted has ended")
            return
        if member.wish.topic:
            most = member.wish.max_count or 1
            for start in range(0, len(told), most):
                part = told[start : start + most]
                await self.socket.send(bundle_of(member, "event-notification", part, self.ctx.now()).decode())
        else:
            for _ in filter(attrgetter("seen"), told):
                await self.socket.send(f"ping {id_}")
        self.bound[id_] = found[-1].number

    async def _let_go(self, id_: str, why: str) -> None:
        del self.bound[id_], self.grants[id_]
        await self.socket.send(f"error: {id_} {why}")


async def serve(host: Host, asked: RouteRequest, socket: Socket) -> None:
    """Serve one socket."""
    ctx = await host.context(asked.tenant, asked.base)
    session = _Session(ctx, host, socket, asked.headers.get("authorization", ""))
    following = asyncio.create_task(session.follow())
    try:
        while (message := await socket.receive()) is not None:
            await session.said(message if isinstance(message, str) else message.decode("utf-8", "replace"))
            if following.done():
                return
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        for grant in session.made:
            await host.end_lasting(asked.tenant, grant)


ROUTES = (SocketRoute(PATH, serve),)

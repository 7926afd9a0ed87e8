"""The deliverer: sends each subscription its events, in their order, until they have arrived or it is given up."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

from fhir_server.plugin_api import (
    Alert,
    FhirError,
    Forbidden,
    Gone,
    Host,
    NotFound,
    PluginContext,
    Unauthorized,
    counted_delivery,
    raise_alert,
)
from fhir_subscriptions.channels import NotDelivered, Parcel
from fhir_subscriptions.channels.mail import send_mail
from fhir_subscriptions.channels.rest_hook import RestHook
from fhir_subscriptions.consumer import fail
from fhir_subscriptions.desk import Ring, desk_of
from fhir_subscriptions.log import TENANTS, head_of, numbered, sweep
from fhir_subscriptions.members import LIVE, Left, all_members, change_member, changed, member_of, members_of
from fhir_subscriptions.notification import Kind, Told, bundle_of
from fhir_subscriptions.numbering import includes_of, numbering
from fhir_subscriptions.parcels import parcel_of
from fhir_subscriptions.seeing import Sight
from fhir_subscriptions.wish import TYPE, Membership

logger = logging.getLogger(__name__)
_LONGEST_REST = 60.0
_SWEEP = 600.0
_AFTER_FAULT = 1.0
_WELL: dict[str, Any] = {"tries": 0, "since": 0, "due": 0, "error": ""}


class Deliverer:
    """Serves the subscriptions of all tenants, in the process that leads."""

    def __init__(self, host: Host) -> None:
        self._host, self._settings = host, host.settings
        self._hook = RestHook(host.settings)
        self._turn = asyncio.Semaphore(host.settings.at_once)
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._again: set[tuple[str, str]] = set()
        self._bases: dict[str, str] = {}
        self._due: dict[tuple[str, str], int] = {}

    async def run(self) -> None:
        """Deliver until cancelled."""
        desk = desk_of(self._host.shared)
        home = await self._host.context()
        desk.opened(home.store)
        for record in await home.store.find(TENANTS.name, limit=100_000):
            self._bases[record.key] = str(record.value["base"])
            desk.ring(record.key)
        swept = 0
        try:
            while True:
                await self._look_at(await desk.heard(self._patience(home.now())))
                self._start_due(home.now())
                if home.now() - swept > _SWEEP * 1000:
                    swept = home.now()
                    await self._sweep(swept)
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            await self._hook.close()

    def _patience(self, now: int) -> float:
        """Return for how many seconds nothing is due."""
        nearest = min(self._due.values(), default=now + round(_LONGEST_REST * 1000))
        return min(max((nearest - now) / 1000, 0.0), _LONGEST_REST)

    async def _look_at(self, rung: set[Ring]) -> None:
        """Find whose events have not arrived, or who is to be sent something at a time."""
        for tenant in {ring.tenant for ring in rung}:
            try:
                ctx = await self._host.context(tenant, self._bases.get(tenant, ""))
            except (FhirError, KeyError):
                continue  # it is not served now; it rings again
            heads: dict[str, int] = {}
            async for member in _rung_for(ctx, [ring for ring in rung if ring.tenant == tenant]):
                self._bases.setdefault(tenant, member.base)
                if member.group not in heads:
                    heads[member.group] = (await head_of(ctx.store, member.group)).number
                new = member.seen < heads[member.group] or member.delivered < member.total
                self._set((tenant, member.wish.id), member, ctx.now(), behind=new or member.state == "requested")

    def _set(self, place: tuple[str, str], member: Membership, now: int, *, behind: bool) -> None:
        """Note when a subscription is to be looked at again."""
        if place in self._tasks:
            self._again.add(place)
        elif behind:
            self._due[place] = max(member.due, now)
        elif member.wish.heartbeat and member.wish.topic:
            self._due[place] = max(member.heard, 1) + member.wish.heartbeat * 1000
        else:
            self._due.pop(place, None)

    def _start_due(self, now: int) -> None:
        for place in [each for each, at in self._due.items() if at <= now]:
            del self._due[place]
            task = self._tasks[place] = asyncio.create_task(self._serve(*place))
            task.add_done_callback(lambda _, place=place: self._ended(place))  # type: ignore[misc]

    def _ended(self, place: tuple[str, str]) -> None:
        self._tasks.pop(place, None)
        desk = desk_of(self._host.shared)
        if place in self._again:
            self._again.discard(place)
            desk.ring(place[0], member=place[1])
        desk.nudge()

    async def _serve(self, tenant: str, id_: str) -> None:
        """Send one subscription what it has not got."""
        async with self._turn:
            try:
                ctx = await self._host.context(tenant, self._bases.get(tenant, ""))
                member = await member_of(ctx.store, id_)
                if member is not None and member.state in LIVE:
                    await self._catch_up(ctx, member)
            except Exception as error:  # one subscription must not end the delivery of the others
                logger.error("subscription in %s: %s", tenant, type(error).__name__)
                await asyncio.sleep(_AFTER_FAULT)
                self._again.add((tenant, id_))

    async def _catch_up(self, ctx: PluginContext, member: Membership) -> None:
        now = ctx.now()
        if 0 < member.wish.ends <= now:
            await self._off(ctx, member)
            return
        try:
            member = await self._worked(ctx, member)
        except NotDelivered as error:
            await self._failed(ctx, error, member.wish.id, member.mark)
        except Unauthorized:
            await fail(ctx, member, "the authority under which it was made has ended")
        except Left:
            return
        else:
            if member.wish.heartbeat and member.wish.topic and member.wish.channel != "websocket":
                self._due[ctx.tenant, member.wish.id] = member.heard + member.wish.heartbeat * 1000

    async def _worked(self, ctx: PluginContext, member: Membership) -> Membership:
        """Do all that is to be done for a subscription. Raises NotDelivered, Unauthorized, Left."""
        sight = Sight(self._host, ctx, member)
        member = await numbering(ctx, member, sight)
        if member.state == "requested":
            member = await self._activate(ctx, member)
        if member.wish.channel == "websocket":
            return await changed(ctx, member, delivered=member.total)
        while member.delivered < member.total:
            member = await self._send_next(ctx, member, sight)
            member = await numbering(ctx, member, sight)
        if _is_quiet(member, ctx.now()):
            await self._send_bundle(ctx, member, "heartbeat", ())
            member = await changed(ctx, member, heard=ctx.now())
        return member

    async def _activate(self, ctx: PluginContext, member: Membership) -> Membership:
        """Shake hands where that is asked for, then tell by its status that it works."""
        if member.wish.topic and member.wish.channel != "websocket":
            await self._send_bundle(ctx, member, "handshake", ())
        member = await changed(ctx, member, state="active", **_WELL, heard=ctx.now())
        await ctx.own.patch(TYPE, member.wish.id, [{"op": "replace", "path": "/status", "value": "active"}])
        return member

    async def _send_next(self, ctx: PluginContext, member: Membership, sight: Sight) -> Membership:
        """Send the next events, as many as may go at once."""
        most = min(member.wish.max_count or 1, self._settings.max_count) if member.wish.topic else 1
        found = await numbered(ctx.store, member.wish.id, member.delivered, most)
        if not found:  # they were swept: older than what is kept
            return await changed(ctx, member, delivered=member.total)
        told = await sight.told(found, await includes_of(ctx, member))
        if member.wish.topic:
            await self._send_bundle(ctx, member, "event-notification", told)
        else:
            await self._send(member, parcel_of(ctx.core.definitions, member, told[0]))
        return await changed(ctx, member, delivered=found[-1].number, **_WELL, heard=ctx.now())

    async def _send_bundle(self, ctx: PluginContext, member: Membership, kind: Kind, told: Sequence[Told]) -> None:
        last = told[-1].event.number if told else member.delivered
        body = bundle_of(member, kind, told, ctx.now())
        key = f"{member.wish.id}/{kind}/{last}"
        await self._send(member, Parcel(body, key=key, subject=f"Subscription: {kind}"))

    async def _send(self, member: Membership, parcel: Parcel) -> None:
        with counted_delivery("fhir_subscriptions", member.wish.channel):
            if member.wish.channel == "email":
                await send_mail(self._settings, member.wish, parcel)
            else:
                await self._hook.send(member.wish, parcel)

    async def _failed(self, ctx: PluginContext, error: NotDelivered, id_: str, mark: str) -> None:
        """Try again later, later each time; give up after days."""
        member = await member_of(ctx.store, id_)
        if member is None or member.mark != mark:
            return
        now, settings = ctx.now(), self._settings
        since = member.since or now
        if error.final or now - since > settings.give_up * 1000:
            await fail(ctx, member, str(error))
            said = f"a subscription was given up: {error}"
            raise_alert(Alert("subscription-failed", ctx.tenant, said, f"{TYPE}/{id_}"))
            return
        pause = min(settings.first_pause * 2 ** min(member.tries, 30), settings.longest_pause)
        due = now + round(pause * 1000)
        await change_member(ctx.store, id_, mark, tries=member.tries + 1, since=since, due=due, error=str(error))
        self._due[ctx.tenant, id_] = due

    async def _off(self, ctx: PluginContext, member: Membership) -> None:
        """Its end has come."""
        patch = [{"op": "replace", "path": "/status", "value": "off"}]
        with suppress(NotFound, Gone, Forbidden):
            await ctx.own.patch(TYPE, member.wish.id, patch)

    async def _sweep(self, now: int) -> None:
        for tenant, base in list(self._bases.items()):
            try:
                ctx = await self._host.context(tenant, base)
                await sweep(ctx.store, now - round(self._settings.kept * 1000))
            except (FhirError, KeyError):
                continue


async def _rung_for(ctx: PluginContext, rung: Sequence[Ring]) -> AsyncIterator[Membership]:
    """Yield the subscriptions at work that rings are about."""
    if any(not ring.group and not ring.member for ring in rung):
        async for member in all_members(ctx.store, *LIVE):
            yield member
        return
    for ring in rung:
        if ring.group:
            async for member in members_of(ctx.store, ring.group):
                yield member
        else:
            found = await member_of(ctx.store, ring.member)
            if found is not None and found.state in LIVE:
                yield found


def _is_quiet(member: Membership, now: int) -> bool:
    period = member.wish.heartbeat * 1000
    return bool(period) and bool(member.wish.topic) and now - member.heard >= period

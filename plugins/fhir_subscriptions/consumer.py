"""The consumer of the feed: learns of subscriptions and topics, and writes the events of each group."""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from fhir_server.plugin_api import FeedChange, FhirError, PluginContext, RecordChange, decode
from fhir_subscriptions.desk import desk_of
from fhir_subscriptions.groups import Groups
from fhir_subscriptions.log import GROUPS, MEMBERS, TENANTS, append, head_of
from fhir_subscriptions.members import all_members, change_member, member_of
from fhir_subscriptions.topics import Happened, read_topic
from fhir_subscriptions.wish import TOPIC, TYPE, Membership, Misread, Wish, read_wish

_DEFINING = frozenset((TOPIC, "SearchParameter"))


_REVISION = "~members"
"""The record whose revision tells whether another process changed the members meanwhile."""


class Evaluator:
    """The subscriptions of the tenants that were written since this process leads."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, Groups]] = {}

    async def consume(self, ctx: PluginContext, changes: Sequence[FeedChange]) -> None:
        """Take in a batch of changes."""
        groups = await self._of(ctx)
        waiting: dict[str, list[FeedChange]] = defaultdict(list)
        for change in changes:
            if change.key.type == TYPE or change.key.type in _DEFINING:
                await _write(ctx, waiting)
                await self._defined(ctx, groups, change)
                self._known[ctx.tenant] = (await _revision(ctx), groups)
            for group in await groups.concerned(Happened(ctx, change)):
                waiting[group].append(change)
        await _write(ctx, waiting)

    async def _of(self, ctx: PluginContext) -> Groups:
        """Return the groups of a tenant, read from its records when it is first met or another process led."""
        revision = await _revision(ctx)
        known = self._known.get(ctx.tenant)
        if known is not None and known[0] == revision:
            return known[1]
        groups = Groups()
        await _read_topics(ctx, groups)
        async for member in all_members(ctx.store, "requested", "active", "error"):
            try:
                groups.join(ctx, member.wish)
            except FhirError as error:
                await fail(ctx, member, f"its criteria cannot be used: {error}")
        self._known[ctx.tenant] = (revision, groups)
        return groups

    async def _defined(self, ctx: PluginContext, groups: Groups, change: FeedChange) -> None:
        if change.key.type == TYPE:
            await _subscribed(ctx, groups, change)
            return
        await _read_topics(ctx, groups)
        members = {each.wish.id: each async for each in all_members(ctx.store, "requested", "active", "error")}
        for id_ in groups.compile_anew(ctx, {id_: each.wish for id_, each in members.items()}):
            await fail(ctx, members[id_], "its criteria cannot be used any more")


async def _revision(ctx: PluginContext) -> int:
    record = await ctx.store.get(GROUPS.name, _REVISION)
    return record.revision if record else 0


def _noted() -> RecordChange:
    """Return the change that goes with every change of members."""
    return RecordChange(GROUPS.name, _REVISION, {"number": 0, "txid": 0, "seen": []})


async def _write(ctx: PluginContext, waiting: dict[str, list[FeedChange]]) -> None:
    for group, changes in waiting.items():
        if await append(ctx.store, group, changes):
            desk_of(ctx.shared).ring(ctx.tenant, group=group)
    waiting.clear()


async def _read_topics(ctx: PluginContext, groups: Groups) -> None:
    groups.topics.clear()
    async for resource in ctx.own.each(TOPIC, "status=active"):
        try:
            topic = read_topic(ctx, resource)
        except Misread:
            continue  # it was refused when it was written, unless a search parameter that it used is gone
        groups.topics[topic.url] = topic


async def _subscribed(ctx: PluginContext, groups: Groups, change: FeedChange) -> None:
    """A Subscription was written: it joins, goes on, or leaves."""
    known = await member_of(ctx.store, change.key.id)
    resource: dict[str, Any] = decode(change.body) if change.method != "deleted" else {}
    status = resource.get("status", "off")
    try:
        wish = read_wish(resource) if resource else None
    except Misread:
        wish = None  # stored while nothing was checked
    if wish is None or status == "off":
        if known is not None:
            groups.leave(known.wish)
            await ctx.store.put(RecordChange(MEMBERS.name, known.wish.id, None), _noted())
            desk_of(ctx.shared).ring(ctx.tenant, member=known.wish.id)
        return
    if status == "error" or (known is not None and known.mark == wish.mark and status in (known.state, "active")):
        return  # what the server itself wrote, or nothing that matters here
    if known is not None and known.mark != wish.mark:
        groups.leave(known.wish)
    await _join(ctx, groups, wish, known)


async def _join(ctx: PluginContext, groups: Groups, wish: Wish, known: Membership | None) -> None:
    """Begin, or begin again where it stopped."""
    if known is not None and known.mark == wish.mark:
        member = replace(known, state="requested", tries=0, since=0, due=0, error="")
    else:
        head = await head_of(ctx.store, wish.group)
        member = Membership(wish, wish.mark, wish.group, ctx.base, "requested", head.number)
    await ctx.store.put(RecordChange(MEMBERS.name, wish.id, member.as_record()), _noted())
    try:
        groups.join(ctx, wish)
    except FhirError as error:
        await fail(ctx, member, f"its criteria cannot be used: {error}")
        return
    await _remember_tenant(ctx)
    desk_of(ctx.shared).ring(ctx.tenant, member=wish.id)


async def _remember_tenant(ctx: PluginContext) -> None:
    """Note in the default tenant that this one has subscriptions, so that they are served after a restart."""
    home = await desk_of(ctx.shared).home()
    if await home.get(TENANTS.name, ctx.tenant) is None:
        await home.put(RecordChange(TENANTS.name, ctx.tenant, {"base": ctx.base}))


async def fail(ctx: PluginContext, member: Membership, said: str) -> None:
    """Put a subscription in error, in its record and in its resource, so that its owner reads why."""
    if await change_member(ctx.store, member.wish.id, member.mark, state="error", error=said) is None:
        return
    patch = [
        {"op": "replace", "path": "/status", "value": "error"},
        {"op": "add", "path": "/error", "value": said},
    ]
    with suppress(FhirError):  # it was deleted meanwhile
        await ctx.own.patch(TYPE, member.wish.id, patch)

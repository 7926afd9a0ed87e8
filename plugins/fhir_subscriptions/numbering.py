"""Numbers the events of a group for one subscription: without gaps, and only those that its subscriber may see."""

from collections.abc import Sequence
from dataclasses import replace

from fhir_server.plugin_api import PluginContext, RecordChange, RecordChanged
from fhir_subscriptions.log import MEMBERS, Event, events, row_of
from fhir_subscriptions.members import Left, read_member
from fhir_subscriptions.seeing import Sight
from fhir_subscriptions.topics import known_topic
from fhir_subscriptions.wish import Membership

_AT_ONCE = 200


async def numbering(ctx: PluginContext, member: Membership, sight: Sight) -> Membership:
    """Number what is new in the group.

    Raises:
        Left: the subscription is no more, or asks for something else.
        Unauthorized: nobody may see anything for it any more.
    """
    while found := await events(ctx.store, member.group, member.seen, _AT_ONCE):
        visible = [event for event in found if await sight.sees(event)]
        member = await _written(ctx, member, visible, found[-1].number)
    return member


async def _written(ctx: PluginContext, member: Membership, visible: Sequence[Event], seen: int) -> Membership:
    """Write the numbers in one commit with how far the group was looked at. What another process has numbered
    meanwhile, which led before or does so now, keeps its numbers."""
    while True:
        record = await ctx.store.get(MEMBERS.name, member.wish.id)
        current = read_member(record.value) if record else None
        if record is None or current is None or current.mark != member.mark:
            raise Left
        if current.seen >= seen:
            return current
        fresh = [event for event in visible if event.number > current.seen]
        rows = [row_of(member.wish.id, current.total + n, event) for n, event in enumerate(fresh, 1)]
        after = replace(current, seen=seen, total=current.total + len(fresh))
        try:
            change = RecordChange(MEMBERS.name, member.wish.id, after.as_record(), expected=record.revision)
            await ctx.store.put(*rows, change)
        except RecordChanged:
            continue
        return after


async def includes_of(ctx: PluginContext, member: Membership) -> dict[str, tuple[str, ...]]:
    """Return what the topic of a subscription sends along, by type."""
    if not member.wish.topic or member.wish.content != "full-resource":
        return {}
    topic = await known_topic(ctx, member.wish.topic)
    return dict(topic.includes) if topic else {}

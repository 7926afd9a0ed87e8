"""Members: what is kept of each subscription, read from its record and written back."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

from fhir_server.plugin_api import PluginContext, PluginStore, RecordChange, RecordChanged, Where
from fhir_subscriptions.log import MEMBERS
from fhir_subscriptions.wish import Membership, Wish

LIVE = ("requested", "active")


def read_member(value: Mapping[str, Any]) -> Membership:
    """Return the member that a record holds."""
    given: dict[str, Any] = dict(value)
    wish = dict(given.pop("wish"))
    wish["criteria"] = tuple((type_, tuple((n, v) for n, v in pairs)) for type_, pairs in wish["criteria"])
    wish["headers"] = tuple((name, text) for name, text in wish["headers"])
    return Membership(wish=Wish(**wish), **given)


async def member_of(store: PluginStore, id_: str) -> Membership | None:
    """Return one member."""
    record = await store.get(MEMBERS.name, id_)
    return read_member(record.value) if record else None


async def all_members(store: PluginStore, *states: str) -> AsyncIterator[Membership]:
    """Yield all members in one of these states; in any, if none is named."""
    after = None
    where = (Where("state", "in", list(states)),) if states else ()
    while page := await store.find(MEMBERS.name, where, after=after, limit=1_000):
        for record in page:
            yield read_member(record.value)
        after = page[-1].key


async def members_of(store: PluginStore, group: str) -> AsyncIterator[Membership]:
    """Yield the members of a group that are at work."""
    after = None
    where = (Where("group", "=", group),)
    while page := await store.find(MEMBERS.name, where, after=after, limit=1_000):
        for record in page:
            member = read_member(record.value)
            if member.state in LIVE:
                yield member
        after = page[-1].key


async def change_member(store: PluginStore, id_: str, mark: str, **changes: Any) -> Membership | None:
    """Write some things of a member, if it still asks for what it did (`mark`); return it as it is then."""
    while True:
        record = await store.get(MEMBERS.name, id_)
        if record is None:
            return None
        member = read_member(record.value)
        if member.mark != mark:
            return None
        changed = replace(member, **changes)
        try:
            await store.put(RecordChange(MEMBERS.name, id_, changed.as_record(), expected=record.revision))
        except RecordChanged:
            continue
        return changed


class Left(Exception):
    """The subscription is no more, or asks for something else now."""


async def changed(ctx: PluginContext, member: Membership, **changes: Any) -> Membership:
    """Write some things of a member; return it as it is then. Raises Left."""
    found = await change_member(ctx.store, member.wish.id, member.mark, **changes)
    if found is None:
        raise Left
    return found

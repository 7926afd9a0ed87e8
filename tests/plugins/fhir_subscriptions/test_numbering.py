"""An event has one number for its subscription, also while one process stops leading and another begins."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

from fhir_subscriptions.log import COLLECTIONS, EVENTS, MEMBERS, Event, key_of, numbered, row_of
from fhir_subscriptions.numbering import numbering
from fhir_subscriptions.wish import Membership, Wish

from fhir_server.plugin_host.context import PluginStore
from fhir_server.settings import Settings
from fhir_server.storage.base import RecordChange
from fhir_server.storage.memory import MemoryStore
from tests.conformance.storage.world import Clock


class EveryEvent:
    """Sees everything; before it says so for the first time, another process does something."""

    def __init__(self, other: Any) -> None:
        self._other = other

    async def sees(self, event: Event) -> bool:
        """Tell that an event may be seen."""
        other, self._other = self._other, None
        if other is not None:
            await other()
        return True


def event(number: int) -> Event:
    return Event(number, "Patient", f"p{number}", 1, "created", number)


async def test_what_another_process_has_numbered_meanwhile_keeps_its_numbers() -> None:
    store = MemoryStore(Settings(), Clock())
    for collection in COLLECTIONS:
        await store.declare(collection)
    ctx = cast(Any, SimpleNamespace(store=PluginStore(store, "fhir_subscriptions")))
    wish = Wish("s", criteria=(("Patient", (("family", "x"),)),))
    member = Membership(wish, "mark", wish.group, state="active")
    known = [row_of(wish.group, number, event(number)) for number in (1, 2, 3)]
    await ctx.store.put(RecordChange(MEMBERS.name, "s", member.as_record()))
    await ctx.store.put(
        *(RecordChange(EVENTS.name, key_of(wish.group, number), each.value) for number, each in enumerate(known, 1))
    )

    async def other() -> None:
        rows = [row_of("s", number, event(number)) for number in (1, 2)]
        after = replace(member, seen=2, total=2)
        await ctx.store.put(*rows, RecordChange(MEMBERS.name, "s", after.as_record()))

    done = await numbering(ctx, member, cast(Any, EveryEvent(other)))
    assert (done.seen, done.total) == (3, 3)
    found = await numbered(ctx.store, "s", 0, 100)
    assert [(each.number, each.id) for each in found] == [(1, "p1"), (2, "p2"), (3, "p3")]

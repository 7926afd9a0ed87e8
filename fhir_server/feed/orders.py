"""What operators want of consumers, done by the process that runs them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from fhir_server.feed.ground import partition
from fhir_server.feed.lane import Lane
from fhir_server.feed.records import LETTERS, Letter, Order, Position, letters, orders, read_letter
from fhir_server.storage.base import Store

if TYPE_CHECKING:
    from fhir_server.feed.tenant_feed import Running, TenantFeed


async def obey(feed: "TenantFeed", now: int) -> None:
    """Do all that is ordered in a tenant; what is done is removed, a pause stays."""
    found = await orders(feed.store)
    paused = {order.consumer for order in found if order.what == "pause"}
    for running in feed.consumers:
        for lane in running.lanes:
            lane.paused = running.consumer.name in paused
        for order in found:
            if order.consumer == running.consumer.name and await _done(feed.store, running, order, now):
                await feed.store.commit((), (order.drop(),))


async def _done(store: Store, running: "Running", order: Order, now: int) -> bool:
    """Do one; tell whether it is finished."""
    if order.what == "skip" and order.to == "head":
        for lane in running.lanes:
            lane.skip()
        return True
    if order.what in ("skip", "restart"):
        to = Position(await store.last_txid()) if order.what == "skip" else Position()
        for lane in running.lanes:
            lane.jump(to)
        return True
    if order.what == "replay":
        for lane in running.lanes:
            lane.retry()
        return await _replay(store, running.lanes, order, now)
    return False


async def _replay(store: Store, lanes: Sequence[Lane], order: Order, now: int) -> bool:
    """Let dead letters wait again, as many as have room."""
    room = sum(lane.waiting.room for lane in lanes)
    for letter in await _dead(store, order, room + 1):
        if not room:
            return False
        again = replace(letter, state="waiting", attempts=0, since=0, due=now)
        lanes[partition(letter.key, len(lanes))].waiting.park(again)
        room -= 1
    return True


async def _dead(store: Store, order: Order, limit: int) -> list[Letter]:
    if not order.letters:
        return [letter async for letter in letters(store, order.consumer, "dead", limit=limit)]
    found = [await store.records.get(LETTERS.name, name) for name in order.letters]
    dead = [read_letter(record) for record in found if record is not None]
    return [letter for letter in dead if letter.state == "dead" and letter.consumer == order.consumer]

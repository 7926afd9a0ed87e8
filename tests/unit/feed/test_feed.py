"""The feed: order, cursors, what fails, what starts where, tenants that open and close."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from itertools import count

import pytest

from fhir_server.alerts import Alert, listening
from fhir_server.feed import Consumer, FeedChange, tenant_feed
from fhir_server.feed import records as feed_records
from fhir_server.feed.desk import status
from fhir_server.feed.numbers import read_numbers
from fhir_server.feed.records import Order, letters
from fhir_server.settings import Settings
from fhir_server.storage.base import StoreProvider, WriteBusy
from fhir_server.storage.memory.provider import MemoryProvider
from fhir_server.storage.sqlite.provider import SqliteProvider
from fhir_server.telemetry.numbers import FEED_LAG
from tests.unit.feed.yard import QUICK, Seen, Yard, fed, fill
from tests.unit.storage.writing import change, write


@pytest.fixture(params=["memory", "sqlite"])
async def stores(request, tmp_path):
    clock = count(1_000)
    made: StoreProvider
    if request.param == "memory":
        made = MemoryProvider(QUICK, lambda: next(clock), ("default", "clinic"))
    else:
        made = SqliteProvider(tmp_path, QUICK.model_copy(update={"data_dir": tmp_path}), lambda: next(clock))
        await made.create("clinic")
        await made.shut("clinic")
    yield made
    await made.close()


@pytest.fixture
def yard(stores) -> Yard:
    return Yard(stores)


async def dead(store) -> list[str]:
    return [f"{each.key}/_history/{each.version}" async for each in letters(store, "", "dead")]


async def waiting(store) -> list[str]:
    return [f"{each.key}/_history/{each.version}" async for each in letters(store, "", "waiting")]


async def eventually(condition, within: float = 5) -> None:
    async with asyncio.timeout(within):
        while not await condition():
            await asyncio.sleep(0.01)


async def test_changes_come_in_the_order_of_the_log_with_what_happened(yard):
    store = await yard.stores.open("default")
    seen: list[FeedChange] = []

    async def handler(context, changes: Sequence[FeedChange]) -> None:
        seen.extend(changes)

    async with fed(yard, Consumer("c", handler, start="beginning")):
        await write(store, "Patient", "1", text="a")
        await write(store, "Patient", "1", text="b")
        await write(store, "Patient", "1", method="DELETE")
        await write(store, "Patient", "1", text="c")
        await eventually(lambda: _is(len(seen) == 4))
    assert [each.method for each in seen] == ["created", "updated", "deleted", "created"]
    assert [each.version for each in seen] == [1, 2, 3, 4]
    assert seen[0].txid < seen[1].txid < seen[2].txid < seen[3].txid
    assert b'"language":"b"' in seen[1].body
    assert b'"versionId":"2"' in seen[1].body
    assert seen[2].body == b""
    assert b'"language":"a"' in (await seen[1].previous() or b"")
    assert await seen[0].previous() is None
    assert await seen[3].previous() is None
    assert seen[1].id == "Patient/1/_history/2"


async def _is(value: bool) -> bool:
    return value


async def test_a_consumer_that_was_away_goes_on_where_it_was(yard):
    store = await yard.stores.open("default")
    first, second = Seen(), Seen()
    async with fed(yard, Consumer("c", first, start="beginning")):
        ids = await fill(store, 5)
        assert await first.until(5) == ids
    more = await fill(store, 5, start=5)
    async with fed(yard, Consumer("c", second, start="beginning")):
        assert await second.until(5) == more


async def test_a_new_consumer_begins_now_or_at_the_beginning(yard):
    store = await yard.stores.open("default")
    old = await fill(store, 3)
    now, beginning = Seen(), Seen()
    async with fed(yard, Consumer("now", now), Consumer("beginning", beginning, start="beginning")):
        new = await fill(store, 2, start=3)
        assert await beginning.until(5) == old + new
        assert await now.until(2) == new


async def test_a_consumer_gets_only_its_types_in_batches_of_its_size(yard):
    store = await yard.stores.open("default")
    await fill(store, 5)
    wanted = await fill(store, 5, "Observation")
    seen = Seen()
    async with fed(yard, Consumer("c", seen, types=("Observation",), batch=2, start="beginning")):
        assert await seen.until(5) == wanted
    assert [len(batch) for batch in seen.batches] == [2, 2, 1]


async def test_partitions_run_beside_each_other_and_keep_the_order_of_each_resource(yard):
    store = await yard.stores.open("default")
    for text in "abc":
        await store.commit([change("Patient", str(number), text=text) for number in range(40)])
    seen: dict[str, list[int]] = {}
    at_once = most = 0

    async def handler(context, changes: Sequence[FeedChange]) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.005)
        for each in changes:
            seen.setdefault(str(each.key), []).append(each.version)
        at_once -= 1

    async with fed(yard, Consumer("c", handler, partitions=4, batch=5, start="beginning")):
        await eventually(lambda: _is(sum(map(len, seen.values())) == 120))
    assert most == 4
    assert all(versions == [1, 2, 3] for versions in seen.values())


async def test_a_poisoned_change_waits_and_does_not_stop_the_others(yard):
    store = await yard.stores.open("default")
    ids = await fill(store, 30)
    sick = True
    seen = Seen(fails=lambda each: each.key.id == "7" and sick)
    async with fed(yard, Consumer("c", seen, start="beginning")):
        got = await seen.until(29)
        assert sorted(got) == sorted(set(ids) - {"Patient/7/_history/1"})
        await write(store, "Patient", "7", text="new")  # must come after the one that waits
        await write(store, "Patient", "8", text="new")
        await seen.until(30)
        assert seen.all[-1] == "Patient/8/_history/2"
        await eventually(lambda: _length(waiting(store), 2))
        sick = False
        got = await seen.until(32)
    assert got[-2:] == ["Patient/7/_history/1", "Patient/7/_history/2"]
    assert await waiting(store) == []


async def _length(found, expected: int) -> bool:
    return len(await found) == expected


async def test_what_waits_survives_a_restart(yard):
    store = await yard.stores.open("default")
    await fill(store, 5)
    seen = Seen(fails=lambda each: each.key.id == "3")
    async with fed(yard, Consumer("c", seen, start="beginning")):
        await seen.until(4)
        await eventually(lambda: _length(waiting(store), 1))
    well = Seen()
    async with fed(yard, Consumer("c", well, start="beginning")):
        assert await well.until(1) == ["Patient/3/_history/1"]


async def test_where_nothing_gets_through_the_stream_waits_and_nothing_is_lost(yard):
    store = await yard.stores.open("default")
    ids = await fill(store, 50)
    down = True
    seen = Seen(fails=lambda each: down)
    async with fed(yard, Consumer("c", seen, start="beginning")):
        await asyncio.sleep(0.3)
        assert seen.all == []
        assert await waiting(store) == []
        down = False
        assert sorted(await seen.until(50)) == sorted(ids)
        assert len(seen.all) == 50


async def test_after_the_longest_time_a_poisoned_change_becomes_a_dead_letter_and_an_alarm(yard):
    store = await yard.stores.open("default")
    await fill(store, 10)
    settings = QUICK.model_copy(update={"feed_retry_for": 1})
    alarms: list[Alert] = []
    seen = Seen(fails=lambda each: each.key.id == "4" and each.version == 1)
    with listening(alarms.append):
        async with fed(yard, Consumer("c", seen, start="beginning"), settings=settings):
            await write(store, "Patient", "4", text="behind")
            await eventually(lambda: _length(dead(store), 1))
            await seen.until(10)
    assert seen.all[-1] == "Patient/4/_history/2"
    assert await dead(store) == ["Patient/4/_history/1"]
    found = [each async for each in letters(store, "c", "dead")]
    assert found[0].reason == "ValueError: no"
    assert found[0].attempts > 1
    assert [(each.kind, each.entity) for each in alarms] == [("feed-dead-letter", "c")]
    assert "no" not in alarms[0].said.split("(")[1].split(")")[0].split()


async def test_an_outage_that_outlasts_the_longest_time_buries_its_batch_and_goes_on(yard):
    store = await yard.stores.open("default")
    ids = await fill(store, 10)
    settings = QUICK.model_copy(update={"feed_retry_for": 1})
    sick = {f"Patient/{number}" for number in range(5)}
    seen = Seen(fails=lambda each: str(each.key) in sick)
    async with fed(yard, Consumer("c", seen, batch=5, start="beginning"), settings=settings):
        assert await seen.until(5) == ids[5:]
    assert await dead(store) == ids[:5]


async def test_dead_letters_are_replayed_on_order(yard):
    store = await yard.stores.open("default")
    await fill(store, 5)
    settings = QUICK.model_copy(update={"feed_retry_for": 1})
    sick = True
    seen = Seen(fails=lambda each: each.key.id == "2" and sick)
    async with fed(yard, Consumer("c", seen, start="beginning"), settings=settings):
        await eventually(lambda: _length(dead(store), 1))
        sick = False
        await store.commit((), (Order("c", "replay").put(),))
        yard.stores.ring("default!")
        assert (await seen.until(5))[-1] == "Patient/2/_history/1"
        await eventually(lambda: _length(dead(store), 0))
        assert await store.records.find(feed_records.ORDERS.name) == []


async def test_a_paused_consumer_gets_nothing_until_it_is_resumed(yard):
    store = await yard.stores.open("default")
    seen = Seen()
    async with fed(yard, Consumer("c", seen, start="beginning")):
        await fill(store, 2)
        await seen.until(2)
        order = Order("c", "pause")
        await store.commit((), (order.put(),))
        yard.stores.ring("default!")
        await asyncio.sleep(0.05)
        await fill(store, 2, start=2)
        await asyncio.sleep(0.1)
        assert len(seen.all) == 2
        await store.commit((), (order.drop(),))
        yard.stores.ring("default!")
        assert len(await seen.until(4)) == 4


async def test_an_operator_skips_what_is_stuck_or_all_that_waits(yard):
    store = await yard.stores.open("default")
    await fill(store, 20)
    seen = Seen(fails=lambda each: int(each.key.id) < 20)
    settings = QUICK.model_copy(update={"feed_retry_first": 3600.0, "feed_retry_longest": 3600.0})
    async with fed(yard, Consumer("c", seen, batch=5, start="beginning"), settings=settings):
        await asyncio.sleep(0.1)
        await store.commit((), (Order("c", "skip").put(),))
        yard.stores.ring("default!")
        await eventually(lambda: _length(dead(store), 5))
        await store.commit((), (Order("c", "skip", to="now").put(),))
        yard.stores.ring("default!")
        await asyncio.sleep(0.05)
        assert await fill(store, 1, start=20) == await seen.until(1)


async def test_a_handler_that_hangs_is_ended_and_tried_again(yard):
    store = await yard.stores.open("default")
    await fill(store, 1)
    calls = 0

    async def handler(context, changes) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            await asyncio.sleep(3600)

    async with fed(yard, Consumer("c", handler, start="beginning", timeout=0.1)):
        await eventually(lambda: _is(calls == 2))


async def test_a_handler_that_swallows_its_end_is_left_alone(yard, monkeypatch):
    monkeypatch.setattr("fhir_server.feed.delivery._GRACE", 0.1)
    store = await yard.stores.open("default")
    await fill(store, 1)
    calls = 0
    stop = asyncio.Event()

    async def handler(context, changes) -> None:
        nonlocal calls
        calls += 1
        while calls == 1 and not stop.is_set():
            try:
                await stop.wait()
            except asyncio.CancelledError:
                continue

    async with fed(yard, Consumer("c", handler, start="beginning", timeout=0.1)):
        await eventually(lambda: _is(calls == 2))
        stop.set()


async def test_one_consumer_that_fails_does_not_hold_up_another(yard):
    store = await yard.stores.open("default")
    bad, good = Seen(fails=lambda each: True), Seen()
    async with fed(yard, Consumer("bad", bad, start="beginning"), Consumer("good", good, start="beginning")):
        ids = await fill(store, 20)
        assert await good.until(20) == ids
    assert bad.all == []


async def test_a_tenant_without_changes_is_closed_and_opened_when_it_is_written(yard):
    seen = Seen()
    async with fed(yard, Consumer("c", seen, start="beginning")) as feed:
        await eventually(lambda: _is("clinic" in feed.open))
        await eventually(lambda: _is("clinic" not in feed.open))
        store = await yard.stores.open("clinic")
        ids = await fill(store, 3)
        assert await seen.until(3) == ids
        assert set(seen.tenants) == {"clinic"}
        await eventually(lambda: _is("clinic" not in feed.open))


async def test_a_tenant_that_was_left_done_is_not_opened_at_the_next_start(yard):
    seen = Seen()
    async with fed(yard, Consumer("c", seen, start="beginning")) as feed:
        await eventually(lambda: _is("clinic" in feed.open))
        await eventually(lambda: _noted(yard, "clinic"))
    yard.opened.clear()
    async with fed(yard, Consumer("c", seen, start="beginning")):
        await asyncio.sleep(0.1)
        assert "clinic" not in yard.opened
    await fill(await yard.stores.open("clinic"), 2)
    async with fed(yard, Consumer("c", seen, start="beginning")):
        assert len(await seen.until(2)) == 2


async def _noted(yard: Yard, tenant: str) -> bool:
    return await (await yard.stores.open("default")).records.get("feed.tenants", tenant) is not None


async def test_what_waits_in_a_closed_tenant_is_tried_when_it_is_due(yard):
    store = await yard.stores.open("clinic")
    await fill(store, 5)
    sick = True
    seen = Seen(fails=lambda each: each.key.id == "3" and sick)
    settings = QUICK.model_copy(update={"feed_retry_first": 4.0, "feed_retry_longest": 4.0})
    async with fed(yard, Consumer("c", seen, start="beginning"), settings=settings) as feed:
        await seen.until(4)
        await eventually(lambda: _is("clinic" not in feed.open))
        sick = False
        assert (await seen.until(5))[-1] == "Patient/3/_history/1"


async def test_a_tenant_made_later_is_read_from_its_beginning(yard):
    seen = Seen()
    settings = QUICK
    async with fed(yard, Consumer("c", seen), settings=settings):
        store = await yard.stores.create("new")
        yard.created["new"] = 1 << 50
        await fill(store, 2)
        assert len(await seen.until(2)) == 2


async def test_a_lost_ring_is_made_up_for(yard):
    seen = Seen()
    settings = QUICK.model_copy(update={"feed_fallback": 1})
    async with fed(yard, Consumer("c", seen, start="beginning"), settings=settings) as feed:
        await eventually(lambda: _is("clinic" in feed.open))
        await eventually(lambda: _is("clinic" not in feed.open))
        heard, feed.heard = feed.heard, lambda ring: None  # type: ignore[method-assign]
        store = await yard.stores.open("clinic")
        if hasattr(store, "changed"):
            store.changed = lambda: None
        else:
            store._changed = None
        await asyncio.sleep(0.01)
        await fill(store, 1)
        assert len(await seen.until(1)) == 1
        feed.heard = heard  # type: ignore[method-assign]


async def test_one_commit_larger_than_a_page_is_gone_through_in_batches(yard):
    store = await yard.stores.open("default")
    await store.commit([change("Patient", str(number)) for number in range(2_500)])
    seen = Seen()
    async with fed(yard, Consumer("c", seen, batch=1_000, start="beginning")):
        assert len(await seen.until(2_500)) == 2_500
    assert [len(batch) for batch in seen.batches] == [1_000, 1_000, 500]


async def test_another_number_of_partitions_loses_nothing(yard):
    store = await yard.stores.open("default")
    seen = Seen()
    consumer = Consumer("c", seen, partitions=2, start="beginning")
    async with fed(yard, consumer):
        await fill(store, 10)
        await seen.until(10)
    await fill(store, 10, start=10)
    async with fed(yard, replace(consumer, partitions=3)):
        await seen.until(20)
    assert len(set(seen.all)) == 20


async def test_two_consumers_of_one_name_are_refused(yard):
    with pytest.raises(ValueError, match="two consumers are called c"):
        async with fed(yard, Consumer("c", Seen()), Consumer("c", Seen())):
            pass


def test_settings_have_hours_of_patience():
    assert Settings().feed_retry_for >= 6 * 3600


async def test_a_feed_is_settled_once_all_consumers_have_all(yard):
    store = await yard.stores.open("default")
    slow: list[str] = []

    async def handler(context, changes: Sequence[FeedChange]) -> None:
        await asyncio.sleep(0.05)
        slow.extend(change.id for change in changes)

    async with fed(yard, Consumer("quick", Seen()), Consumer("slow", handler, batch=2, start="beginning")) as feed:
        ids = await fill(store, 10)
        await asyncio.wait_for(feed.settled(), 5)
        assert slow == ids
        clinic = await yard.stores.open("clinic")
        more = await fill(clinic, 3, "Observation")
        await asyncio.wait_for(feed.settled("clinic"), 5)
        assert slow[-3:] == more


async def test_how_far_idle_consumers_came_is_written_when_the_store_takes_it_again(yard, monkeypatch):
    monkeypatch.setattr(tenant_feed, "SAVE_AGAIN", 0.05)
    store = await yard.stores.open("default")
    await fill(store, 1)
    seen, commit, refused = Seen(), store.commit, []

    async def busy(changes, records=(), *more, **named):
        if len(refused) < 3 and seen.all and any(each.collection == feed_records.CURSORS.name for each in records):
            refused.append(records)
            raise WriteBusy
        return await commit(changes, records, *more, **named)

    monkeypatch.setattr(store, "commit", busy)
    async with fed(yard, Consumer("all", seen, start="beginning")):
        await seen.until(1)

        async def caught_up() -> bool:
            return [each["behind"] for each in await status(store)] == [0]

        await eventually(caught_up, within=30)
    assert len(refused) == 3


async def test_a_consumer_that_is_gone_counts_for_no_lag(yard):
    store = await yard.stores.open("default")
    async with fed(yard, Consumer("all", Seen()), Consumer("gone", Seen())) as feed:
        await feed.settled()
    async with fed(yard, Consumer("all", Seen())) as feed:
        await fill(store, 2)
        feed.heard("default")
        await feed.settled()
    await read_numbers([store], 10_000_000, store)
    assert dict(FEED_LAG.values) == {("all",): 0}

"""History: versions newest first, by instance, type and system, in time, in pages, within what may be seen."""

from dataclasses import replace

from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.search.query import NOTHING, Ids, Token, TokenValue, Visibility
from fhir_server.storage.base import HistoryPage, HistoryQuery, Store
from tests.conformance.storage.world import START, Clock, World, delete, observation, patient

A = ResourceKey("Patient", "a")


def shown(versions: tuple[Version, ...]) -> list[str]:
    return [f"{v.key.id}{v.version}" for v in versions]


async def past(world: World, clock: Clock) -> None:
    """a1 and b1 at 0 s, a2 at 10 s, o1 at 20 s, a3 (deleted) at 30 s, b2 at 40 s."""
    await world.put(patient("a"), patient("b"))
    clock.now = START + 10_000
    await world.put(patient("a", gender="male"))
    clock.now = START + 20_000
    await world.put(observation("o"))
    clock.now = START + 30_000
    await world.store.commit([delete("Patient", "a")])
    clock.now = START + 40_000
    await world.put(patient("b", gender="female"))


async def test_history_of_a_resource_is_newest_first_with_deletions(world: World, store: Store, clock: Clock) -> None:
    await past(world, clock)
    page = await store.history(HistoryQuery(key=A))
    assert shown(page.versions) == ["a3", "a2", "a1"]
    assert page.versions[0].deleted
    assert (page.total, page.next) == (3, None)


async def test_history_of_a_type_leaves_out_others(world: World, store: Store, clock: Clock) -> None:
    await past(world, clock)
    page = await store.history(HistoryQuery(type="Patient"))
    assert shown(page.versions) == ["b2", "a3", "a2", "b1", "a1"]
    assert page.total == 5


async def test_history_of_the_system_has_all(world: World, store: Store, clock: Clock) -> None:
    await past(world, clock)
    page = await store.history(HistoryQuery())
    assert shown(page.versions) == ["b2", "a3", "o1", "a2", "b1", "a1"]


async def test_history_of_what_never_existed_is_empty(store: Store) -> None:
    for query in (HistoryQuery(key=A), HistoryQuery(type="Patient"), HistoryQuery()):
        page = await store.history(query)
        assert (page.versions, page.total, page.next) == ((), 0, None)


async def test_since_includes_the_instant_itself(world: World, store: Store, clock: Clock) -> None:
    await past(world, clock)
    at = await store.history(HistoryQuery(since=START + 20_000))
    after = await store.history(HistoryQuery(since=START + 20_001))
    assert shown(at.versions) == ["b2", "a3", "o1"]
    assert shown(after.versions) == ["b2", "a3"]
    assert at.total == 3


async def test_at_finds_what_was_current_at_some_time_of_the_interval(world: World, store: Store, clock: Clock) -> None:
    await past(world, clock)
    cases = {
        (START + 15_000, START + 15_001): ["a2", "b1"],
        (START + 5_000, START + 15_000): ["a2", "b1", "a1"],
        (START + 25_000, START + 35_000): ["a3", "o1", "a2", "b1"],
        (START - 10_000, START): [],
        (START + 50_000, START + 60_000): ["b2", "a3", "o1"],
        (START + 10_000, START + 10_001): ["a2", "b1"],
    }
    for at, expected in cases.items():
        page = await store.history(HistoryQuery(at=at))
        assert shown(page.versions) == expected, at
        assert page.total == len(expected), at


async def test_pages_join_to_the_whole(world: World, store: Store, clock: Clock) -> None:
    await past(world, clock)
    whole = await store.history(HistoryQuery())
    for count in (1, 2, 3, 5, 6):
        pages = await follow(store, HistoryQuery(count=count))
        assert [v for page in pages for v in page.versions] == list(whole.versions)
        assert all(len(page.versions) <= count for page in pages)


async def follow(store: Store, query: HistoryQuery) -> list[HistoryPage]:
    pages = [await store.history(query)]
    while pages[-1].next is not None:
        pages.append(await store.history(replace(query, before=pages[-1].next, until=pages[0].txid)))
    return pages


async def test_a_page_link_shows_the_log_as_of_page_one(world: World, store: Store, clock: Clock) -> None:
    await past(world, clock)
    first = await store.history(HistoryQuery(count=2))
    await world.put(patient("z"), patient("a"), patient("b", active=True))
    rest = await store.history(HistoryQuery(count=10, before=first.next, until=first.txid))
    assert shown(first.versions + rest.versions) == ["b2", "a3", "o1", "a2", "b1", "a1"]


async def test_count_zero_gives_the_total_alone(world: World, store: Store, clock: Clock) -> None:
    await past(world, clock)
    page = await store.history(HistoryQuery(count=0))
    assert (page.versions, page.next, page.total) == ((), None, 6)


MALES = Visibility(by_type={"Patient": Token("gender", (TokenValue(None, "male"),)), "Observation": NOTHING})


async def test_each_version_is_judged_by_its_own_content_and_the_current_one(
    world: World, store: Store, clock: Clock
) -> None:
    await past(world, clock)
    await world.put(patient("c", gender="male"))
    await world.put(patient("c", gender="other"))
    await world.put(patient("d", gender="other"))
    await world.put(patient("d", gender="male"))
    page = await store.history(HistoryQuery(visible=MALES))
    assert shown(page.versions) == ["d2", "a3", "a2"]


async def test_a_deletion_is_as_visible_as_what_it_ended(world: World, store: Store, clock: Clock) -> None:
    await past(world, clock)
    visible = await store.history(HistoryQuery(key=A, visible=Visibility(Ids(("a",)))))
    hidden = await store.history(HistoryQuery(key=A, visible=Visibility(Ids(("b",)))))
    assert shown(visible.versions) == ["a3", "a2", "a1"]
    assert hidden.versions == ()


async def test_a_restricted_history_comes_in_pages_too(world: World, store: Store, clock: Clock) -> None:
    await past(world, clock)
    pages = await follow(store, HistoryQuery(count=1, visible=MALES))
    assert [shown(page.versions) for page in pages if page.versions] == [["a3"], ["a2"]]


async def test_a_restricted_total_never_counts_what_is_hidden(world: World, store: Store, clock: Clock) -> None:
    await past(world, clock)
    page = await store.history(HistoryQuery(visible=MALES))
    assert page.total in (None, 2)


async def test_unchanged_writes_leave_no_trace(world: World, store: Store) -> None:
    await world.put(patient("a"))
    await world.put(patient("a"))
    assert (await store.history(HistoryQuery(key=A))).total == 1

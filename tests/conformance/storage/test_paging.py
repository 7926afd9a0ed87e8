"""Pages: cut, totals, and stable though others write in between."""

from dataclasses import replace

import pytest

from fhir_server.search.query import Cursor, Total
from fhir_server.storage.base import SnapshotGone, Store
from tests.conformance.storage.world import Clock, World, delete, observation, patient


async def twenty(world: World) -> None:
    for n in range(20):
        await world.put(patient(f"p{n:02}", gender="male" if n % 2 else "female", name=[{"family": f"F{n % 3}"}]))


async def test_pages_have_count_rows_and_the_last_has_no_next(world: World) -> None:
    await twenty(world)
    pages = await world.pages("Patient?_count=6")
    assert [len(page.versions) for page in pages] == [6, 6, 6, 2]
    assert len({v.key for page in pages for v in page.versions}) == 20


async def test_a_page_that_holds_exactly_the_rest_is_the_last(world: World) -> None:
    await twenty(world)
    assert [len(page.versions) for page in await world.pages("Patient?_count=10")] == [10, 10]


@pytest.mark.parametrize(
    "query", ["_count=3", "_sort=family&_count=3", "_sort=-family,gender&_count=3", "_sort=_id&_count=4"]
)
async def test_neither_repeats_nor_drops_a_row_while_others_write(world: World, store: Store, query: str) -> None:
    await twenty(world)
    whole = await world.ids(f"Patient?{query}")
    search = world.parse(f"Patient?{query}").search
    page = await store.search(search)
    seen = [v.key.id for v in page.versions]
    step = 0
    while page.next is not None:
        await world.put(patient(f"new{step:02}", name=[{"family": f"F{step % 3}"}]))
        await world.put(patient(f"p{step:02}", gender="other", name=[{"family": "Zzz"}]))
        await store.commit([delete("Patient", f"p{19 - step:02}")])
        step += 1
        page = await store.search(replace(search, after=page.next))
        seen += [v.key.id for v in page.versions]
    assert seen == whole


async def test_a_later_page_shows_the_versions_of_the_snapshot(world: World, store: Store) -> None:
    await world.put(patient("a"), patient("b", gender="male"))
    search = world.parse("Patient?_sort=_id&_count=1").search
    first = await store.search(search)
    await world.put(patient("b", gender="female"))
    second = await store.search(replace(search, after=first.next))
    assert [(v.key.id, v.version) for v in second.versions] == [("b", 1)]
    assert second.txid == first.txid


async def test_a_later_page_searches_the_snapshot(world: World, store: Store) -> None:
    await world.put(*(observation(f"o{n}", subject={"reference": "Patient/a"}) for n in range(4)))
    await world.put(patient("a", name=[{"family": "Doe"}]))
    search = world.parse("Observation?subject:Patient.name=doe&_count=2").search
    first = await store.search(search)
    await world.put(patient("a", name=[{"family": "Roe"}]))
    second = await store.search(replace(search, after=first.next))
    assert len(first.versions) == len(second.versions) == 2


async def test_includes_of_a_later_page_come_from_the_snapshot(world: World, store: Store) -> None:
    await world.put(
        patient("a", gender="male"), *(observation(f"o{n}", subject={"reference": "Patient/a"}) for n in "12")
    )
    search = world.parse("Observation?_include=Observation:subject&_count=1").search
    first = await store.search(search)
    await world.put(patient("a", gender="female"))
    second = await store.search(replace(search, after=first.next))
    assert [(v.key.id, v.version) for v in second.included] == [("a", 1)]


async def test_a_link_older_than_its_life_is_gone(world: World, store: Store, clock: Clock) -> None:
    await twenty(world)
    search = world.parse("Patient?_count=5").search
    first = await store.search(search)
    await world.put(patient("p01", gender="other"))
    clock.now += (world.settings.link_life - 1) * 1000
    assert (await store.search(replace(search, after=first.next))).versions
    clock.now += 3_000
    await world.put(patient("p02", gender="other"))
    with pytest.raises(SnapshotGone):
        await store.search(replace(search, after=first.next))


async def test_a_link_of_a_store_at_rest_stays(world: World, store: Store, clock: Clock) -> None:
    await twenty(world)
    search = world.parse("Patient?_count=5").search
    first = await store.search(search)
    clock.now += 10 * world.settings.link_life * 1000
    assert len((await store.search(replace(search, after=first.next))).versions) == 5


async def test_the_newest_comes_first_unless_an_order_is_asked_for(world: World) -> None:
    await twenty(world)
    await world.put(patient("p03", gender="other"))
    assert (await world.ids("Patient"))[:3] == ["p03", "p19", "p18"]


async def test_the_total_is_accurate_where_it_is_asked_for(world: World) -> None:
    await twenty(world)
    page = await world.search("Patient?gender=male&_count=2&_total=accurate")
    assert (page.total, page.estimated) == (10, False)


async def test_the_total_is_the_same_on_every_page(world: World) -> None:
    await twenty(world)
    pages = await world.pages("Patient?gender=male&_count=4&_total=accurate")
    assert [page.total for page in pages] == [10, 10, 10]


async def test_an_estimate_says_that_it_is_one_unless_it_is_exact(world: World) -> None:
    await twenty(world)
    page = await world.search("Patient?gender=male&_count=2&_total=estimate")
    assert page.total is not None
    assert page.estimated or page.total == 10


async def test_a_total_that_costs_nothing_is_told(world: World) -> None:
    await twenty(world)
    assert (await world.search("Patient?_count=2")).total == 20


async def test_counting_gives_no_rows(world: World, store: Store) -> None:
    await twenty(world)
    for url in ("Patient?_count=0&gender=male", "Patient?_summary=count&gender=male"):
        search = world.parse(url).search
        assert search.total is Total.ACCURATE
        page = await store.search(search)
        assert (page.versions, page.next, page.total) == ((), None, 10)


async def test_count_ignores_pages(world: World, store: Store) -> None:
    await twenty(world)
    assert await store.count(world.parse("Patient?gender=male&_count=2&_sort=_id").search) == 10


async def test_a_page_beyond_the_last_is_empty(world: World, store: Store) -> None:
    await world.put(patient("a"))
    search = world.parse("Patient").search
    page = await store.search(replace(search, after=Cursor(await store.last_txid(), (), 0)))
    assert (page.versions, page.next) == ((), None)


async def test_a_search_of_an_empty_store_is_empty(world: World) -> None:
    for url in ("Patient", "Patient?name=x", "?_id=a", "Observation?subject:Patient.name=x", "Patient?gender:not=male"):
        page = await world.search(url)
        assert (page.versions, page.next) == ((), None)


async def test_what_is_deleted_is_not_found(world: World, store: Store) -> None:
    await world.put(patient("a", gender="male"), observation("o", subject={"reference": "Patient/a"}))
    await store.commit([delete("Patient", "a")])
    for url in ("Patient", "Patient?gender=male", "Patient?_id=a", "Observation?subject:Patient.gender=male"):
        assert await world.found(url) == set()
    assert await world.found("Observation?subject=Patient/a") == {"o"}


async def test_what_an_older_version_said_is_not_found(world: World) -> None:
    await world.put(patient("a", gender="male", name=[{"family": "Old"}], birthDate="1970"))
    await world.put(patient("a", gender="female", name=[{"family": "New"}], birthDate="1980"))
    for url in ("Patient?gender=male", "Patient?name=old", "Patient?birthdate=1970"):
        assert await world.found(url) == set()
    assert await world.found("Patient?gender=female&name=new&birthdate=1980") == {"a"}


async def test_pages_of_many_types_join(world: World) -> None:
    for n in range(5):
        await world.put(patient(f"p{n}"), observation(f"o{n}"))
    for query in ("_count=3", "_count=3&_sort=_id", "_count=4&_sort=-_lastUpdated"):
        ids = await world.ids(f"?_type=Patient,Observation&{query}")
        assert len(ids) == len(set(ids)) == 10

"""Pages, totals, limits of time, and what a search inside a write transaction sees."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import apsw
import pytest
import pytest_asyncio

from fhir_server.model.keys import ResourceKey
from fhir_server.search import query as q
from fhir_server.search.entries import IndexEntries
from fhir_server.storage.base import Condition, ConditionChanged, Page, SearchTooCostly, SnapshotGone
from fhir_server.storage.sqlite.search import bounded, search_keys
from fhir_server.storage.sqlite.store import SqliteStore
from tests.unit.storage.sqlite.kit import FAST, START, Clock, delete, opened, put

DAY = 86_400_000_000


def entries(number: int) -> IndexEntries:
    """Half of the resources are final; every fifth has no date; three have each date."""
    found = IndexEntries(tokens=[("status", None, "final" if number % 2 else "draft")])
    if number % 5:
        found.dates = [("date", number // 3 * DAY, (number // 3 + 1) * DAY)]
    return found


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """Thirty Observations in one commit each."""
    clock = Clock(START)
    async with opened(tmp_path, FAST, clock=clock) as made:
        for number in range(30):
            await made.commit([put(f"Observation/{number:02d}", "", entries(number))])
            clock.now += 1000
        yield made


def ids(page: Page) -> list[str]:
    return [version.key.id for version in page.versions]


def search(*parts: q.Node, **fields: object) -> q.Search:
    return replace(q.Search({"Observation": q.And(parts)}), **fields)  # type: ignore[arg-type]


def status(code: str) -> q.Token:
    return q.Token("status", (q.TokenValue(None, code),))


async def walk(store: SqliteStore, asked: q.Search) -> list[str]:
    """All ids over all pages."""
    page = await store.search(asked)
    found = ids(page)
    while page.next is not None:
        page = await store.search(replace(asked, after=page.next))
        found += ids(page)
    return found


ORDERS = [
    (),
    (q.SortKey("date"),),
    (q.SortKey("date", True),),
    (q.SortKey("_id"),),
    (q.SortKey("_lastUpdated", True),),
    (q.SortKey("_lastUpdated"),),
    (q.SortKey("status"), q.SortKey("date", True)),
    (q.SortKey("date", True), q.SortKey("status"), q.SortKey("_id", True)),
    (q.SortKey("nosuch"), q.SortKey("date")),
]


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: ",".join(key.param for key in order) or "none")
@pytest.mark.parametrize("parts", [(), (status("final"),)], ids=("all", "some"))
async def test_pages_of_any_size_are_one_list(
    store: SqliteStore, order: tuple[q.SortKey, ...], parts: tuple[q.Node, ...]
) -> None:
    whole = ids(await store.search(search(*parts, sort=order, count=100)))
    assert len(whole) == (15 if parts else 30)
    for count in (1, 2, 7):
        assert await walk(store, search(*parts, sort=order, count=count)) == whole


async def test_no_value_comes_last_in_both_directions(store: SqliteStore) -> None:
    for descending in (False, True):
        last = ids(await store.search(search(sort=(q.SortKey("date", descending),), count=100)))[-6:]
        assert set(last) == {"00", "05", "10", "15", "20", "25"}


async def test_pages_stay_as_they_were_while_others_write(store: SqliteStore) -> None:
    for order in ORDERS:
        asked = search(status("final"), sort=order, count=4)
        whole = await walk(store, asked)
        page = await store.search(asked)
        found = ids(page)
        while page.next is not None:
            name = f"Observation/{found[-1]}"
            await store.commit([delete(name)])
            await store.commit([put(name, "new", entries(1)), put(f"Observation/new{len(found)}", "", entries(1))])
            page = await store.search(replace(asked, after=page.next))
            found += ids(page)
        assert found == whole
        for number in range(30):
            await store.commit([put(f"Observation/{number:02d}", "again", entries(number))])
        for extra in ids(await store.search(search(count=100))):
            if extra.startswith("new"):
                await store.commit([delete(f"Observation/{extra}")])


async def test_a_page_knows_its_snapshot_and_the_next_one_keeps_it(store: SqliteStore) -> None:
    first = await store.search(search(count=10))
    await store.commit([put("Observation/99", "", entries(1))])
    assert first.next is not None
    second = await store.search(search(count=10, after=first.next))
    assert first.txid == second.txid == 30


async def test_a_link_below_the_swept_commit_is_gone(store: SqliteStore, tmp_path: Path) -> None:
    first = await store.search(search(count=10))
    await store.commit([put("Observation/99", "", entries(1))])
    connection = apsw.Connection(str(tmp_path / "record.db"))
    connection.execute("UPDATE meta SET value=31 WHERE key='swept'")
    connection.close()
    with pytest.raises(SnapshotGone):
        await store.search(search(count=10, after=first.next))


async def test_totals(store: SqliteStore) -> None:
    accurate, estimate = q.Total.ACCURATE, q.Total.ESTIMATE
    assert (await store.search(search(count=5))).total == 30, "free: nothing restricts the search"
    assert (await store.search(search(status("final"), count=5))).total is None
    assert (await store.search(search(status("final"), count=15))).total == 15, "free: the only page"
    assert (await store.search(search(status("final"), count=5, total=accurate))).total == 15
    estimated = await store.search(search(status("final"), count=5, total=estimate))
    assert (estimated.total, estimated.estimated) == (15, False)
    nothing = await store.search(search(status("final"), count=0, total=accurate))
    assert (nothing.versions, nothing.next, nothing.total) == ((), None, 15)


async def test_the_total_of_a_later_page_is_that_of_its_snapshot(store: SqliteStore) -> None:
    asked = search(status("final"), count=5, total=q.Total.ACCURATE)
    first = await store.search(asked)
    await store.commit([put("Observation/99", "", entries(1)), delete("Observation/01"), delete("Observation/03")])
    assert (await store.search(replace(asked, after=first.next))).total == 15
    assert (await store.search(asked)).total == 14


async def test_a_search_of_several_types_is_merged_in_one_order(store: SqliteStore) -> None:
    await store.commit([put("Patient/p", "", IndexEntries(dates=[("date", 5 * DAY, 6 * DAY)]))])
    asked = q.Search({"Patient": q.EVERYTHING, "Observation": q.EVERYTHING}, (q.SortKey("date"),), 4)
    found = await walk(store, asked)
    assert len(found) == len(set(found)) == 31
    assert found.index("p") == found.index("17") + 1


async def test_a_search_past_its_time_is_cut_off(store: SqliteStore, tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "record.db"))
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT count(*) FROM n"
    started = time.monotonic()
    with pytest.raises(SearchTooCostly), bounded(connection, 0.05):
        connection.execute(endless).fetchall()
    assert time.monotonic() - started < 2
    assert connection.execute("SELECT 1").fetchall() == [(1,)], "the connection goes on"
    connection.close()


async def test_conditions_see_what_their_own_transaction_wrote(store: SqliteStore) -> None:
    seen: list[set[ResourceKey]] = []
    asked = search(status("final"))
    held = Condition(asked, frozenset(ResourceKey("Observation", f"{number:02d}") for number in range(1, 30, 2)))
    await store.commit([put("Observation/31", "", entries(31), conditions=(held,))])
    with pytest.raises(ConditionChanged):
        await store.commit([put("Observation/33", "", entries(33), conditions=(held,))])
    assert not seen


async def test_keys_of_all_matches_and_of_deleted_ones(store: SqliteStore, tmp_path: Path) -> None:
    await store.commit([delete("Observation/01")])
    connection = apsw.Connection(str(tmp_path / "record.db"))
    found = search_keys(connection, search(status("final"), count=1, sort=(q.SortKey("date"),)))
    connection.close()
    assert found == {ResourceKey("Observation", f"{number:02d}") for number in range(3, 30, 2)}


async def test_contained_matches_are_told_apart_and_paged(store: SqliteStore) -> None:
    devices = [("Device", f"d{at}", IndexEntries(tokens=[("type", None, "scale")])) for at in range(5)]
    await store.commit([put("Observation/with", "", IndexEntries(contained=devices))])
    asked = q.Search({"Device": q.Token("type", (q.TokenValue(None, "scale"),))}, count=2, contained=q.Contained.TRUE)
    pages = [await store.search(asked)]
    while pages[-1].next is not None:
        pages.append(await store.search(replace(asked, after=pages[-1].next)))
    assert [each for page in pages for each in page.containers] == [("Device", f"d{at}") for at in range(5)]
    assert {version.key.id for page in pages for version in page.versions} == {"with"}

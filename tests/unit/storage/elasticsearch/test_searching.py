"""What an index in front of an engine changes of its answers: nothing, however far behind it is."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from fhir_server.search.query import Not, Search, String, StringMode, Token, TokenValue, Total, Visibility
from fhir_server.settings import Settings
from fhir_server.storage.base import Page
from fhir_server.storage.elasticsearch.choosing import is_for_index
from fhir_server.storage.elasticsearch.store import BUILDING, DOWN, LAGS
from tests.conformance.storage.engines import ENGINES
from tests.conformance.storage.engines import Bench as Engine
from tests.conformance.storage.world import Clock, delete, extract, patient
from tests.faults.proxy import Proxy
from tests.servers.elasticsearch import elasticsearch_url
from tests.unit.storage.elasticsearch.kit import Bench, bench


def named(id_: str, family: str, **more: object) -> dict[str, object]:
    return patient(id_, name=[{"family": family}], **more)


@pytest_asyncio.fixture
async def world() -> AsyncIterator[Bench]:
    async with bench(elasticsearch_unindexed=5) as made:
        yield made


async def test_before_the_first_feeding_the_engine_answers_alone_and_says_so(world: Bench) -> None:
    await world.put(named("a", "Schreiber"))
    page = await world.search("Patient?name:contains=reib")
    assert [version.key.id for version in page.versions] == ["a"]
    assert page.notes == (BUILDING,)


async def test_what_was_written_since_the_feeding_is_found_at_once(world: Bench) -> None:
    await world.put(named("a", "Schreiber"), named("b", "Schreiber"), named("c", "Maier"))
    await world.feed()
    await world.put(named("b", "Maier"), named("c", "Schreiber"), named("d", "Schreiner"))
    await world.store.commit([delete("Patient", "a")])
    page = await world.search("Patient?name:contains=schrei", total=Total.ACCURATE)
    assert ({version.key.id for version in page.versions}, page.total, page.notes) == ({"c", "d"}, 2, ())


async def test_an_index_that_is_far_behind_answers_as_of_then_and_says_so(world: Bench) -> None:
    await world.put(named("a", "Schreiber"))
    await world.feed()
    for number in range(6):
        await world.put(named(f"n{number}", "Schreiber"))
    page = await world.search("Patient?name:contains=reib")
    assert [version.key.id for version in page.versions] == ["a"]
    assert len(page.notes) == 1 and "6 changes behind" in page.notes[0]
    world.visibility = Visibility(by_type={"Patient": Token("gender", (TokenValue(None, "male"),))})
    assert (await world.search("Patient?name:contains=reib")).notes == (LAGS,)
    world.visibility = Visibility()
    await world.feed()
    assert len(await world.ids("Patient?name:contains=reib")) == 7


@pytest.mark.parametrize(
    "sort", ["", "&_sort=family", "&_sort=-family", "&_sort=birthdate,-_id", "&_sort=-_lastUpdated"]
)
async def test_page_links_read_the_instant_of_page_one(world: Bench, sort: str) -> None:
    for number in range(9):
        born = {} if number % 3 == 0 else {"birthDate": f"19{number}0-01-01"}
        await world.put(named(f"p{number}", f"Schreiber {number % 4}", **born))
    await world.feed()
    url = f"Patient?name:contains=reib&_count=2{sort}"
    before = await world.ids(url)
    assert before == [each.key.id for page in await _engine(world, url) for each in page.versions]
    first = await world.search(url)
    await world.put(named("p0", "Maier"), named("p5", "Maier"), named("q", "Schreiber 1"))
    await world.store.commit([delete("Patient", "p3")])
    await world.feed()
    assert first.next is not None
    rest = await world.follow(replace(world.parse(url).search, after=first.next))
    found = [version.key.id for page in [first, *rest] for version in page.versions]
    assert found == before


async def _engine(world: Bench, url: str) -> list[Page]:
    search = world.parse(url).search
    found = [await world.store.inner.search(search)]
    while found[-1].next is not None:
        found.append(await world.store.inner.search(replace(search, after=found[-1].next)))
    return found


async def test_a_restricted_caller_hears_of_nothing_more(world: Bench) -> None:
    for number in range(40):
        await world.put(named(f"p{number:02}", "Schreiber", gender="male" if number % 10 else "female"))
    await world.feed()
    only_women = Token("gender", (TokenValue(None, "female"),))
    for seen in (only_women, Not(Token("gender", (TokenValue(None, "male"),)))):
        world.visibility = Visibility(by_type={"Patient": seen})
        pages = await world.pages("Patient?name:contains=reib&_count=3&_total=accurate")
        assert [len(page.versions) for page in pages] == [3, 1]
        assert {page.total for page in pages} == {4}
        assert pages[0].notes == ()
        assert await world.ids("Patient?name:contains=reib&_sort=family&_count=1") == ["p00", "p10", "p20", "p30"]
        assert (await world.search("Patient?_sort=family&_count=1")).total is None


async def test_what_takes_too_many_candidates_is_left_to_the_engine() -> None:
    async with bench(elasticsearch_candidates=10, elasticsearch_counted=10) as world:
        for number in range(30):
            await world.put(named(f"p{number:02}", "Schreiber", gender="male" if number else "female"))
        await world.feed()
        world.visibility = Visibility(by_type={"Patient": String("given", StringMode.EXACT, ("x",))})
        page = await world.search("Patient?name:contains=reib&_count=1&_total=accurate")
        assert (page.versions, page.total, page.notes) == ((), 0, ())


async def test_a_server_that_is_gone_slows_nobody_and_is_asked_again_when_it_is_back() -> None:
    port = int(elasticsearch_url().rpartition(":")[2])
    with Proxy(port) as proxy:
        async with bench(f"http://127.0.0.1:{proxy.port}", elasticsearch_timeout=0.5) as world:
            await world.put(named("a", "Schreiber"))
            await world.feed()
            assert (await world.search("Patient?name:contains=reib")).notes == ()
            proxy.refuse()
            proxy.cut()
            for _ in range(3):  # the first meets the fault, the others an open breaker
                await world.put(named("b", "Schreiber"))
                page = await world.search("Patient?name:contains=reib")
                assert (len(page.versions), page.notes) == (2, (DOWN,))
            breaker = world.store.index.connection.breaker
            assert breaker.state != "closed" and breaker.counts["refused"] >= 2
            proxy.accept()
            await _until_closed(world)
            page = await world.search("Patient?name:contains=reib")
            assert (len(page.versions), page.notes) == (2, ())


async def test_a_server_that_falls_silent_costs_one_search_its_timeout() -> None:
    port = int(elasticsearch_url().rpartition(":")[2])
    with Proxy(port) as proxy:
        async with bench(f"http://127.0.0.1:{proxy.port}", elasticsearch_timeout=0.3) as world:
            await world.put(named("a", "Schreiber"))
            await world.feed()
            await world.search("Patient?name:contains=reib")
            proxy.weather.silent = "both"
            assert (await world.search("Patient?name:contains=reib")).notes == (DOWN,)
            assert world.store.index.connection.breaker.state != "closed"
            proxy.heal()
            await _until_closed(world)


async def _until_closed(world: Bench) -> None:
    async with asyncio.timeout(10):
        while world.store.index.connection.breaker.state != "closed":
            await asyncio.sleep(0.02)


async def test_a_query_that_the_index_refuses_is_left_to_the_engine(world: Bench) -> None:
    await world.put(named("a", "Schreiber"))
    await world.feed()
    many = ",".join(f"reib{number:05}" for number in range(900)) + ",reib"
    page = await world.search(f"Patient?name:contains={many}")
    assert ([each.key.id for each in page.versions], page.notes) == (["a"], ())
    assert world.store.index.connection.breaker.state == "closed"


@pytest.mark.parametrize("engine", ["sqlite", "mongodb"])
async def test_pages_totals_and_places_are_those_of_the_engine_alone(engine: str, tmp_path: Path) -> None:
    inner = await ENGINES[engine](Engine(tmp_path, Settings(durable=False), Clock(), extract))
    async with bench(inner=inner) as world:
        world.store.asks = lambda search: True  # type: ignore[method-assign]  # its own orders too
        await world.put(
            *(named(f"p{number:02}", f"Schreiber {number % 7}", birthDate=f"19{number}") for number in range(10, 50))
        )
        await world.feed()
        await world.put(named("p10", "Maier"), named("new", "Schreiber 3"))
        for url in (
            "Patient?name:contains=reib&_count=7&_sort=-family,birthdate&_total=accurate",
            "Patient?_sort=family&_count=30",
        ):
            alone, helped = await _engine(world, url), await world.pages(url)
            shown = [
                [(each.versions, each.next, each.total, each.notes) for each in pages] for pages in (alone, helped)
            ]
            assert shown[0] == shown[1]


async def test_the_index_is_asked_for_what_it_is_made_for_and_for_orders_that_the_engine_lacks(world: Bench) -> None:
    def asked(url: str, orders: frozenset[str] | None) -> bool:
        return is_for_index(world.parse(url).search, orders)

    helped = ("_content=x", "_text=x", "name:contains=x", "language:text=x", "_content=x&_sort=-birthdate")
    assert all(asked(f"Patient?{query}", None) for query in helped)
    assert asked("Location?near=50|7|10|km", None)
    assert not any(asked(f"Patient?{query}", frozenset()) for query in ("", "name=x", "_sort=_id,-_lastUpdated"))
    assert not asked("Patient?_content=x&_contained=both", None)
    assert asked("Patient?_sort=birthdate", frozenset({"-birthdate"}))
    assert not asked("Patient?_sort=-birthdate", frozenset({"-birthdate"})) and not asked("Patient?_sort=name", None)


async def test_an_ordered_page_has_what_was_written_while_it_was_looked_for(world: Bench) -> None:
    await world.put(*(named(f"p{number}", f"Schreiber {number}") for number in range(4)))
    await world.feed()
    search, store = world.store.inner.search, world.store.inner
    written = iter([named("early", "Schreiber 0"), patient("other"), named("late", "Schreiber 9")])

    async def while_others_write(asked: Search) -> Page:
        page_of = search(asked)
        if asked.sort and (resource := next(written, None)) is not None:
            await world.put(resource)
        return await page_of

    store.search = while_others_write  # type: ignore[method-assign]
    page = await world.search("Patient?name:contains=reib&_sort=family&_count=2")
    assert [each.key.id for each in page.versions] == ["p0", "early"]
    assert page.txid >= 2 and page.notes == ()

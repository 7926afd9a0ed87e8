"""What the index counts is what the engine counts, and what it cannot tell exactly it leaves to the engine."""

from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio

from fhir_server.search.query import EVERYTHING, Visibility
from fhir_server.storage.base.counting import By, Counted, TooManyGroups
from fhir_server.storage.elasticsearch.counting import counted
from tests.conformance.storage.counting import CASES, WORLD, by
from tests.conformance.storage.library import LIBRARY
from tests.conformance.storage.test_search_table import TABLE, Expander
from tests.conformance.storage.world import delete, observation
from tests.unit.storage.elasticsearch.kit import Bench, bench

pytestmark = pytest.mark.asyncio(loop_scope="module")
_LEFT = {"Observation?subject:Patient.gender=female", "Observation?date=ge2020-02"}
"""A chain, and a code too long to stand in the index."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[Bench]:
    async with bench(elasticsearch_counts_wait=0) as made:
        await made.put(*({**each, "language": "x"} for each in WORLD))
        await made.put(*WORLD, observation("gone", code={"coding": [{"code": "gone"}]}))
        await made.store.commit([delete("Observation", "gone")])
        await made.feed()
        yield made


async def by_index(world: Bench, url: str, asked: Sequence[By], most: int = 100) -> Counted | None:
    at = await world.store.inner.last_txid(), most
    return await counted(world.store.index, world.parse(url).search, asked, at)


async def test_the_index_counts_as_the_engine_does(world: Bench) -> None:
    by_itself = []
    for url, params, zone, total, groups in CASES:
        asked = [by(each, url.partition("?")[0], zone) for each in params]
        found = await by_index(world, url, asked)
        if found is not None:
            assert (found.total, found.groups) == (total, groups), (url, params)
            by_itself.append(url)
        whole = await world.store.counted(world.parse(url).search, asked, 100)
        assert whole is not None and (whole.total, whole.groups) == (total, groups), (url, params)
    left = {url for url, *_ in CASES} - set(by_itself)
    assert left == _LEFT


async def test_of_the_whole_search_table_the_index_counts_what_is_found_or_nothing() -> None:
    async with bench() as world:
        world.expander = Expander()
        await world.put(*({**resource, "language": "de"} for resource in LIBRARY[:8]))
        await world.put(*LIBRARY)
        await world.feed()
        told = 0
        for url, expected in (row for rows in TABLE.values() for row in rows[::2]):
            found = await by_index(world, url, [By("_tag", "token")])
            assert found is None or found.total == len(expected.split()), url
            told += found is not None
        assert told > 70


async def test_more_groups_than_may_be_are_refused_and_not_cut_off(world: Bench) -> None:
    with pytest.raises(TooManyGroups):
        await by_index(world, "Observation?code=a", [by("date:day", "Observation"), by("code", "Observation")], 3)


async def test_a_caller_who_does_not_see_all_is_answered_by_the_engine(world: Bench) -> None:
    search = world.parse("Observation").search
    world.visibility = Visibility(
        EVERYTHING, {"Observation": world.parse("Observation?code=a").search.branches["Observation"]}
    )
    restricted = world.parse("Observation").search
    world.visibility = Visibility()
    asked = [by("date:year", "Observation")]
    await world.put(observation("late"))  # not fed: the index has not got it, and nobody waits for it
    try:
        found, all_ = [await world.store.counted(each, asked, 100) for each in (restricted, search)]
        assert found is not None and all_ is not None and (found.total, all_.total) == (3, 7)
    finally:
        await world.store.commit([delete("Observation", "late")])
        await world.feed()

"""An order over a parameter that has numbers in some resources and texts in others, and nothing in one."""

from dataclasses import replace
from pathlib import Path

import pytest

from fhir_server.search.entries import IndexEntries
from fhir_server.search.query import And, Search, SortKey
from tests.conformance.storage.world import World, change, observation, open_world

KIND = "kind"


async def mixed(engine: str, folder: Path) -> World:
    """Return a store of nine resources: numbers, texts, one without either, and two of each value."""
    world = await open_world(engine, folder)
    made = [IndexEntries(numbers=[(KIND, number, number)]) for number in (-7.5, 2.0, 2.0, 30.0)]
    made += [IndexEntries(tokens=[(KIND, None, text)]) for text in ("", "a", "b", "b")]
    written = [change(observation(f"o{place}")) for place in range(9)]
    entries = [*made, IndexEntries()]
    await world.store.commit([replace(one, entries=each) for one, each in zip(written, entries, strict=True)])
    return world


@pytest.mark.parametrize("count", [1, 2, 4])
async def test_a_parameter_of_numbers_and_texts_is_paged_through_in_either_direction(
    tmp_path: Path, count: int
) -> None:
    wanted = {
        False: ["o0", "o1", "o2", "o3", "o4", "o5", "o6", "o7", "o8"],
        True: ["o7", "o6", "o5", "o4", "o3", "o2", "o1", "o0", "o8"],
    }
    for engine in ("memory", "mongodb"):
        world = await mixed(engine, tmp_path)
        for descending, order in wanted.items():
            search = Search({"Observation": And()}, (SortKey(KIND, descending),), count)
            found = [version.key.id for page in await world.follow(search) for version in page.versions]
            assert found == order, engine
            twice = replace(search, sort=(SortKey("nothing"), SortKey(KIND, descending)))
            found = [version.key.id for page in await world.follow(twice) for version in page.versions]
            assert sorted(found) == sorted(order), engine
        await world.store.close()

"""Counts by group are the same on every engine, and of what the caller sees alone."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from fhir_server.search.query import EVERYTHING, Chain, Token, TokenValue, Visibility
from fhir_server.storage.base.counting import By, Counted, Counts, TooManyGroups, labels_of
from tests.conformance.storage.counting import CASES, WORLD, by
from tests.conformance.storage.world import World, extract, open_world


async def counted(world: World, url: str, *asked: By, most: int = 100) -> Counted | None:
    """Count by the engine if it can, else as whoever asks does it."""
    search = world.parse(url).search
    if isinstance(world.store, Counts):
        found = await world.store.counted(search, asked, most)
        if found is not None:
            return found
    found = Counted()
    for page in await world.follow(search):
        for version in page.versions:
            entries = extract(version.key.type, version.body.data)
            found.add([labels_of(each, version, entries) for each in asked])
    return found


@pytest.mark.parametrize("engine", ["memory", "sqlite", "encrypted", "mongodb"])
async def test_counts_are_the_same_on_every_engine(tmp_path: Path, engine: str) -> None:
    world = await open_world(engine, tmp_path)
    await world.put(*({**each, "language": "x"} for each in WORLD))
    await world.put(*WORLD)
    try:
        for url, params, zone, total, groups in CASES:
            found = await counted(world, url, *(by(each, url.partition("?")[0], zone) for each in params))
            assert found is not None
            assert (found.total, found.groups) == (total, groups), (url, params)
    finally:
        await world.store.close()


@pytest.mark.parametrize("engine", ["memory", "sqlite"])
async def test_nobody_is_told_counts_of_what_they_do_not_see(tmp_path: Path, engine: str) -> None:
    world = await open_world(engine, tmp_path)
    await world.put(*WORLD)
    women = Token("gender", (TokenValue(None, "female"),))
    theirs = {"Patient": women, "Observation": Chain("subject", "Patient", women)}
    world.visibility = Visibility(EVERYTHING, theirs)
    try:
        assert isinstance(world.store, Counts)
        found = await counted(world, "Patient", by("gender", "Patient"))
        assert found is not None and found.total == 1 and sum(found.groups.values()) == 1
        told: Mapping[object, int] = (await counted(world, "Observation", by("code", "Observation"))).groups  # type: ignore[union-attr]
        assert sorted(told.values()) == [1, 2]
        with pytest.raises(TooManyGroups):
            await counted(world, "Observation", by("code", "Observation"), most=1)
    finally:
        await world.store.close()

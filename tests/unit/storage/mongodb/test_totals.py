"""Numbers that are told without counting, and those that are not told at all."""

from pathlib import Path

import pytest

from fhir_server.model.keys import ResourceKey
from fhir_server.storage.base import HistoryQuery
from fhir_server.storage.mongodb import history
from tests.conformance.storage.world import delete, observation, open_world, patient


async def test_totals_of_all_are_known_and_those_of_long_histories_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "_COUNTED", 3)
    world = await open_world("mongodb", tmp_path)
    await world.put(patient("a"), patient("b"), observation("o"))
    await world.store.commit([delete("Patient", "b")])
    assert await world.store.count(world.parse("Patient?").search) == 1
    assert (await world.search("Patient?_summary=count")).total == 1
    assert (await world.search("Patient?_id=a&_summary=count")).total == 1
    long = await world.store.history(HistoryQuery(count=2))
    assert (len(long.versions), long.total, long.next is None) == (2, None, False)
    assert (await world.store.history(HistoryQuery(type="Patient", count=2))).total == 3
    assert (await world.store.history(HistoryQuery(key=ResourceKey("Patient", "b")))).total == 2
    await world.store.close()

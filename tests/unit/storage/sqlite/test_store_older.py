"""Records that older releases wrote, kept beside this file, are opened as they are and written on.

`older/COMMIT.db.bz2` was written by the server of that commit over HTTP (`fill` of tests/integration/test_upgrade.py,
and twelve Observations with a contained Practitioner), and vacuumed.
"""

import bz2
from pathlib import Path

import pytest

from fhir_server.model.keys import ResourceKey
from fhir_server.storage.sqlite.store import open_store
from tests.conformance.storage.world import Clock, World, extract, patient
from tests.unit.storage.sqlite.kit import FAST

OLDER = sorted((Path(__file__).parent / "older").glob("*.db.bz2"))


@pytest.mark.parametrize("packed", OLDER, ids=lambda path: path.name.partition(".")[0])
async def test_a_record_of_an_older_release_is_read_searched_and_written_on(packed: Path, tmp_path: Path) -> None:
    (tmp_path / "record.db").write_bytes(bz2.decompress(packed.read_bytes()))
    clock = Clock(1_900_000_000_000)
    world = World(await open_store(tmp_path, FAST, clock, extract), clock, FAST)
    store = world.store
    assert await store.check() == []  # type: ignore[attr-defined]
    assert dict(await store.statistics()) == {"Observation": 13, "Patient": 1}
    log = await store.changes(0, 100)
    assert [each.method for each in log[:4]] == ["PUT", "PUT", "PUT", "DELETE"] and len(log) == 17
    assert await world.found("Patient?gender=female") == {"one"} and not await world.found("Patient?gender=male")
    assert await world.found("Observation?value-quantity=gt69|http://unitsofmeasure.org|kg") == {"o10", "o11"}
    assert len(await world.found("Practitioner?_contained=true&family=Inner")) == 12
    result = await world.put(patient("one", gender="other"))
    assert result.txid == log[-1].txid + 1 and await world.found("Patient?gender=other") == {"one"}
    first = await store.read_version(ResourceKey("Patient", "one"), 1)
    assert first is not None and b'"gender":"male"' in first.body.data
    await store.close()

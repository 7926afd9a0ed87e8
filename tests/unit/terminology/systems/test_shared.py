"""Files of code systems that all nodes have."""

from pathlib import Path

import pytest

from fhir_server.settings import Settings
from fhir_server.storage.base import RecordChange, Store
from fhir_server.storage.memory import MemoryProvider
from fhir_server.terminology.systems.shared import SYSTEMS, Watch, follow, missing, publish, shared, withdraw

NAME = "colours-0123456789abcdef.codes"


@pytest.fixture
async def home() -> Store:
    return await MemoryProvider(Settings(), lambda: 1_800_000_000_000).open("default")


async def test_a_node_fetches_what_is_new_and_lets_go_of_what_was_withdrawn(home: Store, tmp_path: Path) -> None:
    source, node = tmp_path / NAME, tmp_path / "node"
    source.write_bytes(b"red" * 1_000_000)
    await publish(home, source, "http://e.org/colours|1")
    assert await missing(home, node) == [NAME]
    await follow(home, node)
    assert (node / NAME).read_bytes() == source.read_bytes()
    assert await missing(home, node) == []
    source.write_bytes(b"blue")
    await publish(home, source, "http://e.org/colours|1")
    assert await missing(home, node) == [NAME], "it was replaced"
    await follow(home, node)
    assert (node / NAME).read_bytes() == b"blue"
    (node / "own.codes").write_bytes(b"loaded before there were several nodes")
    assert await withdraw(home, NAME) and not await withdraw(home, NAME)
    await follow(home, node)
    assert sorted(path.name for path in node.iterdir()) == ["fetched.json", "own.codes"]
    assert await shared(home) == []


async def test_a_file_that_came_damaged_is_not_put_in_force_and_one_that_leads_elsewhere_is_refused(
    home: Store, tmp_path: Path
) -> None:
    source, node = tmp_path / NAME, tmp_path / "node"
    source.write_bytes(b"red")
    made = await publish(home, source, "http://e.org/colours|1")
    value = {"system": "x|1", "blob": made.blob, "size": 3, "sha256": "0" * 64}
    await home.commit((), (RecordChange(SYSTEMS.name, NAME, value),))
    with pytest.raises(ValueError, match="did not come as it was sent"):
        await follow(home, node)
    assert list(node.iterdir()) == []
    value["sha256"] = made.sha256
    away = (RecordChange(SYSTEMS.name, NAME, None), RecordChange(SYSTEMS.name, f"../{NAME}", value))
    await home.commit((), away)
    with pytest.raises(ValueError, match="no name"):
        await follow(home, node)
    assert not (tmp_path / "node" / ".." / f"{NAME}.fetching").exists()


async def test_a_node_that_begins_waits_for_its_code_systems_and_one_that_serves_does_not(
    home: Store, tmp_path: Path
) -> None:
    async def there() -> Store:
        return home

    watch, source = Watch(there, tmp_path / "node"), tmp_path / NAME
    source.write_bytes(b"red")
    await publish(home, source, "http://e.org/colours|1")
    found = await watch.probe()
    assert (found.state, found.details) == ("failing", {"missing": 1})
    await follow(home, tmp_path / "node")
    assert (await watch.probe()).state == "ok"
    source.write_bytes(b"blue")
    await publish(home, source, "http://e.org/colours|1")
    assert (await watch.probe()).state == "degraded"

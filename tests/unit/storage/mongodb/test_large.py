"""What is too large for one document of MongoDB is stored, found and put back all the same."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fhir_server.storage.base import StillReferenced
from fhir_server.storage.mongodb import document
from tests.conformance.storage.world import World, change, delete, extract, open_world, patient


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A store where documents are large that are not."""
    monkeypatch.setattr(document, "_PERHAPS_WIDE", 200)
    monkeypatch.setattr(document, "_WIDEST", 2_000)
    made = await open_world("mongodb", tmp_path)
    yield made
    await made.store.close()


def group(id_: str, members: int, **elements: object) -> dict[str, object]:
    """Return a Group of so many patients; the last one is Patient/x."""
    ids = [f"p{number}" for number in range(members - 1)] + ["x"]
    named = [{"entity": {"reference": f"Patient/{each}"}} for each in ids]
    return {"resourceType": "Group", "id": id_, "type": "person", "actual": True, "member": named, **elements}


async def test_a_group_whose_index_is_too_large_is_found_by_all_that_it_has(world: World) -> None:
    await world.put(group("small", 2), group("wide", 300, code={"coding": [{"code": "c"}]}), patient("x"))
    assert await world.found("Group?member=Patient/x") == {"small", "wide"}
    assert await world.found("Group?member=Patient/p7") == {"wide"}
    assert await world.found("Group?code=c") == {"wide"}
    assert await world.found("Group?code:missing=true") == {"small"}
    assert await world.found("Group?code:not=c") == {"small"}
    assert await world.found("Group?member=Patient/nobody") == set()
    assert await world.found("Patient?_has:Group:member:code=c&_id=x") == {"x"}
    assert await world.store.count(world.parse("Group?member=Patient/x").search) == 2
    page = await world.search("Patient?_id=x&_revinclude=Group:member")
    assert {version.key.id for version in page.included} == {"small", "wide"}
    with pytest.raises(StillReferenced) as refused:
        await world.store.commit([delete("Patient", "x", keep_referenced=True)])
    assert {key.id for key in refused.value.referrers} == {"small", "wide"}


async def test_what_was_too_large_is_so_no_more_once_it_is_small(world: World) -> None:
    await world.put(group("g", 300))
    await world.put(group("g", 2))
    assert await world.found("Group?member=Patient/x") == {"g"}
    assert await world.found("Group?member=Patient/p7") == set()
    assert await world.store.reindex([], extract, lambda done, of: None) == 1
    assert await world.found("Group?member=Patient/p0") == {"g"}


async def test_reindexing_keeps_what_is_too_large_findable(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "_WIDEST", 1_000_000)
    await world.put(group("g", 300))
    monkeypatch.setattr(document, "_WIDEST", 2_000)
    await world.store.reindex([], extract, lambda done, of: None)
    assert await world.found("Group?member=Patient/p7") == {"g"}


@pytest.mark.long
async def test_a_group_of_400_000_members_is_stored_found_and_read(tmp_path: Path) -> None:
    world = await open_world("mongodb", tmp_path, store_deadline=300, lock_timeout=250, mongodb_lease=300)
    made = change(group("many", 400_000))
    await world.store.commit([made])
    version = await world.store.read(made.key)
    assert version is not None
    assert len(version.body.data) == len(made.body.data) > 16 * 1024 * 1024
    assert await world.found("Group?member=Patient/p399998") == {"many"}
    await world.store.close()

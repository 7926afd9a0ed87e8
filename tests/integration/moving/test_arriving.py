"""What left one engine is at the other as it was: `fhir-server migrate` by its parts."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import apsw
import pytest

from fhir_server.audit.verify import verify
from fhir_server.model.keys import ResourceKey
from fhir_server.serving.moving.copying import Copying
from fhir_server.serving.moving.digests import Proved, digests_of, grown_by
from fhir_server.serving.moving.entries import indexing_of
from fhir_server.serving.moving.move import MoveRefused, Wishes
from fhir_server.settings import Settings
from fhir_server.storage.audit import AuditQuery
from fhir_server.storage.base import BlobChange, HistoryQuery, RecordChange, StorageFault, Where
from fhir_server.storage.memory import MemoryStore
from fhir_server.storage.memory.moving import door_of
from fhir_server.storage.mongodb.provider import MongoProvider
from fhir_server.storage.sqlite.ownership import own
from tests.conformance.storage.world import Clock, World, change, extract, observation, patient
from tests.integration.moving.kit import THINGS, end, fill, in_store, moved

SEARCHES = (
    "Patient?name=ann", "Patient?identifier=urn:mrn|111", "Patient?birthdate=1974-12", "Patient?_text=fox",
    "Patient?general-practitioner.name=House", "Observation?subject=Patient/ann", "Observation?status=final",
    "Observation?value-quantity=70|http://unitsofmeasure.org|kg", "Patient?_has:Observation:subject:status=final",
    "Observation?code-value-quantity=http://loinc.org|29463-7$70", "RiskAssessment?probability=gt0.3",
    "Location?near=50.9|6.9|30|km", "ValueSet?url:below=http://acme.org/fhir", "Patient?_sort=-birthdate",
    "*?_lastUpdated=gt2020", "Patient?_contained=true&name=Contained",
)  # fmt: skip


async def everything(world: World) -> dict[str, Any]:
    """Return all that a store answers."""
    store = world.store
    log = await store.changes(0, 10_000)
    blobs = [id_ for patient in ("ann", "bob") for id_ in await store.blobs.of_patient(patient)]
    return {
        "log": log,
        "vread": [await store.read_version(each.key, each.version) for each in log],
        "history": await store.history(HistoryQuery(count=500)),
        "of one": await store.history(
            HistoryQuery(ResourceKey("Patient", "ann"), at=(world.clock.now, world.clock.now))
        ),
        "read": await store.read_many(sorted({each.key for each in log})),
        "end": (await store.last_txid(), await store.count_changes(3), dict(await store.statistics())),
        "revived": await store.revived(log),
        "searches": {url: await world.found(url) for url in SEARCHES},
        "collections": await store.records.collections(),
        "records": await store.records.find(THINGS.name),
        "by field": await store.records.find(THINGS.name, [Where("tags", "=", "t1")], order="-size"),
        "audit": await store.audit.find(AuditQuery(keys=(frozenset(["Patient/p3"]),), count=1_000)),
        "own": await store.audit.find(AuditQuery(keys=(frozenset(["Patient/p1"]),), count=1_000)),
        "blobs": [b"".join([chunk async for chunk in await store.blobs.open(id_)]) for id_ in blobs],
        "proof": await verify(store),
    }


@pytest.mark.parametrize("way", ["sqlite mongodb sqlite", "encrypted encrypted"])
async def test_all_that_a_store_holds_arrives_as_it_was(way: str, tmp_path: Path) -> None:
    engines = way.split()
    places = [end(engine, tmp_path / str(number)) for number, engine in enumerate(engines)]
    await in_store(places[0], fill)
    before = await in_store(places[0], everything)
    assert before["proof"].covered == 600 and not before["proof"].problems
    for source, target in pairwise(places):
        report = await moved(source, target)
        assert report.finished and report.same
        assert {part.part: part.source.count for part in report.parts}["audit"] == 600
    after = await in_store(places[-1], everything)
    for part, found in before.items():
        assert after[part] == found, part
    assert await in_store(places[-1], _lives) == "all is well"


async def _lives(world: World) -> str:
    """Write on: numbers go on where they were, what is contained is found, and the index can be made anew."""
    store, last = world.store, await world.store.last_txid()
    ann = await store.read(ResourceKey("Patient", "ann"))
    assert ann is not None
    contained = observation("c", subject={"reference": "#in"}, contained=[patient("in", name=[{"family": "Inner"}])])
    result = await store.commit([change(patient("ann", gender="other")), change(contained)])
    assert result.txid == last + 1 and result.last_updated > ann.last_updated
    assert [each.version.version for each in result.written if each.version] == [ann.version + 1, 1]
    assert await world.found("Patient?_contained=true&name=Inner") == {"c"}
    assert "ann" not in await world.found("Patient?gender=female") and "ann" in await world.found(
        "Patient?gender=other"
    )
    first, second, *_ = await world.pages("Patient?_count=2")
    assert first.next is not None and second.versions != first.versions
    assert await store.reindex((), extract, lambda done, of: None) > 20
    assert await world.found("Patient?_contained=true&name=Contained") == {"coded"}
    return "all is well"


async def test_a_served_source_is_copied_ahead_and_caught_up_with_when_it_is_stopped(tmp_path: Path) -> None:
    source, target = end("sqlite", tmp_path / "a"), end("sqlite", tmp_path / "b")
    await in_store(source, fill)
    with own(source.settings.data_dir, "http://127.0.0.1:1"):
        with pytest.raises(MoveRefused, match=r"is served by http://127\.0\.0\.1:1"):
            await moved(source, target)
        ahead = await moved(source, target, Wishes(ahead=True))
        assert not ahead.finished and ahead.same and {part.part for part in ahead.parts} == {"versions", "audit"}
        with pytest.raises(StorageFault, match="a move into this store was not finished"):
            await in_store(target, everything)
        await in_store(source, _writes_on)
    before = await in_store(source, everything)
    report = await moved(source, target, Wishes(reread=False))
    assert report.same and report.finished
    assert {part.part: part.source.count for part in report.parts}["versions"] == len(before["log"])
    after = await in_store(target, everything)
    assert after == before


async def test_databases_that_somebody_serves_are_not_left(tmp_path: Path) -> None:
    source, target = end("mongodb", tmp_path / "a"), end("sqlite", tmp_path / "b")
    provider = MongoProvider(source.settings, Clock())
    await (await provider.open("default")).commit([change(patient("ann"))])
    async with provider.lead("background"):
        with pytest.raises(MoveRefused, match=r"is served: .* leads 'background'"):
            await moved(source, target)
    await provider.close()
    assert (await moved(source, target)).same


async def _writes_on(world: World) -> None:
    world.clock.now += 60_000
    await world.put(patient("ann", gender="unknown"), patient("late"))
    await world.store.commit([change(observation("weight", status="amended"))])
    store = world.store
    gone = (await store.blobs.of_patient("bob"))[0]
    changes = [
        RecordChange(THINGS.name, "k05", None),
        RecordChange(THINGS.name, "k06", {"size": 6}),
        RecordChange(THINGS.name, "a", {}),
    ]
    await store.commit((), changes, [BlobChange(gone, False)])


async def test_what_cannot_be_moved_is_refused_before_the_first_byte(tmp_path: Path) -> None:
    source, target = end("sqlite", tmp_path / "a"), end("sqlite", tmp_path / "b")
    await in_store(source, fill)
    with pytest.raises(MoveRefused, match="the same place"):
        await moved(source, source)
    with pytest.raises(MoveRefused, match="has no tenant north"):
        await moved(source, target, Wishes(tenants=("north",)))
    other = end("encrypted", tmp_path / "c")
    with pytest.raises(MoveRefused, match="encrypted by the server and the target would not be"):
        await moved(other, target)
    await in_store(target, fill)
    with pytest.raises(MoveRefused, match="'default' is there and is no half-done move"):
        await moved(source, target)
    untouched = await in_store(target, everything)
    assert untouched["end"] == (await in_store(source, everything))["end"]


async def test_half_a_move_of_another_store_is_not_gone_on_with(tmp_path: Path) -> None:
    first, second, target = (end("sqlite", tmp_path / name) for name in "abc")
    await in_store(first, fill)
    await in_store(second, fill)
    await moved(first, target, Wishes(ahead=True))
    with pytest.raises(MoveRefused, match=r"is a half-done move of sqlite://.*a/sqlite"):
        await moved(second, target)
    assert (await moved(second, target, Wishes(afresh=True))).same


async def test_a_tenant_moves_alone_into_an_installation_that_has_others(tmp_path: Path) -> None:
    source, target = end("sqlite", tmp_path / "a"), end("sqlite", tmp_path / "b")
    await in_store(source, fill)
    await in_store(source, fill, "north")
    await in_store(target, fill)
    report = await moved(source, target, Wishes(tenants=("north",)))
    assert report.same and {part.tenant for part in report.parts} == {"north"}
    before, after = await in_store(source, everything, "north"), await in_store(target, everything, "north")
    assert {**after, "searches": {}} == {**before, "searches": {}}  # the URL of this tenant is another


async def test_a_difference_keeps_servers_away(tmp_path: Path) -> None:
    source, target = end("sqlite", tmp_path / "a"), end("sqlite", tmp_path / "b")
    await in_store(source, fill)
    await moved(source, target, Wishes(ahead=True))
    record = apsw.Connection(str(target.settings.data_dir / "tenants/default/record.db"))
    pid, data = record.execute("SELECT pid, data FROM body ORDER BY pid DESC LIMIT 1").fetchall()[0]
    record.execute("UPDATE body SET data=? WHERE pid=?", (data + b" ", pid))
    record.close()
    report = await moved(source, target)
    assert [part.part for part in report.parts if not part.same] == ["versions"]
    with pytest.raises(StorageFault, match="was not finished"):
        await in_store(target, everything)


async def test_the_reference_engine_has_a_door_too(tmp_path: Path) -> None:
    place, memory = end("sqlite", tmp_path), MemoryStore(Settings(), Clock())
    await in_store(place, fill)
    installation, door = place.open(), door_of(memory)
    kept = await installation.kept("default")
    indexing = await indexing_of(kept, "default", place.settings)
    await Copying(kept, door, indexing, 0, lambda part, done: None).all()
    await door.seal(await kept.end())
    end_ = await kept.end()
    grown = [await grown_by(each, end_, lambda part, done: None, Proved()) for each in (kept, door)]
    digests = [await digests_of(each, lambda part, done: None, reread=True) for each in (kept, door)]
    await kept.close()
    assert grown[0] == grown[1] and digests[0] == digests[1]
    before = await in_store(place, everything)
    assert await everything(World(memory, Clock(), place.settings)) == before

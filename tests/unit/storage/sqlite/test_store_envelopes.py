"""Envelopes: each body under the key of its patient, which can be destroyed in all backups at once."""

import asyncio
import json
import random
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from fhir_server.encryption import rotation
from fhir_server.encryption.keyring import read_keyring
from fhir_server.encryption.patient_keys import SLOTS, PatientKeys, folder_of
from fhir_server.serving.encryption import Resealing, copy_patient_keys
from fhir_server.settings import Settings
from fhir_server.storage.base import BlobChange, HistoryQuery, StorageFault
from fhir_server.storage.sqlite.backup import restore
from fhir_server.storage.sqlite.connection import connect
from fhir_server.storage.sqlite.envelope_keys import place_keys
from fhir_server.storage.sqlite.provider import SqliteProvider
from fhir_server.storage.sqlite.sealing import unlock
from fhir_server.storage.sqlite.store import SqliteStore, open_store
from tests.conformance.storage.world import Clock, World, change, delete, extract, observation, patient
from tests.unit.encryption.kit import ready
from tests.unit.storage.sqlite.kit import key

NAME = "Kowalskiewicz"


@asynccontextmanager
async def opened(settings: Settings, tenant: str = "default") -> AsyncIterator[SqliteStore]:
    """Open the store of a tenant as the server does."""
    store = await open_store(settings.data_dir / "tenants" / tenant, settings, None, extract)
    try:
        yield store
    finally:
        await store.close()


def of(id_: str, number: int, **elements: Any) -> dict[str, Any]:
    """An Observation of a patient."""
    return observation(f"{id_}-{number}", subject={"reference": f"Patient/{id_}"}, **elements)


async def put(store: SqliteStore, *resources: dict[str, Any]) -> None:
    await store.commit([change(resource) for resource in resources])


async def fill(store: SqliteStore, ids: Sequence[str], each: int = 5) -> None:
    for id_ in ids:
        named = patient(
            id_, name=[{"family": f"{NAME}-{id_}"}], identifier=[{"system": "urn:mrn", "value": f"mrn-{id_}"}]
        )
        notes = [of(id_, number, note=[{"text": f"{NAME}-{id_}"}]) for number in range(each)]
        await put(store, named, *notes)


def numbers(settings: Settings, tenant: str = "default") -> dict[str, int]:
    """The number of the key of each resource's current body, by its reference."""
    sql = (
        "SELECT t.name || '/' || r.id, substr(b.data,1,9) FROM resource r JOIN type t ON t.type=r.type "
        "JOIN body b ON b.pid=r.pid"
    )
    found = {}
    for name, head in raw(settings, tenant, sql):
        assert head[0] == 1, f"{name} is not sealed"
        found[name] = int.from_bytes(head[1:], "big")
    return found


def raw(settings: Settings, tenant: str, sql: str) -> list[Any]:
    """What somebody reads who has the data keys of the tenant, but not those of its patients."""
    connection = connect(settings.data_dir / "tenants" / tenant / "record.db", settings, writer=False)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def everything(folder: Path, settings: Settings) -> bytes:
    """All that stands in a record, as one who has the key of its file sees it."""
    plain = folder / "plain.db"
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_URI
    connection = apsw.Connection(str(folder / "record.db"), flags=flags)
    try:
        unlock(connection, folder / "record.db", settings)
        connection.execute("VACUUM INTO ?", (f"file:{plain}?key=",))
    finally:
        connection.close()
    data = plain.read_bytes()
    plain.unlink()
    assert data.startswith(b"SQLite format 3")
    return data


async def test_each_resource_is_under_the_key_that_the_rule_names(tmp_path: Path) -> None:
    settings, _ = ready(tmp_path / "data")
    async with opened(settings) as store:
        await put(store, patient("a"), patient("b", link=[{"other": {"reference": "Patient/a"}, "type": "seealso"}]))
        await put(
            store,
            of("a", 1),
            observation("two", subject={"reference": "Patient/a"}, performer=[{"reference": "Patient/b"}]),
            observation("none"),
            {"resourceType": "Practitioner", "id": "p"},
            {"resourceType": "Group", "id": "g", "type": "person", "actual": True,
             "member": [{"entity": {"reference": "Patient/a"}}]},
            {"resourceType": "Appointment", "id": "both", "status": "booked",
             "participant": [{"actor": {"reference": f"Patient/{id_}"}, "status": "accepted"} for id_ in "ab"]},
            {"resourceType": "Appointment", "id": "one", "status": "booked",
             "participant": [{"actor": {"reference": "Patient/b"}, "status": "accepted"}]},
            {"resourceType": "Provenance", "id": "of-a", "target": [{"reference": "Observation/a-1"}]},
            {"resourceType": "Provenance", "id": "of-both",
             "target": [{"reference": "Observation/a-1"}, {"reference": "Patient/b"}]},
        )  # fmt: skip
        await put(store, {"resourceType": "Provenance", "id": "late", "target": [{"reference": "Observation/two"}]})
        assert await store.check() == []
    found = numbers(settings)
    a, b = found["Patient/a"], found["Patient/b"]
    assert len({0, a, b}) == 3
    assert {name: number for name, number in found.items() if number == a} == dict.fromkeys(
        ("Patient/a", "Observation/a-1", "Observation/two", "Provenance/of-a", "Provenance/late"), a
    )
    assert {name for name, number in found.items() if number == b} == {"Patient/b", "Appointment/one"}
    assert {name for name, number in found.items() if number == 0} == {
        "Observation/none", "Practitioner/p", "Group/g", "Appointment/both", "Provenance/of-both",
    }  # fmt: skip


async def test_an_older_backup_does_not_give_back_what_was_erased_after_it(tmp_path: Path) -> None:
    settings, _ = ready(tmp_path / "data")
    copy = tmp_path / "keys"
    settings = settings.model_copy(update={"patient_keys_copy": copy})
    async with opened(settings) as store:
        await fill(store, ("a", "b", "c"))
        await put(store, patient("b", name=[{"family": f"{NAME}-b-new"}]))
        await store.backup(tmp_path / "backup", lambda done, of: None)
        before = {
            f"{id_}-{number}": await store.read(key(f"Observation/{id_}-{number}"))
            for id_ in "abc"
            for number in range(5)
        }
        await put(store, patient("d"))
        for number in range(5):
            await store.commit([delete("Observation", f"b-{number}")])
            await store.purge(key(f"Observation/b-{number}"), history_only=True)
        await store.commit([delete("Patient", "b")])
        await store.purge(key("Patient/b"), history_only=True)
        assert await store.shred("b")
        assert not await store.shred("b")
        assert not await store.shred("nobody")
        assert await store.check() == []
        await put(store, patient("b", name=[{"family": "Nowak"}]))  # the id lives again, under another key
    live = {name.name: name.read_bytes() for name in folder_of(settings, "default").iterdir()}
    assert live == {name.name: name.read_bytes() for name in (copy / "default").iterdir()} | {SLOTS: live[SLOTS]}
    data = everything(tmp_path / "backup", settings)  # whoever has the backup and its keys, but for those of patients
    assert NAME.encode() not in data and NAME.lower().encode() not in data and b"mrn-" not in data

    again = settings.model_copy(update={"data_dir": tmp_path / "again"})
    manifest = restore(tmp_path / "backup", tmp_path / "again" / "tenants" / "default")
    shutil.copyfile(tmp_path / "data.master.key", tmp_path / "again.master.key")
    place_keys(again, "default", manifest.patient_keys, copy)
    async with opened(again) as store:
        assert await store.check() == []
        for id_, version in before.items():
            now = await store.read(key(f"Observation/{id_}"))
            assert now is not None and version is not None
            assert now.deleted if id_.startswith("b") else now.body == version.body
        gone = await store.history(HistoryQuery(key=key("Patient/b")))
        assert [(version.deleted, version.method) for version in gone.versions] == [(True, "DELETE")] * 2
        assert await store.statistics() == {"Observation": 10, "Patient": 2}
        await put(store, patient("b", name=[{"family": "Nowak"}]))
        back = await store.read(key("Patient/b"))
        assert back is not None and b"Nowak" in back.body.data
    data = everything(tmp_path / "again" / "tenants" / "default", again)
    assert f"{NAME}-b".encode() not in data and f"{NAME}-a".encode() in data and b"mrn-" not in data


async def test_what_is_left_under_a_key_and_not_the_patients_alone_survives_it(tmp_path: Path) -> None:
    settings, _ = ready(tmp_path / "data")
    async with opened(settings) as store:
        await fill(store, ("a", "b"), each=700)
        blob = await store.blobs.stage(_chunks(b"picture"))
        await store.commit([], (), [BlobChange(blob.id, attach=True, patient="a")])
        assert await store.shred("a")
        for number in (0, 699):
            version = await store.read(key(f"Observation/a-{number}"))
            assert version is not None and NAME.encode() in version.body.data
        assert await _content(store, blob.id) == b"picture"
        assert await store.check() == []
    found = numbers(settings)
    assert found["Patient/a"] == found["Observation/a-699"] == 0 != found["Patient/b"]


async def test_a_crash_between_the_steps_of_shredding_is_caught_up_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, _ = ready(tmp_path / "data")

    def stopped(self: PatientKeys, number: int) -> None:
        raise OSError("stopped")

    async with opened(settings) as store:
        await fill(store, ("a", "b"))
        number = raw(settings, "default", "SELECT key FROM patient_key WHERE patient='a'")[0][0]
        with monkeypatch.context() as patched:
            patched.setattr(PatientKeys, "destroy", stopped)
            with pytest.raises(StorageFault, match="stopped"):
                await store.shred("a")
        keys = PatientKeys(folder_of(settings, "default"), settings)
        assert keys.get(number) is not None
        await store.sweep()
        assert keys.get(number) is None
        assert raw(settings, "default", "SELECT key FROM meta WHERE key GLOB 'doomed*'") == []


async def test_blobs_of_a_patient_are_under_the_patients_key(tmp_path: Path) -> None:
    settings, _ = ready(tmp_path / "data", patient_keys_copy=tmp_path / "keys")
    async with opened(settings) as store:
        await fill(store, ("a",), each=1)
        staged = [await store.blobs.stage(_chunks(b"picture" * 50_000)) for _ in range(2)]
        changes = [BlobChange(staged[0].id, attach=True, patient="a"), BlobChange(staged[1].id, attach=True)]
        await store.commit([], (), changes)
        number = raw(settings, "default", "SELECT key FROM patient_key WHERE patient='a'")[0][0]
        blobs = settings.data_dir / "tenants" / "default" / "blobs"
        heads = [(blobs / ref.id[:2] / ref.id).read_bytes()[8:24] for ref in staged]
        assert heads[0] == f"p{number:015d}".encode() and not heads[1].startswith(b"p")
        assert await _content(store, staged[0].id) == b"picture" * 50_000
        await store.backup(tmp_path / "backup", lambda done, of: None)
        await store.commit([], (), [BlobChange(staged[0].id, attach=False)])
        await store.shred("a")
    again = settings.model_copy(update={"data_dir": tmp_path / "again", "patient_keys_copy": None})
    manifest = restore(tmp_path / "backup", tmp_path / "again" / "tenants" / "default")
    shutil.copyfile(tmp_path / "data.master.key", tmp_path / "again.master.key")
    place_keys(again, "default", manifest.patient_keys, tmp_path / "keys")
    async with opened(again) as store:
        assert await store.blobs.stat(staged[0].id) is None
        assert await _content(store, staged[1].id) == b"picture" * 50_000
        assert await store.check() == []


@pytest.mark.parametrize("seed", range(3))
async def test_a_body_that_was_changed_or_moved_is_an_error(tmp_path: Path, seed: int) -> None:
    settings, _ = ready(tmp_path / "data")
    dice = random.Random(seed)
    async with opened(settings) as store:
        await fill(store, ("a",), each=2)
    sound = raw(settings, "default", "SELECT pid, data FROM body ORDER BY pid")
    for _ in range(10):
        data, place = bytearray(sound[0][1]), dice.randrange(9, len(sound[0][1]))
        data[place] ^= 1 << dice.randrange(8)
        _tamper(settings, bytes(data), sound[0][0])
        async with opened(settings) as store:
            with pytest.raises(StorageFault, match="the body of Patient/a/1 is damaged"):
                await store.read(key("Patient/a"))
            assert await store.read(key("Observation/a-0")) is not None
    _tamper(settings, sound[1][1], sound[0][0])
    async with opened(settings) as store:
        with pytest.raises(StorageFault, match="stands in another's place"):
            await store.read(key("Patient/a"))


async def test_one_damaged_body_fails_no_other_write(tmp_path: Path) -> None:
    settings, _ = ready(tmp_path / "data")
    async with opened(settings) as store:
        await fill(store, ("a", "b"), each=1)
    pid, data = raw(settings, "default", "SELECT pid, data FROM body ORDER BY pid")[0]
    _tamper(settings, data[:-1] + bytes([data[-1] ^ 1]), pid)
    async with opened(settings) as store:
        writes = [put(store, patient(id_, active=True)) for id_ in ("a", "b", "c")]
        answers = await asyncio.gather(*writes, return_exceptions=True)
        assert isinstance(answers[0], StorageFault) and answers[1:] == [None, None]
        assert not store.health().fault


async def test_patient_keys_that_are_missing_or_of_another_store_are_refused(tmp_path: Path) -> None:
    settings, _ = ready(tmp_path / "data")
    for tenant in ("default", "other"):
        async with opened(settings, tenant) as store:
            await fill(store, ("a",), each=1)
    folder = folder_of(settings, "default")
    kept = (folder / SLOTS).read_bytes()
    (folder / SLOTS).unlink()
    with pytest.raises(StorageFault, match=r"patients\.keys is missing: without it the resources of patients"):
        async with opened(settings):
            pass
    (folder / SLOTS).write_bytes((folder_of(settings, "other") / SLOTS).read_bytes())
    with pytest.raises(StorageFault, match="holds the patient keys of another store"):
        async with opened(settings):
            pass
    (folder / SLOTS).write_bytes(kept[:-68])
    async with opened(settings) as store:
        with pytest.raises(StorageFault, match="patient key 1 is not in"):
            await store.read(key("Patient/a"))
        await put(store, patient("c"))  # gets a number that nobody had
    assert numbers(settings)["Patient/c"] == 2
    changed = bytearray(kept)
    changed[-1] ^= 1
    (folder / SLOTS).write_bytes(changed)
    async with opened(settings) as store:
        with pytest.raises(StorageFault, match=r"patient key 1 in .* is damaged"):
            await store.read(key("Patient/a"))


async def test_without_envelopes_an_encrypted_store_makes_no_keys_of_patients(tmp_path: Path) -> None:
    settings, _ = ready(tmp_path / "data", envelopes="off")
    async with opened(settings) as store:
        await fill(store, ("a",), each=1)
        assert not await store.shred("a")
        await store.backup(tmp_path / "backup", lambda done, of: None)
    assert raw(settings, "default", "SELECT DISTINCT substr(data,1,1) FROM body") == [(b"{",)]
    assert not folder_of(settings, "default").exists()


async def test_every_patient_of_many_has_a_key_of_its_own(tmp_path: Path) -> None:
    settings, _ = ready(tmp_path / "data")
    ids = [f"p{number}" for number in range(300)]
    async with opened(settings) as store:
        await put(store, *(patient(id_) for id_ in ids))
    async with opened(settings) as store:
        await put(store, *(of(id_, 1) for id_ in ids))
        versions = await store.read_many([key(f"Observation/{id_}-1") for id_ in ids])
        assert all(json.loads(version.body.data)["status"] == "final" for version in versions.values())
    found = numbers(settings)
    assert len({found[f"Patient/{id_}"] for id_ in ids} - {0}) == 300
    assert all(found[f"Patient/{id_}"] == found[f"Observation/{id_}-1"] for id_ in ids)


def _tamper(settings: Settings, data: bytes, pid: int) -> None:
    connection: apsw.Connection = connect(settings.data_dir / "tenants/default/record.db", settings, writer=True)
    connection.execute("UPDATE body SET data=? WHERE pid=?", (data, pid))
    connection.close()


async def _chunks(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _content(store: SqliteStore, blob: str) -> bytes:
    return b"".join([chunk async for chunk in await store.blobs.open(blob)])


async def test_a_rotation_wraps_the_keys_of_patients_anew_while_the_store_serves(tmp_path: Path) -> None:
    settings, _ = ready(tmp_path / "data", patient_keys_copy=tmp_path / "keys")
    folder = folder_of(settings, "default")
    async with opened(settings) as store:
        await fill(store, ("a", "b", "c"), each=1)
        copy_patient_keys(settings, tmp_path / "keys")
        await store.shred("c")
        before, first = (folder / SLOTS).read_bytes(), read_keyring(folder)
        rotation.rotate(settings)
        await put(store, patient("d"))  # under the new data key, the others not yet
        assert Resealing(settings)("default") == 0
        after, ring = (folder / SLOTS).read_bytes(), read_keyring(folder)
        assert first is not None and ring is not None and len(ring.keys) == 1 and ring.current not in first.keys
        slots = range(24, len(before), 68)
        assert all(before[at : at + 68] != after[at : at + 68] for at in slots) and before[:24] == after[:24]
        assert after == (tmp_path / "keys" / "default" / SLOTS).read_bytes()
        keys = PatientKeys(folder, settings)
        assert [keys.get(number) is None for number in range(5)] == [False, False, False, True, False]
        store._sealer.forget()
        version = await store.read(key("Observation/a-0"))
        assert version is not None and not version.deleted
    again = settings.model_copy(update={"patient_keys": tmp_path / "keys"})
    async with opened(again) as store:
        assert await store.read(key("Patient/d")) is not None
        assert await store.check() == []


async def test_bodies_from_before_come_into_envelopes_while_the_store_serves(tmp_path: Path) -> None:
    settings, _ = ready(tmp_path / "data", envelopes="off")
    async with opened(settings) as store:
        await fill(store, ("a", "b"), each=600)
        await put(store, patient("a", active=True))
    on = settings.model_copy(update={"envelopes": "on"})
    async with opened(on) as store:
        assert len(await store.changes(0, 5_000)) == 1203
        await put(store, patient("c"))
        assert await store.envelop() == 1203
        assert await store.envelop() == 0
        assert len(await store.changes(0, 5_000)) == 1204
        assert await store.check() == []
    found = numbers(on)
    assert len({found[f"Patient/{id_}"] for id_ in "abc"}) == 3
    assert found["Observation/a-599"] == found["Patient/a"]
    assert raw(on, "default", "SELECT count(*) FROM body WHERE substr(data,1,1)='{'") == [(0,)]
    async with opened(settings) as store:  # off again: what is sealed still opens
        assert await store.read(key("Patient/c")) is not None
        await put(store, patient("d"))
    async with opened(on) as store:
        assert await store.envelop() == 1
    assert numbers(on)["Patient/d"] > 0


async def test_identifiers_stand_blind_in_the_index_and_are_found_all_the_same(tmp_path: Path) -> None:
    settings, _ = ready(tmp_path / "data")
    async with opened(settings) as store:
        await fill(store, ("a", "b"), each=1)
        world = World(store, Clock(), settings)
        for url in ("Patient?identifier=mrn-a", "Patient?identifier=urn:mrn|mrn-a"):
            assert await world.found(url) == {"a"}
        assert await world.found("Patient?identifier=urn:mrn|") == {"a", "b"}
        assert await world.found("Patient?identifier=urn:other|mrn-a") == set()
        assert await world.ids("Patient?_sort=-identifier") == ["b", "a"]
    tokens = {code for (code,) in raw(settings, "default", "SELECT code FROM token_value")}
    assert not any("mrn" in code for code in tokens)
    hidden = next(code for code in tokens if code.startswith("~"))
    async with opened(settings) as store:
        assert await World(store, Clock(), settings).found(f"Patient?identifier={hidden}") == set()


@pytest.mark.parametrize("cut", [0, 10, 23])
async def test_a_file_of_patient_keys_without_its_head_is_no_such_file(tmp_path: Path, cut: int) -> None:
    settings, _ = ready(tmp_path / "data")
    async with opened(settings) as store:
        await fill(store, ("a",), each=1)
    path = folder_of(settings, "default") / SLOTS
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(StorageFault, match="is no file of patient keys"):
        async with opened(settings):
            pass


async def test_a_start_that_was_cut_off_after_the_file_was_made_goes_on(tmp_path: Path) -> None:
    settings, _ = ready(tmp_path / "data")
    PatientKeys.make(folder_of(settings, "default"), settings)
    async with opened(settings) as store:
        await fill(store, ("a",), each=1)
    (tmp_path / "data" / "tenants" / "default" / "record.db").unlink()
    with pytest.raises(StorageFault, match="is empty, but blobs beside it"):
        async with opened(settings):
            pass
    shutil.rmtree(tmp_path / "data" / "tenants" / "default" / "blobs")
    with pytest.raises(StorageFault, match="holds the patient keys of another store"):
        async with opened(settings):
            pass


async def test_a_tenant_that_is_erased_takes_the_keys_of_its_patients_with_it(tmp_path: Path) -> None:
    settings, _ = ready(tmp_path / "data", patient_keys_copy=tmp_path / "keys")
    provider = SqliteProvider(settings.data_dir, settings, extract=extract)
    store = await provider.create("clinic")
    await fill(store, ("a",), each=1)
    copy_patient_keys(settings, tmp_path / "keys")
    assert (tmp_path / "keys" / "clinic" / SLOTS).exists()
    await provider.remove("clinic")
    await provider.close()
    assert not folder_of(settings, "clinic").exists()
    assert not (tmp_path / "keys" / "clinic").exists()

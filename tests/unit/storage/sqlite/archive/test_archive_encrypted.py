"""An archive of an encrypted record: nothing in it is readable, and an erasure reaches into it."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fhir_server.encryption import rotation
from fhir_server.serving.encryption import Resealing, copy_patient_keys
from fhir_server.serving.recovery import Wish, restore_archive
from fhir_server.storage.base import BackupRefused, BlobChange
from fhir_server.storage.sqlite.archive.catalog import Until, plan
from fhir_server.storage.sqlite.envelope_keys import place_keys
from fhir_server.storage.sqlite.store import SqliteStore, open_store
from tests.conformance.storage.world import change, delete, extract, observation, patient
from tests.unit.encryption.kit import ready
from tests.unit.storage.sqlite.archive.kit import Place, place
from tests.unit.storage.sqlite.kit import key
from tests.unit.storage.sqlite.test_store_envelopes import everything

NAME = "Kowalskiewicz"


async def chunks(text: bytes) -> AsyncIterator[bytes]:
    yield text


def of(id_: str, number: int) -> dict[str, object]:
    return observation(f"{id_}-{number}", subject={"reference": f"Patient/{id_}"}, note=[{"text": f"{NAME}-{id_}"}])


def encrypted(folder: Path) -> Place:
    settings, _ = ready(folder / "data", patient_keys_copy=folder / "keys", patient_keys=folder / "own-keys")
    return place(folder, settings)


def elsewhere(at: Place, name: str, until: Until) -> None:
    """What a machine of its own needs besides the archive: the master key and the copy of the patient keys."""
    settings = at.elsewhere(name)
    shutil.copyfile(
        at.settings.data_dir.with_name("data.master.key"), settings.data_dir.with_name(f"{name}.master.key")
    )
    needed = plan(at.kept, until).base.manifest().patient_keys
    place_keys(settings, "default", needed, at.settings.patient_keys_copy)


async def fill(store: SqliteStore, id_: str, blob: bytes = b"") -> str:
    ref = await store.blobs.stage(chunks(blob or id_.encode()))
    resources = [patient(id_, name=[{"family": f"{NAME}-{id_}"}]), *(of(id_, number) for number in range(3))]
    await store.commit([change(each) for each in resources], (), [BlobChange(ref.id, attach=True, patient=id_)])
    return ref.id


async def test_whom_an_erasure_took_after_an_instant_a_restore_to_it_does_not_bring_back(tmp_path: Path) -> None:
    at = encrypted(tmp_path)
    async with at.opened() as store:
        await fill(store, "a")
        shipper = at.shipper()
        shipper.round()
        at.base()
        at.clock.now += 1000
        blob = await fill(store, "b", b"a picture of b")
        kept = await fill(store, "c", b"a picture of c")
        shipper.round()
        live = (tmp_path / "own-keys" / "default" / "patients.keys").read_bytes()
        assert (tmp_path / "keys" / "default" / "patients.keys").read_bytes() == live
        before = at.clock.now + 100
        at.clock.now += 1000
        names = ["Patient/b", *(f"Observation/b-{number}" for number in range(3))]
        for name in names:
            await store.commit([delete(*name.split("/"))])
            await store.purge(key(name), history_only=False)
        await store.commit([], (), [BlobChange(blob, attach=False)])
        assert await store.shred("b")
        shipper.round()
    for path in [path for path in tmp_path.rglob("*") if path.is_file()]:
        assert NAME.encode() not in path.read_bytes(), path
    for name, until in (("before", Until(time=before)), ("newest", Until())):
        elsewhere(at, name, until)
        async with at.restored(name, until) as store:
            current = {str(each.key) for each in await store.changes(0) if not each.deleted}
            parts = ("Patient/{}", *(f"Observation/{{}}-{number}" for number in range(3)))
            assert current == {part.format(id_) for id_ in "ac" for part in parts}
            assert b"".join([chunk async for chunk in await store.blobs.open(kept)]) == b"a picture of c"
            assert await store.blobs.stat(blob) is None
            assert await store.statistics() == {"Observation": 6, "Patient": 2}
        data = everything(at.folder(name), at.elsewhere(name))
        assert f"{NAME}-b".encode() not in data and f"{NAME}-c".encode() in data


async def test_keys_that_were_rotated_meanwhile_open_all_of_the_archive(tmp_path: Path) -> None:
    at = encrypted(tmp_path)
    async with at.opened() as store:
        await fill(store, "a")
        shipper = at.shipper()
        shipper.round()
        at.base()
        blob = await fill(store, "b", b"picture")
        shipper.round()
        rotation.rotate(at.settings)
        reseal = Resealing(at.settings)
        reseal("default")
        await fill(store, "c")
        shipper.round()
        assert not reseal.waits("default")
        copy_patient_keys(at.settings, tmp_path / "keys")
    elsewhere(at, "again", Until())
    async with at.restored("again") as store:
        assert await store.statistics() == {"Observation": 9, "Patient": 3}
        assert b"".join([chunk async for chunk in await store.blobs.open(blob)]) == b"picture"


async def test_the_recovery_key_opens_an_archive_whose_master_key_is_lost(tmp_path: Path) -> None:
    settings, recovery = ready(tmp_path / "data", patient_keys_copy=tmp_path / "keys", patient_keys=tmp_path / "own")
    at = place(tmp_path, settings)
    async with at.opened() as store:
        await fill(store, "a")
        shipper = at.shipper()
        shipper.round()
        at.base()
        await fill(store, "b")
        shipper.round()
    again = at.elsewhere("again").model_copy(update={"patient_keys": tmp_path / "own-again"})
    (again.data_dir / "tenants").rmdir()
    restore_archive(at.archive, again, Wish(recovery=recovery))
    store = await open_store(again.data_dir / "tenants" / "default", again, None, extract)
    try:
        assert await store.statistics() == {"Observation": 6, "Patient": 2}
    finally:
        await store.close()


async def test_an_entry_that_was_changed_or_moved_is_refused(tmp_path: Path) -> None:
    at = encrypted(tmp_path)
    async with at.opened() as store:
        await fill(store, "a")
        shipper = at.shipper()
        shipper.round()
        at.base()
        await fill(store, "b")
        shipper.round()
        lineage = at.tenant / plan(at.kept).lineage.name
    lineage.rename(lineage.with_name("20200101T000000000-00000000"))  # what is sealed is bound to its lineage
    elsewhere(at, "again", Until())
    with pytest.raises(BackupRefused, match="place of another"):
        at.restore("again")

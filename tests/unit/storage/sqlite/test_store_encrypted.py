"""An encrypted record: nothing of it is plain on the disk, and nothing that was changed is read."""

import logging
import os
import random
import shutil
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import apsw
import pytest

from fhir_server.encryption import rotation
from fhir_server.encryption.faults import EncryptionFault, WrongKey
from fhir_server.encryption.keyring import read_keyring
from fhir_server.encryption.recovery import RecoveryKey
from fhir_server.encryption.unlocked import unlocked
from fhir_server.search.entries import IndexEntries
from fhir_server.serving.encryption import Resealing, catch_up, encrypt, place_patient_keys
from fhir_server.settings import Settings
from fhir_server.storage.base import BackupRefused, BlobChange, StorageFault
from fhir_server.storage.sqlite import rekey
from fhir_server.storage.sqlite.backup import read_manifest, restore
from fhir_server.storage.sqlite.store import SqliteStore
from tests.unit.encryption.kit import ready
from tests.unit.storage.sqlite.kit import key, opened, put

NAME = "Kowalskiewicz"
WORDS = (NAME.encode(), NAME.lower().encode(), NAME.encode("utf-16-le"))
BLOB = NAME.encode() * 20_000


async def chunks(data: bytes = BLOB) -> AsyncIterator[bytes]:
    for at in range(0, len(data), 50_000):
        yield data[at : at + 50_000]


def plain_files(folder: Path) -> list[str]:
    """The files of a folder in which the name stands."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [str(path) for path in files if any(word in path.read_bytes() for word in WORDS)]


async def filled(store: SqliteStore, number: int = 30) -> str:
    """Write patients, index rows, full text and a blob; return the id of the blob."""
    entries = IndexEntries(tokens=[("identifier", "urn:x", NAME)])
    for at in range(number):
        await store.commit([put(f"Patient/{NAME}-{at}", NAME * 20, entries)])
    ref = await store.blobs.stage(chunks())
    await store.commit([put("Patient/a", NAME)], (), [BlobChange(ref.id, attach=True)])
    return ref.id


async def content(store: SqliteStore, blob: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in await store.blobs.open(blob, start, end)])


async def test_nothing_stands_plain_while_it_serves_nor_after(tmp_path: Path) -> None:
    settings, _ = ready(tmp_path / "data")
    folder = tmp_path / "data" / "tenants" / "default"
    async with opened(folder, settings) as store:
        blob = await filled(store)
        assert (folder / "record.db-wal").stat().st_size > 100_000
        assert plain_files(tmp_path) == []
        assert await content(store, blob, 65_530, 65_550) == BLOB[65_530:65_550]
        await store.backup(tmp_path / "copy", lambda done, of: None, tmp_path / "keys")
        assert plain_files(tmp_path) == []
        assert await store.check() == []
    assert plain_files(tmp_path) == []
    async with opened(folder, settings) as store:
        version = await store.read(key("Patient/a"))
        assert version is not None and NAME.encode() in version.body.data
        assert await content(store, blob) == BLOB


async def test_a_plain_store_shows_that_the_search_for_the_name_finds_it(tmp_path: Path) -> None:
    async with opened(tmp_path / "data", Settings(durable=False, reserve_bytes=0)) as store:
        await filled(store)
    assert len(plain_files(tmp_path)) >= 2


async def test_without_a_confirmed_recovery_key_no_encrypted_store_is_made(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", encryption="on", durable=False, reserve_bytes=0)
    folder = tmp_path / "data" / "tenants" / "default"
    with pytest.raises(StorageFault, match="keys init"):
        async with opened(folder, settings):
            pass
    rotation.begin(settings)
    with pytest.raises(StorageFault, match="not confirmed"):
        async with opened(folder, settings):
            pass
    with pytest.raises(WrongKey, match="the folder's is"):
        rotation.confirm(settings, RecoveryKey.new())
    assert not (folder / "record.db").exists()


async def test_a_wrong_master_key_is_refused_by_name(tmp_path: Path) -> None:
    settings, _ = ready(tmp_path / "data")
    folder = tmp_path / "data" / "tenants" / "default"
    async with opened(folder, settings) as store:
        await filled(store, 1)
    (tmp_path / "data.master.key").write_text(os.urandom(32).hex())
    unlocked.forget()
    with pytest.raises(StorageFault, match=r"key \w+ of tenant default was wrapped by file:\w+ and does not open with"):
        async with opened(folder, settings):
            pass
    (tmp_path / "data.master.key").unlink()
    unlocked.forget()
    with pytest.raises(StorageFault, match=r"master key cannot be read.*data\.master\.key"):
        async with opened(folder, settings):
            pass


async def test_setting_and_folder_that_disagree_are_refused(tmp_path: Path) -> None:
    settings, _ = ready(tmp_path / "data")
    folder = tmp_path / "data" / "tenants" / "default"
    off = settings.model_copy(update={"encryption": "off"})
    async with opened(folder, settings):
        pass
    with pytest.raises(StorageFault, match="needs encryption=on"):
        async with opened(folder, off):
            pass
    async with opened(folder.with_name("plain"), off):
        pass
    with pytest.raises(StorageFault, match="keys encrypt"):
        async with opened(folder.with_name("plain"), settings):
            pass


async def test_the_record_of_another_tenant_does_not_open(tmp_path: Path) -> None:
    settings, _ = ready(tmp_path / "data")
    tenants = tmp_path / "data" / "tenants"
    for name in ("one", "two"):
        async with opened(tenants / name, settings) as store:
            await filled(store, 1)
    shutil.copyfile(tenants / "one" / "record.db", tenants / "two" / "record.db")
    with pytest.raises(StorageFault, match=r"record\.db does not open with key"):
        async with opened(tenants / "two", settings):
            pass


@pytest.mark.parametrize("seed", range(6))
async def test_a_flipped_bit_in_the_record_is_an_error_and_never_other_data(
    tmp_path: Path, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    settings, _ = ready(tmp_path / "data")
    folder = tmp_path / "data" / "tenants" / "default"
    async with opened(folder, settings) as store:
        blob = await filled(store)
        names = [f"Patient/{NAME}-{at}" for at in range(30)]
        before = {name: await store.read(key(name)) for name in names}
    record = folder / "record.db"
    sound, dice, met = record.read_bytes(), random.Random(seed), 0
    for _ in range(15):
        place = dice.randrange(len(sound))
        record.write_bytes(sound[:place] + bytes([sound[place] ^ 1 << dice.randrange(8)]) + sound[place + 1 :])
        try:
            async with opened(folder, settings) as store:
                problems = await store.check()
                for name in names:
                    assert await store.read(key(name)) == before[name]
                await content(store, blob)
                met += bool(problems)
        except StorageFault as error:
            assert "damaged" in str(error)
            met += 1
        for left in folder.glob("record.db-*"):
            left.unlink()
    assert met == 15
    assert "damaged" in caplog.text


@pytest.mark.parametrize("mode", ["on", "off"])
async def test_a_flipped_bit_in_the_log_of_a_killed_server_loses_no_commit_silently(tmp_path: Path, mode: str) -> None:
    settings, _ = ready(tmp_path / "data")
    settings = settings.model_copy(update={"encryption": mode, "durable": True, "envelopes": "off"})
    live, dead = (tmp_path / "data" / "tenants" / name for name in ("default", "dead"))
    async with opened(live, settings) as store:
        await filled(store)
        shutil.copytree(live, dead)
    log, dice, met = (dead / "record.db-wal").read_bytes(), random.Random(1), 0
    for number in range(40):
        place = dice.randrange(32) if number < 8 else dice.randrange(32, len(log))
        (dead / "record.db-wal").write_bytes(log[:place] + bytes([log[place] ^ 8]) + log[place + 1 :])
        (dead / "record.db-shm").unlink(missing_ok=True)
        shutil.copytree(dead, tmp_path / "data" / "tenants" / f"t{number}")
        try:
            async with opened(tmp_path / "data" / "tenants" / f"t{number}", settings) as store:
                # only the last commit cannot be told from one that a power cut stopped
                assert await store.last_txid() >= 30
        except StorageFault as error:
            assert "record.db-wal is damaged" in str(error)
            met += 1
    assert met > 35


async def test_a_log_that_a_power_cut_left_in_the_middle_of_a_commit_is_no_damage(tmp_path: Path) -> None:
    settings, _ = ready(tmp_path / "data", envelopes="off")
    live, dead = (tmp_path / "data" / "tenants" / name for name in ("default", "dead"))
    async with opened(live, settings) as store:
        await filled(store)
        shutil.copytree(live, dead)
    log = (dead / "record.db-wal").read_bytes()
    for cut in (len(log) - 1, len(log) - 4121, len(log) - 10_000, 5_000, 33, 10, 0):
        (dead / "record.db-wal").write_bytes(log[:cut])
        (dead / "record.db-shm").unlink(missing_ok=True)
        shutil.copytree(dead, tmp_path / "data" / "tenants" / f"t{cut}")
        if cut > 100_000:
            async with opened(tmp_path / "data" / "tenants" / f"t{cut}", settings) as store:
                assert await store.last_txid() >= 29


async def test_a_flipped_bit_in_a_blob_is_an_error_that_names_it(tmp_path: Path) -> None:
    settings, _ = ready(tmp_path / "data")
    folder = tmp_path / "data" / "tenants" / "default"
    async with opened(folder, settings) as store:
        blob = await filled(store, 1)
        path = folder / "blobs" / blob[:2] / blob
        raw = bytearray(path.read_bytes())
        raw[100_000] ^= 1
        path.write_bytes(raw)
        assert await content(store, blob, 0, 60_000) == BLOB[:60_000]
        with pytest.raises(StorageFault, match=f"chunk 1 of blob {blob} is damaged"):
            await content(store, blob)
        os.truncate(path, 50_000)
        with pytest.raises(StorageFault, match=blob):
            await content(store, blob)
        assert await store.check() == [f"blob {blob} is missing or cut"]


async def test_a_rotation_while_the_store_serves_is_finished_at_the_next_start(tmp_path: Path) -> None:
    settings, _ = ready(tmp_path / "data")
    folder = tmp_path / "data" / "tenants" / "default"
    async with opened(folder, settings) as store:
        blob = await filled(store)
        first = read_keyring(folder)
        assert rotation.rotate(settings) == ["default"]
        newer = await store.blobs.stage(chunks(b"newer"))
        await store.commit([put("Patient/b")], (), [BlobChange(newer.id, attach=True)])
        assert rekey.behind(folder) == 1
        assert Resealing(settings)("default") == 1
        assert rekey.behind(folder) == 0
        assert await content(store, blob) == BLOB
        assert await content(store, newer.id) == b"newer"
    catch_up(settings)
    ring = read_keyring(folder)
    assert ring is not None and first is not None
    assert ring.record == ring.current and list(ring.keys) == [ring.current] and ring.current not in first.keys
    async with opened(folder, settings) as store:
        assert await content(store, blob) == BLOB
        assert await store.read(key(f"Patient/{NAME}-7")) is not None
        assert await store.check() == []
    assert plain_files(tmp_path) == []


async def test_wrapping_anew_with_another_master_key_keeps_the_data_keys(tmp_path: Path) -> None:
    settings, _ = ready(tmp_path / "data")
    folder = tmp_path / "data" / "tenants" / "default"
    async with opened(folder, settings) as store:
        blob = await filled(store, 1)
    before = read_keyring(folder)
    other = f"file:{tmp_path / 'other.key'}"
    rotation.rotate(settings, to=other)
    (tmp_path / "data.master.key").unlink()
    unlocked.forget()
    after = read_keyring(folder)
    assert before is not None and after is not None and list(before.keys) == list(after.keys)
    async with opened(folder, settings.model_copy(update={"encryption_key": other})) as store:
        assert await content(store, blob) == BLOB


async def test_a_backup_and_the_recovery_key_alone_bring_everything_back(tmp_path: Path) -> None:
    settings, recovery = ready(tmp_path / "data")
    folder = tmp_path / "data" / "tenants" / "default"
    async with opened(folder, settings) as store:
        blob = await filled(store)
        with pytest.raises(BackupRefused, match="keys of patients are no part of a backup"):
            await store.backup(tmp_path / "refused", lambda done, of: None)
        await store.backup(tmp_path / "safe" / "tenants" / "default", lambda done, of: None, tmp_path / "keys")
    ring = read_keyring(folder)
    assert ring is not None and read_manifest(tmp_path / "safe/tenants/default").key == ring.record
    for lost in ("data", "data.patient-keys"):
        shutil.rmtree(tmp_path / lost)
    (tmp_path / "data.master.key").unlink()
    unlocked.forget()

    again = settings.model_copy(update={"data_dir": tmp_path / "again"})
    folder = tmp_path / "again" / "tenants" / "default"
    with pytest.raises(EncryptionFault, match="--patient-keys-copy"):
        place_patient_keys(tmp_path / "safe", again, None)
    place_patient_keys(tmp_path / "safe", again, tmp_path / "keys")
    restore(tmp_path / "safe" / "tenants" / "default", folder)
    with pytest.raises(StorageFault, match="master key"):
        async with opened(folder, again):
            pass
    with pytest.raises(WrongKey, match="was wrapped for"):
        rotation.recover(again, RecoveryKey.new())
    assert rotation.recover(again, RecoveryKey.read(recovery.text())) == ["default"]
    async with opened(folder, again) as store:
        assert await content(store, blob) == BLOB
        assert await store.read(key(f"Patient/{NAME}-29")) is not None
        assert await store.check() == []
    async with opened(folder.with_name("new"), again):  # the recovery key counts as confirmed
        pass
    assert plain_files(tmp_path) == []


async def plain_store(data_dir: Path) -> tuple[Settings, Path, str]:
    settings, _ = ready(data_dir)
    folder = data_dir / "tenants" / "default"
    async with opened(folder, settings.model_copy(update={"encryption": "off"})) as store:
        blob = await filled(store)
    return settings, folder, blob


async def test_a_plain_store_is_encrypted_with_all_that_stands_beside_it(tmp_path: Path) -> None:
    settings, folder, blob = await plain_store(tmp_path / "data")
    (folder / "text.db").write_bytes(NAME.encode())
    assert plain_files(tmp_path) != []
    assert encrypt(settings, lambda text: None) == 1
    assert plain_files(tmp_path) == []
    assert encrypt(settings, lambda text: None) == 0
    async with opened(folder, settings) as store:
        assert await content(store, blob) == BLOB
        assert await store.read(key(f"Patient/{NAME}-3")) is not None
        assert await store.check() == []


async def test_an_encryption_stopped_at_any_step_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, folder, blob = await plain_store(tmp_path / "data")
    steps = 0

    class Stopped(Exception):
        pass

    def stopping(function: object, left: list[int]) -> object:
        def run(*arguments: object, **named: object) -> object:
            left[0] -= 1
            if left[0] < 0:
                raise Stopped
            return function(*arguments, **named)  # type: ignore[operator]

        return run

    real = {name: getattr(rekey, name) for name in ("_put", "_remove", "sync", "retire", "_copy")}
    saved = type(read_keyring(tmp_path) or rotation.Keyring("", "", "", "", {})).save
    while True:
        left = [steps]
        for name, function in real.items():
            monkeypatch.setattr(rekey, name, stopping(function, left))
        monkeypatch.setattr(rotation.Keyring, "save", stopping(saved, left))
        with suppress(Stopped):
            done = encrypt(settings, lambda text: None)
            break
        steps += 1
    monkeypatch.undo()
    assert steps >= 8
    assert done in (0, 1)
    catch_up(settings)
    assert plain_files(tmp_path) == []
    async with opened(folder, settings) as store:
        assert await content(store, blob) == BLOB
        assert await store.check() == []


async def test_a_store_whose_encryption_was_stopped_is_not_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, folder, _ = await plain_store(tmp_path / "data")

    def full(*arguments: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(rekey, "_swap", full)
    with pytest.raises(StorageFault):
        encrypt(settings, lambda text: None)
    monkeypatch.undo()
    with pytest.raises(StorageFault, match="was interrupted"):
        async with opened(folder, settings):
            pass
    assert encrypt(settings, lambda text: None) == 1


async def test_a_blob_made_to_look_encrypted_is_encrypted_all_the_same(tmp_path: Path) -> None:
    settings, _ = ready(tmp_path / "data")
    folder = tmp_path / "data" / "tenants" / "default"
    off = settings.model_copy(update={"encryption": "off"})
    async with opened(folder, off) as store:
        ref = await store.blobs.stage(chunks(b"FHIRBLB1" + b"0" * 32 + NAME.encode()))
        await store.commit([put("Patient/a")], (), [BlobChange(ref.id, attach=True)])
    encrypt(settings, lambda text: None)
    assert plain_files(tmp_path) == []
    async with opened(folder, settings) as store:
        assert await content(store, ref.id) == b"FHIRBLB1" + b"0" * 32 + NAME.encode()


async def test_no_key_comes_into_log_or_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    settings, recovery = ready(tmp_path / "data")
    folder = tmp_path / "data" / "tenants" / "default"
    async with opened(folder, settings):
        keys = unlocked(folder, settings)
    assert keys is not None
    (folder / "record.db").write_bytes(os.urandom(8192))
    with pytest.raises(StorageFault) as failure:
        async with opened(folder, settings):
            pass
    secrets = [*keys.keys.values(), keys.key(keys.ring.record, "sqlite record.db"), recovery.data]
    said = caplog.text + repr(failure.value) + repr(keys) + repr(keys.ring) + repr(failure.value.__cause__)
    assert not any(secret.hex() in said or repr(secret) in said for secret in secrets)
    assert isinstance(failure.value.__cause__, apsw.Error | None)

"""A new data key for the record while it is served, by several handles as of several processes."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fhir_server.encryption import rotation
from fhir_server.encryption.keyring import read_keyring
from fhir_server.encryption.unlocked import unlocked
from fhir_server.serving.encryption import Resealing, catch_up
from fhir_server.settings import Settings
from fhir_server.storage.base import StorageFull
from fhir_server.storage.sqlite import rekey, rekey_live
from fhir_server.storage.sqlite.backup import restore
from fhir_server.storage.sqlite.store import SqliteStore, open_store
from tests.conformance.storage.world import Clock, World, change, extract, patient
from tests.unit.encryption.kit import ready
from tests.unit.storage.sqlite.kit import key


@asynccontextmanager
async def handles(settings: Settings, number: int) -> AsyncIterator[list[SqliteStore]]:
    """Several handles on one record."""
    folder = settings.data_dir / "tenants" / "default"
    stores = [await open_store(folder, settings, None, extract) for _ in range(number)]
    try:
        yield stores
    finally:
        for store in stores:
            await store.close()


async def put(store: SqliteStore, id_: str, name: str = "Nowak") -> None:
    narrative = {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{name}</div>'}
    await store.commit([change(patient(id_, name=[{"family": name}], text=narrative))])


def up_to_date(settings: Settings) -> bool:
    ring = read_keyring(settings.data_dir / "tenants" / "default")
    assert ring is not None
    return ring.record == ring.current and len(ring.keys) == 1


async def test_a_rotation_is_finished_while_all_read_and_write(tmp_path: Path) -> None:
    settings, _ = ready(tmp_path / "data", link_life=1)
    async with handles(settings, 3) as stores:
        for number in range(200):
            await put(stores[number % 3], f"p{number}")
        worlds = [World(store, Clock(), settings) for store in stores]
        assert len(await worlds[0].found("Patient?_text=nowak&_count=500")) == 200
        stop = False
        written: list[str] = []

        async def write(store: SqliteStore, name: str) -> None:
            number = 0
            while not stop:
                id_ = f"{name}-{number}"
                await put(store, id_)
                written.append(id_)
                number += 1

        async def read(store: SqliteStore) -> None:
            while not stop:
                for id_ in written[-5:]:  # whoever wrote it: what was answered is seen by everybody
                    assert await store.read(key(f"Patient/{id_}")) is not None
                await asyncio.sleep(0)

        tasks = [asyncio.create_task(write(store, f"w{at}")) for at, store in enumerate(stores)]
        tasks += [asyncio.create_task(read(store)) for store in stores]
        before = set(read_keyring(settings.data_dir / "tenants" / "default").keys)  # type: ignore[union-attr]
        for _ in range(3):
            rotation.rotate(settings)
            done = len(written)
            for _ in range(20):
                await asyncio.to_thread(Resealing(settings), "default")
                if up_to_date(settings):
                    break
            assert up_to_date(settings)
            while len(written) < done + 20:
                await asyncio.sleep(0.01)
        stop = True
        await asyncio.gather(*tasks)
        assert before.isdisjoint(read_keyring(settings.data_dir / "tenants" / "default").keys)  # type: ignore[union-attr]
        for world in worlds:
            assert len(await world.found("Patient?family=nowak&_count=5000")) == 200 + len(written)
            assert len(await world.found("Patient?_text=nowak&_count=5000")) == 200 + len(written)
            assert await world.store.check() == []  # type: ignore[attr-defined]
    unlocked.forget()
    async with handles(settings, 1) as stores:
        assert len(await stores[0].changes(0, 10_000)) == 200 + len(written)


async def test_a_large_record_waits_for_the_next_start(tmp_path: Path) -> None:
    settings, _ = ready(tmp_path / "data", rotate_live=1)
    async with handles(settings, 1) as stores:
        await put(stores[0], "a")
        rotation.rotate(settings)
        Resealing(settings)("default")
        assert not up_to_date(settings)
    catch_up(settings)
    assert up_to_date(settings)


async def test_a_backup_and_a_rotation_do_not_meet(tmp_path: Path) -> None:
    settings, _ = ready(tmp_path / "data", patient_keys_copy=tmp_path / "keys")
    folder = settings.data_dir / "tenants" / "default"
    async with handles(settings, 1) as stores:
        await put(stores[0], "a")
        rotation.rotate(settings)
        with rekey_live.reading_whole(folder):
            assert not rekey_live.rekey_live(folder, settings)
        backup = asyncio.create_task(stores[0].backup(tmp_path / "backup", lambda done, of: None))
        while not backup.done():
            await asyncio.to_thread(rekey_live.rekey_live, folder, settings)
        assert rekey_live.rekey_live(folder, settings) or up_to_date(settings)
    again = settings.model_copy(update={"data_dir": tmp_path / "again", "patient_keys": tmp_path / "keys"})
    restore(tmp_path / "backup", again.data_dir / "tenants" / "default")
    shutil.copyfile(tmp_path / "data.master.key", tmp_path / "again.master.key")
    async with handles(again, 1) as stores:
        assert await stores[0].read(key("Patient/a")) is not None


async def test_a_rotation_stopped_at_any_step_while_it_is_served_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, _ = ready(tmp_path / "data")
    folder = settings.data_dir / "tenants" / "default"

    class Stopped(Exception):
        pass

    steps = 0
    real = {name: getattr(rekey, name) for name in ("_put", "_remove", "sync", "_copy")}
    saved = rotation.Keyring.save
    async with handles(settings, 1) as stores:
        await put(stores[0], "a")
    while True:
        async with handles(settings, 1) as stores:
            await put(stores[0], f"n{steps}")
            if up_to_date(settings):
                rotation.rotate(settings)
            left = [steps]

            def stopping(function: object, left: list[int]) -> object:
                def run(*arguments: object, **named: object) -> object:
                    left[0] -= 1
                    if left[0] < 0:
                        raise Stopped
                    return function(*arguments, **named)  # type: ignore[operator]

                return run

            with monkeypatch.context() as patched:
                for name, function in real.items():
                    patched.setattr(rekey, name, stopping(function, left))
                patched.setattr(rotation.Keyring, "save", stopping(saved, left))
                try:
                    rekey_live.rekey_live(folder, settings)
                    ended = True
                except Stopped:
                    ended = False
        catch_up(settings)  # as the next start does
        async with handles(settings, 1) as stores:
            assert await stores[0].check() == []
            assert len(await stores[0].changes(0, 1_000)) == steps + 2
        if ended:
            break
        steps += 1
    assert steps >= 8


async def test_a_copy_for_which_there_is_no_room_leaves_all_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, _ = ready(tmp_path / "data")
    folder = settings.data_dir / "tenants" / "default"

    def full(*arguments: object) -> None:
        raise OSError(28, "no space left")

    async with handles(settings, 1) as stores:
        await put(stores[0], "a")
        rotation.rotate(settings)
        with monkeypatch.context() as patched:
            patched.setattr(rekey, "sync", full)
            with pytest.raises(StorageFull):
                rekey_live.rekey_live(folder, settings)
        await put(stores[0], "b")
        assert rekey_live.rekey_live(folder, settings)
        await put(stores[0], "c")
        assert up_to_date(settings)
        assert await stores[0].check() == []

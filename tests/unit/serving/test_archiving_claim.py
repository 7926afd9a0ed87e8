"""Whose archive it is: of one record, kept by one process, open to nobody else, and no trap for a stop."""

import asyncio
import json
import os
import stat
import threading
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fhir_server.cli import main
from fhir_server.commands import archive as commands
from fhir_server.serving import archiving, archiving_claim
from fhir_server.serving.archiving import Archiving, need_restored
from fhir_server.serving.archiving_claim import Claim, alive
from fhir_server.serving.archiving_state import read_state
from fhir_server.storage.base import BackupRefused
from fhir_server.storage.sqlite.archive import basing, catalog, kinship, shipping
from fhir_server.storage.sqlite.archive.places import folder
from fhir_server.storage.sqlite.archive.verify import verify
from fhir_server.storage.sqlite.durable import renew
from fhir_server.tenancy import erasures
from tests.unit.serving.test_archiving import archive_of, rounds, write
from tests.unit.storage.sqlite.archive.kit import Place, place


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archiving_claim, "_SETTLED", 0.02)


async def lost(folder: Path) -> Place:
    """An archive whose server ended, and a place with an empty data folder that names it."""
    at = place(folder)
    async with at.opened() as store:
        await write(store, "a")
        await write(store, "b")
        await rounds(archive_of(at))
    assert at.settings.backup_archive is not None
    (at.settings.backup_archive / "erasures.ndjson").write_text('{"salt": "aa"}\n')
    (at.settings.backup_archive / "alive.json").write_text('{"complete_until": 5.0}')
    other = place(folder / "new")
    other.settings = other.settings.model_copy(update={"backup_archive": at.settings.backup_archive})
    return other


async def test_an_empty_data_folder_takes_no_place_beside_the_record_that_was_lost(tmp_path: Path) -> None:
    at = await lost(tmp_path)
    with pytest.raises(BackupRefused, match=r"is empty, and .* holds default: restore it .*`fhir-server backup anew`"):
        await need_restored(at.settings)
    async with at.opened() as store:  # one that began while the archive was away
        await write(store, "new")
        await need_restored(at.settings)
        keeper = archive_of(at)
        state = await rounds(keeper)
        assert "holds another record than this data folder, with commits up to txid 2" in state.failing
        assert state.complete_until == 0 and state == read_state(at.settings)
        assert at.settings.backup_archive is not None
        assert alive(at.archive)["complete_until"] == 5.0, "of the record that was lost"
        with pytest.raises(BackupRefused, match="holds another record"):
            await keeper.base("default")
        with pytest.raises(BackupRefused, match="holds another record"):
            at.base()
    assert len(catalog.lineages(at.kept)) == 1
    async with at.restored("again") as store:
        assert await store.statistics() == {"Patient": 2}


async def test_what_an_archive_holds_is_set_aside_on_request_and_can_be_restored_from_there(tmp_path: Path) -> None:
    at = await lost(tmp_path)
    archive = at.settings.backup_archive
    assert archive is not None
    assert await asyncio.to_thread(commands.anew, at.settings, Namespace(archive=archive)) == 0
    await need_restored(at.settings)
    async with at.opened() as store:
        await write(store, "new")
        assert (await rounds(archive_of(at))).failing == ""
    (aside,) = archive.glob("before-*")
    assert (aside / "erasures.ndjson").read_text() == '{"salt": "aa"}\n' and not (archive / "erasures.ndjson").exists()
    before = place(tmp_path / "elsewhere")
    before.settings = before.settings.model_copy(update={"backup_archive": aside})
    for each, patients in ((before, 2), (at, 1)):
        assert verify(each.kept) == []
        async with each.restored("again") as store:
            assert await store.statistics() == {"Patient": patients}


async def test_a_line_that_was_begun_over_another_before_that_was_refused_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = await lost(tmp_path)
    for module in (shipping, basing):
        monkeypatch.setattr(module, "need_kin", lambda tenant, store: None)
    async with at.opened() as store:
        await write(store, "new")
        await rounds(archive_of(at))
    older, newest = catalog.lineages(at.kept)
    told = kinship.overshadowed(at.kept, newest)
    assert "has commits up to txid 1; an older line" in told and f"{older.name}, has commits up to txid 2" in told
    assert kinship.overshadowed(at.kept, older) == ""


@contextmanager
def dead(path: Path) -> Iterator[None]:
    """Let whoever opens a file wait for ever, as on a mount whose server is gone."""
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    try:
        yield
    finally:  # let go the threads that wait
        for _ in range(20):
            descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
            time.sleep(0.01)
            os.close(descriptor)


async def test_an_archive_that_does_not_answer_holds_no_stop_and_no_erasure_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = place(tmp_path)
    monkeypatch.setattr(archiving, "_PATIENCE", 0.05)
    monkeypatch.setattr(archiving, "_LOOK", 0.05)
    monkeypatch.setattr(erasures, "_PATIENCE", 0.05)
    at.settings = at.settings.model_copy(update={"backup_stop_grace": 1, "backup_every": 0.05})
    assert at.settings.backup_archive is not None
    at.settings.backup_archive.mkdir()
    (at.settings.data_dir / "erasures.ndjson").parent.mkdir()
    (at.settings.data_dir / "erasures.ndjson").write_text('{"salt": "aa"}\n')
    async with at.opened() as store:
        with dead(at.settings.backup_archive / "alive.json"), dead(at.settings.backup_archive / "erasures.ndjson"):
            running = asyncio.create_task(Archiving(at.settings, lambda: ["default"]).run())
            await write(store, "a")
            while (state := read_state(at.settings)) is None or "does not answer" not in state.failing:
                await asyncio.sleep(0.01)
            await erasures.bring(at.settings)
            running.cancel()
            done, _ = await asyncio.wait([running], timeout=30)
            assert done
            waiting = [thread for thread in threading.enumerate() if thread.name == "aside"]
            assert waiting and all(thread.daemon for thread in waiting), "they would hold the process"


@pytest.mark.parametrize("clock", [0.0, -600.0])
async def test_nobody_prunes_an_archive_that_a_server_keeps_whatever_its_clock_says(
    tmp_path: Path, clock: float, capsys: pytest.CaptureFixture[str]
) -> None:
    at = await lost(tmp_path)
    archive = at.settings.backup_archive
    assert archive is not None
    asked = ["backup", "prune", "--archive", str(archive), "--data-dir", str(tmp_path / "no"), "--backup-every", "0.2"]

    async def kept() -> None:
        while True:
            said = {"by": "vm:/data", "at": time.time() + clock, "every": 0.2}
            renew(archive / "alive.json", json.dumps(said).encode(), "it")
            await asyncio.sleep(0.05)

    keeping = asyncio.create_task(kept())
    await asyncio.sleep(0)
    assert await asyncio.to_thread(main, asked) == 1
    assert f"vm:/data keeps {archive}" in capsys.readouterr().err
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    (archive / "alive.json").write_text(json.dumps({"by": "vm:/data", "at": 5, "every": 0.2}))
    assert await asyncio.to_thread(main, asked) == 0
    assert alive(at.archive)["by"] == "", "a server may begin at once"


async def test_nobody_else_can_look_into_an_archive(tmp_path: Path) -> None:
    at = place(tmp_path)
    before = os.umask(0o022)
    try:
        async with at.opened() as store:
            await write(store, "a")
            keeper = archive_of(at)
            await rounds(keeper)
            await write(store, "b")
            await keeper.round()
    finally:
        os.umask(before)
    assert at.settings.backup_archive is not None
    for path in (at.settings.data_dir / "backup.json", *at.settings.backup_archive.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


async def test_a_mount_point_without_its_mount_is_not_taken_for_a_new_archive(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at, away = place(tmp_path), tmp_path / "the disk"
    archive = at.settings.backup_archive
    assert isinstance(archive, Path)
    async with at.opened() as store:
        await write(store, "a")
        keeper = archive_of(at)
        before = await rounds(keeper)
        archive.rename(away)  # while it serves
        archive.mkdir()
        await write(store, "b")
        for each in (keeper, archive_of(at)):  # and by a server that is started then
            state = await rounds(each)
            assert "is empty, and had the archive of this data folder" in state.failing
            assert "`fhir-server backup anew`" in state.failing and state.waiting_bytes > 0
            assert list(archive.iterdir()) == []
        archive.rmdir()
        assert "had the archive of this data folder" in (await archive_of(at).round()).failing
        assert not archive.exists()
        away.rename(archive)
        for each in (keeper, archive_of(at)):
            state = await rounds(each)
            assert (state.failing, state.waiting_bytes) == ("", 0) and state.complete_until > before.complete_until
        assert len(catalog.lineages(at.kept)) == 1 and verify(at.kept) == []
        archive.rename(away)
        archive.mkdir()
        assert await asyncio.to_thread(main, ["backup", "anew", "--archive", str(archive), *of(at)]) == 0
        assert "goes there as a new archive" in capsys.readouterr().err
        assert (await rounds(keeper)).failing == "" and verify(at.kept) == []
        assert await asyncio.to_thread(main, ["backup", "anew", "--archive", str(tmp_path / "no"), *of(at)]) == 1


def of(at: Place) -> list[str]:
    return ["--data-dir", str(at.settings.data_dir)]


async def test_another_folder_that_is_empty_becomes_the_archive_when_the_settings_name_it(tmp_path: Path) -> None:
    at = place(tmp_path)
    async with at.opened() as store:
        await write(store, "a")
        assert (await rounds(archive_of(at))).failing == ""
        at.settings = at.settings.model_copy(update={"backup_archive": tmp_path / "new"})
        assert (await rounds(archive_of(at))).failing == ""
    assert verify(at.kept) == []


async def test_an_archive_of_an_earlier_release_gets_an_id_and_goes_on(tmp_path: Path) -> None:
    at = place(tmp_path)
    async with at.opened() as store:
        await write(store, "a")
        assert (await rounds(archive_of(at))).failing == ""
        (tmp_path / "archive" / "alive.json").unlink()
        (at.settings.data_dir / "archive.json").unlink()
        await write(store, "b")
        assert (await rounds(archive_of(at))).failing == ""
        assert alive(at.archive)["id"] == json.loads((at.settings.data_dir / "archive.json").read_text())["id"]
        (tmp_path / "archive" / "alive.json").write_text("")  # cut short when the power failed
        assert (await rounds(archive_of(at))).failing == ""
    assert len(catalog.lineages(at.kept)) == 1 and verify(at.kept) == []


async def test_a_first_archive_is_not_begun_where_something_should_be_mounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at, table = place(tmp_path), tmp_path / "fstab"
    table.write_text(
        f"# disks\nUUID=1 / ext4 defaults 0 1\nnas:/x {tmp_path}/archive nfs defaults 0 0\nproc /proc proc\n"
    )
    monkeypatch.setattr(folder, "_TABLE", table)
    async with at.opened() as store:
        await write(store, "a")
        assert f"{tmp_path}/archive is not mounted" in (await rounds(archive_of(at))).failing
        assert not (tmp_path / "archive").exists()
        table.write_text("UUID=1 / ext4 defaults 0 1\n")
        assert (await rounds(archive_of(at))).failing == ""


async def test_a_server_whose_clock_is_another_keeps_its_archive(tmp_path: Path) -> None:
    at = await lost(tmp_path)
    theirs = Claim(at.archive, "vm:/data", 0.1)
    theirs.take()

    done = threading.Event()

    def late() -> None:  # a minute behind, at work
        while not done.is_set():
            said, mark = archiving_claim._read(at.archive)
            text = json.dumps({**said, "at": time.time() - 60}).encode()
            at.archive.place.put_if("alive.json", text, mark)
            time.sleep(0.02)

    working = threading.Thread(target=late)
    working.start()
    time.sleep(0.1)
    try:
        with pytest.raises(OSError, match="another server keeps the archive"):
            await asyncio.to_thread(Claim(at.archive, "vm:/other", 0.1).take)
    finally:
        done.set()
        working.join()

"""The owner keeps the archive: what is committed goes there, and whatever happens to it, the server goes on."""

import asyncio
import errno
import json
import time
from pathlib import Path

import pytest

from fhir_server.alerts import Alert, listening
from fhir_server.encryption.faults import EncryptionFault
from fhir_server.serving import archiving, archiving_claim
from fhir_server.serving.archiving import Archiving
from fhir_server.serving.archiving_state import BackupState, read_state
from fhir_server.serving.maintenance import Maintenance
from fhir_server.serving.recovery import instant_of
from fhir_server.settings import Settings
from fhir_server.storage.base import BackupRefused
from fhir_server.storage.sqlite.archive import basing, segments
from fhir_server.storage.sqlite.archive.places.folder import Folder
from fhir_server.storage.sqlite.archive.shipping import Round, Shipper
from fhir_server.storage.sqlite.archive.verify import verify
from fhir_server.storage.sqlite.store import SqliteStore
from tests.unit.storage.sqlite.archive.kit import Place, place
from tests.unit.storage.sqlite.kit import put


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archiving_claim, "_SETTLED", 0.02)


def archive_of(at: Place) -> Archiving:
    return Archiving(at.settings, lambda: ["default"])


async def rounds(keeper: Archiving) -> BackupState:
    """A round, and the base backup that it may find missing."""
    await keeper.round()
    keeper._begin_base()
    if keeper._basing is not None:
        await keeper._basing
    return await keeper.round()


async def write(store: SqliteStore, *names: str) -> None:
    await store.commit([put(f"Patient/{name}") for name in names])


async def test_an_archive_that_cannot_be_written_stops_nobody_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at, alerts = place(tmp_path), list[Alert]()
    keeper = archive_of(at)
    with listening(alerts.append):
        async with at.opened() as store:
            assert (await rounds(keeper)).failing == ""

            def full(folder: Folder, name: str, data: bytes) -> None:
                raise OSError(errno.ENOSPC, "No space left on device", name)

            monkeypatch.setattr(Folder, "put", full)
            await write(store, "a")
            state = await keeper.round()
            assert "No space left" in state.failing and state.waiting_bytes > 0
            assert [alert.kind for alert in alerts] == ["backup-behind"]
            assert state == read_state(at.settings)
            before = state.complete_until
            await write(store, "b")
            assert (await keeper.round()).complete_until == before
            monkeypatch.undo()
            monkeypatch.setattr(archiving_claim, "_SETTLED", 0.02)
            state = await keeper.round()
            assert (state.failing, state.waiting_bytes) == ("", 0) and state.complete_until > before
    async with at.restored("again") as store:
        assert await store.statistics() == {"Patient": 2}


async def test_what_waits_too_long_gives_the_disk_back_and_a_base_heals_the_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = place(tmp_path)
    at.settings = at.settings.model_copy(update={"backup_spool_bytes": 2_000})
    keeper = archive_of(at)
    async with at.opened() as store:
        await rounds(keeper)
        monkeypatch.setattr(segments, "write", _fails)
        for number in range(10):
            await write(store, f"lost-{number}")
        state = await keeper.round()
        assert state.waiting_bytes == 0 and "dropped" in state.failing
        monkeypatch.undo()
        await write(store, "after")
        state = await rounds(keeper)
        assert state.failing == "" and state.complete_until > 0
    async with at.restored("again") as store:
        assert await store.statistics() == {"Patient": 11}
    assert verify(at.kept) == []


def _fails(*arguments: object, **options: object) -> None:
    raise OSError(errno.EIO, "Input/output error")


async def test_a_base_that_was_cut_off_leaves_nothing_that_looks_like_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = place(tmp_path)
    keeper = archive_of(at)
    async with at.opened() as store:
        await write(store, "a")
        await keeper.round()
        monkeypatch.setattr(basing, "facts_of", _fails)
        state = await rounds(keeper)
        assert "Input/output error" in state.failing and state.complete_until == 0
        assert any(verify(at.kept))
        monkeypatch.undo()
        await keeper.base("default")
        assert (await keeper.round()).failing == ""
    assert verify(at.kept) == [] and not (at.tenant / ".new").exists()


async def test_two_servers_do_not_keep_one_archive(tmp_path: Path) -> None:
    one, other = place(tmp_path), place(tmp_path / "other")
    other.settings = other.settings.model_copy(update={"backup_archive": one.settings.backup_archive})
    async with one.opened(), other.opened():
        assert (await rounds(archive_of(one))).failing == ""
        assert "another server keeps the archive" in (await archive_of(other).round()).failing
        assert (await archive_of(one).round()).failing == ""
    assert len(list(one.tenant.glob("2*"))) == 1


async def test_of_two_servers_that_begin_at_the_same_moment_one_keeps_the_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiving_claim, "_SETTLED", 0.5)
    one, other = place(tmp_path), place(tmp_path / "other")
    other.settings = other.settings.model_copy(update={"backup_archive": one.settings.backup_archive})
    async with one.opened() as store, other.opened() as another:
        for each in (store, another):
            await write(each, "a")
        states = await asyncio.gather(archive_of(one).round(), archive_of(other).round())
    assert sorted("another server keeps the archive" in state.failing for state in states) == [False, True]
    assert len(list(one.tenant.glob("2*"))) == 1


async def test_a_server_whose_archive_another_one_took_writes_no_base_backups_into_it(tmp_path: Path) -> None:
    at = place(tmp_path)
    keeper = archive_of(at)
    async with at.opened() as store:
        await write(store, "a")
        assert (await keeper.round()).complete_until == 0  # there is no base backup yet
        alive = at.settings.backup_archive / "alive.json"
        alive.write_text(json.dumps({"by": "vm:/elsewhere", "at": time.time()}))
        with pytest.raises(BackupRefused, match="another server keeps the archive"):
            await keeper.base("default")
        keeper._begin_base()
        assert keeper._basing is None
    assert not list(at.tenant.glob("2*/bases/0*"))


async def test_one_tenant_that_cannot_be_archived_keeps_no_other_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at, ship = place(tmp_path), archiving.Shipper.round
    keeper = Archiving(at.settings, lambda: ["broken", "default"])

    def broken(shipper: Shipper) -> Round:
        if shipper._folder.name == "broken":
            raise EncryptionFault("the key is not there")
        return ship(shipper)

    monkeypatch.setattr(archiving.Shipper, "round", broken)
    async with at.opened() as store:
        await write(store, "a")
        state = await rounds(keeper)
    assert state.failing == "broken: the key is not there" and state.complete_until == 0
    async with at.restored("again") as store:
        assert await store.statistics() == {"Patient": 1}


async def test_a_base_backup_that_fails_in_whatever_way_is_not_tried_again_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = place(tmp_path)
    keeper = archive_of(at)

    def fails(*arguments: object) -> None:
        raise ValueError("with something of a patient")

    monkeypatch.setattr(archiving, "make_base", fails)
    async with at.opened():
        assert (await rounds(keeper)).failing == "base of default: ValueError"
        before = keeper._basing
        keeper._begin_base()
        assert keeper._basing is before


async def test_an_empty_server_on_an_old_archive_leaves_the_register_of_who_was_erased_alone(tmp_path: Path) -> None:
    at = place(tmp_path)
    assert at.settings.backup_archive is not None
    async with at.opened():
        (at.settings.data_dir / "erasures.ndjson").write_text('{"salt": "aa"}\n{"subject": "s", "time": 1}\n')
        assert (await rounds(archive_of(at))).failing == ""
        (at.settings.data_dir / "erasures.ndjson").write_text('{"salt": "bb"}\n')
        assert "is of another data folder" in (await archive_of(at).round()).failing
    kept = (at.settings.backup_archive / "erasures.ndjson").read_text()
    assert kept == '{"salt": "aa"}\n{"subject": "s", "time": 1}\n'


async def test_a_new_base_is_made_on_the_clock_and_after_much_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = place(tmp_path)
    at.clock.now = int(time.time() * 1000)  # what is older than the days to keep is pruned
    keeper = archive_of(at)
    async with at.opened() as store:
        await rounds(keeper)
        await write(store, "a")
        await rounds(keeper)
        assert len(list(at.tenant.glob("2*/bases/0*"))) == 1
        keeper._bases["default"] -= 25 * 3600
        await rounds(keeper)
        assert len(list(at.tenant.glob("2*/bases/0*"))) == 2
        keeper._bases["default"] -= 25 * 3600
        await rounds(keeper)
        assert len(list(at.tenant.glob("2*/bases/0*"))) == 2, "nothing was written since"
        for name in ("_RESTS", "_MUCH"):
            monkeypatch.setattr(archiving, name, 0)
        await write(store, *(f"p{number}" for number in range(3_000)))
        await rounds(keeper)
        assert len(list(at.tenant.glob("2*/bases/0*"))) == 3


async def test_the_owner_brings_the_last_of_it_to_the_archive_when_it_ends(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path / "data", backup_archive=tmp_path / "archive", durable=False, reserve_bytes=0, backup_every=60
    )
    async with Maintenance.opened(settings) as maintenance:
        running = asyncio.create_task(maintenance.archive())
        while read_state(settings) is None:
            await asyncio.sleep(0.01)
        async with maintenance.lend("default") as store:
            await write(store, "late")  # type: ignore[arg-type]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    at = place(tmp_path)
    at.settings = settings
    async with at.restored("again") as store:
        assert await store.statistics() == {"Patient": 1}
    assert json.loads((tmp_path / "archive" / "alive.json").read_text())["failing"] == ""


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("2026-11-22T17:05:00Z", 1795367100000), ("2026-11-22T18:05:00.250+01:00", 1795367100250),
     ("2026-11-22T17:05", 1795367100000)],
)  # fmt: skip
def test_instants_are_read_with_their_zone_and_as_utc_without(text: str, milliseconds: int) -> None:
    assert instant_of(text) == milliseconds


@pytest.mark.parametrize("text", ["yesterday", "2026-11-22", "17:05"])
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no instant"):
        instant_of(text)

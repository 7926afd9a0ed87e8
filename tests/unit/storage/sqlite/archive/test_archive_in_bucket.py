"""An archive in a bucket: what a folder does, by the same code, and what only a bucket does."""

import asyncio
import time
from argparse import Namespace
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fhir_server.commands import archive as commands
from fhir_server.serving import archiving_claim
from fhir_server.serving.archiving import Archiving, need_restored
from fhir_server.serving.archiving_claim import Claim, alive, complete_until
from fhir_server.serving.archiving_state import BackupState, read_state
from fhir_server.settings import Settings
from fhir_server.storage.base import BackupRefused, BlobChange
from fhir_server.storage.sqlite.archive import catalog
from fhir_server.storage.sqlite.archive.catalog import Until
from fhir_server.storage.sqlite.archive.places.opening import open_archive
from fhir_server.storage.sqlite.archive.places.refusals import told
from fhir_server.storage.sqlite.archive.pruning import prune
from fhir_server.storage.sqlite.archive.verify import verify
from fhir_server.storage.sqlite.store import SqliteStore
from fhir_server.tenancy import erasures
from tests.conformance.storage.world import change, patient
from tests.faults.proxy import Proxy
from tests.servers.s3 import Store
from tests.unit.storage.sqlite.archive.conftest import in_bucket
from tests.unit.storage.sqlite.archive.kit import place


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archiving_claim, "_SETTLED", 0.02)


async def chunks(text: bytes) -> AsyncIterator[bytes]:
    yield text


async def attach(store: SqliteStore, data: bytes) -> str:
    ref = await store.blobs.stage(chunks(data))
    await store.commit([], (), [BlobChange(ref.id, attach=True)])
    return ref.id


async def rounds(keeper: Archiving) -> BackupState:
    await keeper.round()
    keeper._begin_base()
    if keeper._basing is not None:
        await keeper._basing
    return await keeper.round()


async def test_all_comes_back_from_a_bucket_as_of_an_instant(s3: Store, tmp_path: Path) -> None:
    at = place(tmp_path, in_bucket(s3, backup_s3_part_bytes=5_242_880, backup_every=0.2))
    at.clock.now = int(time.time() * 1000)  # what is older than the days to keep is pruned
    (at.settings.data_dir).mkdir()
    (at.settings.data_dir / "erasures.ndjson").write_text('{"salt": "aa"}\n')
    keeper = Archiving(at.settings, lambda: ["default"])
    async with at.opened() as store:
        await store.commit([change(patient("a"))])
        large = await attach(store, bytes(range(256)) * 21_000)  # in parts
        assert (await rounds(keeper)).failing == ""
        at.clock.now += 1000
        small = await attach(store, b"small")
        between = at.clock.now
        await keeper.round()
        at.clock.now += 1000
        await store.commit([change(patient("b"))])
        state = await keeper.round()
        assert state.failing == "" and state.complete_until > time.time() - 60
        assert (await keeper.base("default")).facts.txid == 4
        await keeper.base("default")  # of the same state
    assert verify(at.kept) == [] and len(catalog.bases(catalog.lineages(at.kept)[0])) == 2
    assert (at.archive / "erasures.ndjson").get() == b'{"salt": "aa"}\n'
    assert complete_until(at.archive) > 0
    for name, until, patients in (("between", Until(time=between), 1), ("newest", Until(), 2)):
        async with at.restored(name, until) as store:
            assert await store.statistics() == {"Patient": patients}
            assert b"".join([chunk async for chunk in await store.blobs.open(small)]) == b"small"
            assert len(b"".join([chunk async for chunk in await store.blobs.open(large)])) == 256 * 21_000
    bucket = str(at.settings.backup_archive).split("/")[2]
    (segment, *_) = [key for key in s3.keys(bucket) if key.endswith(".seg")]
    s3.client.put_object(Bucket=bucket, Key=segment, Body=b"something else")
    assert any(segment in problem for problem in verify(at.kept))
    assert not list(at.live.glob("spool/base-draft"))


async def test_an_empty_data_folder_is_not_served_over_a_bucket_that_has_what_it_lacks(
    s3: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = place(tmp_path, in_bucket(s3))
    async with at.opened() as store:
        await store.commit([change(patient("a"))])
        keeper = Archiving(at.settings, lambda: ["default"])
        assert (await rounds(keeper)).failing == ""
        keeper._claim.release()
    other = place(tmp_path / "new", at.settings)
    other.settings = at.settings.model_copy(update={"data_dir": tmp_path / "new" / "data"})
    with pytest.raises(BackupRefused, match=r"is empty, and s3://.* holds default"):
        await need_restored(other.settings)
    held = Claim(at.archive, "vm:/data", 60)
    held.take()
    assert alive(at.archive)["by"] == "vm:/data"
    with pytest.raises(commands.CommandFailed, match=r"vm:/data keeps s3://"):
        await asyncio.to_thread(commands.anew, other.settings, Namespace(archive=None))
    held.release()
    assert await asyncio.to_thread(commands.anew, other.settings, Namespace(archive=None)) == 0
    await need_restored(other.settings)
    (aside,) = [name for name in at.archive.folders() if name.startswith("before-")]
    assert verify(at.archive / aside / "tenants" / "default") == []
    assert f"{at.archive}/{aside}" in capsys.readouterr().err


async def test_what_is_locked_is_renewed_while_it_is_needed_and_let_go_of_later(s3: Store, tmp_path: Path) -> None:
    values = {"backup_s3_lock": "governance", "backup_s3_lock_days": 4, "backup_s3_encryption": "AES256"}
    at = place(tmp_path, in_bucket(s3, locked=True, **values))
    bucket, prefix = str(at.settings.backup_archive).split("/", 3)[2:]

    def until(key: str) -> float:
        head = s3.client.head_object(Bucket=bucket, Key=key)
        assert (head["ObjectLockMode"], head["ServerSideEncryption"]) == ("GOVERNANCE", "AES256")
        return float((head["ObjectLockRetainUntilDate"].timestamp() - time.time()) / 86_400)

    async with at.opened() as store:
        await store.commit([change(patient("a"))])
        blob = await attach(store, b"scan")
        shipper = at.shipper()
        shipper.round()
        at.base()
        key = f"{prefix}/tenants/default/blobs/{blob[:2]}/{blob}"
        assert 4.9 < until(key) <= 5.1, "what bases share is locked longer"
        (segment,) = [each for each in s3.keys(bucket) if each.endswith(".seg")]
        assert 3.9 < until(segment) <= 4.1
        retention = {"Mode": "GOVERNANCE", "RetainUntilDate": datetime.now(UTC) + timedelta(days=1)}
        s3.client.put_object_retention(Bucket=bucket, Key=key, Retention=retention, BypassGovernanceRetention=True)
        at.clock.now += 1000
        await store.commit([change(patient("b"))])
        shipper.round()
        at.base()
        assert 4.9 < until(key) <= 5.1, "a new base needs it as long"
        version = s3.client.head_object(Bucket=bucket, Key=segment)["VersionId"]
        with pytest.raises(Exception, match="AccessDenied"):
            s3.client.delete_object(Bucket=bucket, Key=segment, VersionId=version)
    pruned = prune(at.kept, at.clock.now + 10)
    assert pruned.bases == 1 and pruned.segments >= 1
    assert verify(at.kept) == []
    assert s3.client.get_object(Bucket=bucket, Key=segment, VersionId=version)["ContentLength"] > 0
    assert "NO rule of the bucket removes it" in at.archive.place.afterlife()
    rule = {"ID": "past", "Status": "Enabled", "Filter": {}, "NoncurrentVersionExpiration": {"NoncurrentDays": 3}}
    s3.client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})
    assert "goes 3 days later by a rule" in at.archive.place.afterlife()
    async with at.restored("again") as store:
        assert await store.statistics() == {"Patient": 2}


async def test_a_bucket_that_is_away_slow_or_refuses_stops_nobody_and_loses_nothing(s3: Store, tmp_path: Path) -> None:
    with Proxy(s3.port) as proxy:
        endpoint = f"http://127.0.0.1:{proxy.port}"
        at = place(tmp_path, in_bucket(s3, backup_s3_timeout=1, backup_s3_attempts=1, backup_every=0.2))
        at.settings = at.settings.model_copy(update={"backup_s3_endpoint": endpoint})
        keeper = Archiving(at.settings, lambda: ["default"])
        async with at.opened() as store:
            await store.commit([change(patient("a"))])
            before = await rounds(keeper)
            assert before.failing == "" and before.complete_until > 0
            for number, weather in enumerate(("refuse", "silent", "cut")):
                if weather == "refuse":
                    proxy.refuse()
                    proxy.cut()
                elif weather == "silent":
                    proxy.weather.silent = "down"  # what was asked arrives, the answers do not
                else:
                    proxy.weather.rate = 400
                    cutting = asyncio.get_running_loop().call_later(0.3, proxy.cut)
                await store.commit([change(patient(f"p{number}"))])
                state = await keeper.round()
                assert "s3://" in state.failing and state.complete_until == before.complete_until, weather
                assert state.waiting_bytes > 0 and state == read_state(at.settings)
                if weather == "cut":
                    cutting.cancel()
                proxy.heal()
                state = await rounds(keeper)
                assert (state.failing, state.waiting_bytes) == ("", 0), weather
                assert state.complete_until > before.complete_until
                before = state
    at.settings = at.settings.model_copy(update={"backup_s3_endpoint": s3.url})
    assert verify(at.kept) == []
    async with at.restored("again") as store:
        assert await store.statistics() == {"Patient": 4}


async def test_a_server_starts_without_its_bucket_and_says_so(s3: Store, tmp_path: Path) -> None:
    at = place(tmp_path, in_bucket(s3, backup_s3_attempts=1, backup_every=0.2))
    bucket = str(at.settings.backup_archive).split("/")[2]
    s3.client.delete_bucket(Bucket=bucket)
    nowhere = at.settings.model_copy(update={"backup_s3_endpoint": "http://127.0.0.1:9"})
    for settings, said in ((nowhere, "Could not connect"), (at.settings, "there is no such bucket (NoSuchBucket)")):
        at.settings = settings
        await need_restored(settings)
        async with at.opened() as store:
            await store.commit([change(patient("a"))])
            state = await Archiving(settings, lambda: ["default"]).round()
        assert said in state.failing and state.complete_until == 0 and state.waiting_bytes > 0
    s3.client.create_bucket(Bucket=bucket)
    async with at.opened():
        assert (await rounds(Archiving(at.settings, lambda: ["default"]))).failing == ""
    assert verify(at.kept) == []


async def test_a_base_that_was_cut_off_in_the_middle_is_none_and_leaves_no_parts(s3: Store, tmp_path: Path) -> None:
    at = place(tmp_path, in_bucket(s3, backup_s3_part_bytes=5_242_880))
    bucket = str(at.settings.backup_archive).split("/")[2]
    async with at.opened() as store:
        await store.commit([change(patient("a"))])
        at.shipper().round()
        lineage = catalog.lineages(at.kept)[0]
        key = f"{(lineage / 'bases/000000000001').at}/record.db"
        started = s3.client.create_multipart_upload(Bucket=bucket, Key=f"site/1/{key}")
        s3.client.put_object(Bucket=bucket, Key=f"site/1/{key}", Body=b"half")
        assert catalog.bases(lineage) == [] and any("no complete base" in each for each in verify(at.kept))
        assert started["UploadId"] and len(s3.client.list_multipart_uploads(Bucket=bucket)["Uploads"]) == 1
        at.base()
    assert "Uploads" not in s3.client.list_multipart_uploads(Bucket=bucket)
    assert verify(at.kept) == []


def test_a_disk_without_room_for_a_draft_is_told_before_it_is_full(s3: Store, tmp_path: Path) -> None:
    at = place(tmp_path, in_bucket(s3))
    with pytest.raises(OSError, match=r"a base backup needs .* bytes before it goes to the bucket"):
        at.archive.place.draft("tenants/x", tmp_path, 1 << 60).__enter__()


def refused(code: str, status: int) -> Exception:
    from botocore.exceptions import ClientError

    answer: Any = {"Error": {"Code": code, "Message": "what S3 says"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return told(ClientError(answer, "PutObject"), "s3://b/x")


@pytest.mark.parametrize(
    ("code", "status", "kind", "said"),
    [
        ("AccessDenied", 403, PermissionError, "not allowed to the credentials"),
        ("RequestTimeTooSkewed", 403, PermissionError, "clock of this machine differs"),
        ("SlowDown", 503, OSError, "asked more than it answers"),
        ("NoSuchKey", 404, FileNotFoundError, "is not there"),
        ("NoSuchBucket", 404, OSError, "no such bucket"),
        ("NotImplemented", 501, NotImplementedError, "what S3 says"),
        ("InternalError", 500, OSError, "what S3 says"),
    ],
)
def test_refusals_are_told_in_words(code: str, status: int, kind: type[Exception], said: str) -> None:
    error = refused(code, status)
    assert isinstance(error, kind) and said in str(error)


def test_a_store_without_conditional_writes_is_told_of_and_two_are_still_told_apart(
    s3: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = in_bucket(s3, "", backup_s3_timeout=7)
    archive = open_archive(str(settings.backup_archive), settings)
    put = archive.place._put  # type: ignore[attr-defined]

    def plain(name: str, data: bytes, more: dict[str, Any]) -> str:
        if more:
            raise NotImplementedError("no conditions here")
        return str(put(name, data, more))

    monkeypatch.setattr(archive.place, "_put", plain)
    one, other = Claim(archive, "one", 0.5), Claim(archive, "other", 0.5)
    one.take()
    assert "knows no conditional writes" in caplog.text
    with pytest.raises(OSError, match=r"another server keeps the archive s3://.*: one"):
        other.take()
    one.tell({"complete_until": 5.0})
    assert complete_until(archive) == 5.0


async def test_an_erasure_is_in_the_bucket_at_once(s3: Store, tmp_path: Path) -> None:
    settings = in_bucket(s3).model_copy(update={"data_dir": tmp_path})
    register = erasures.place_of(settings)
    subject = erasures.open_register(register).subject("default", "1")
    for _ in range(2):
        erasures.note(register, {"subject": subject, "time": 1, "counts": {}})
        await erasures.bring(settings)
        assert (open_archive(str(settings.backup_archive), settings) / register.name).get() == register.read_bytes()


@pytest.mark.parametrize("url", ["s3://", "s3://UPPER/x", "s3:/bucket", "s3://b", "s3://bucket/a b"])
def test_what_is_no_bucket_is_refused_and_no_folder_of_that_name_is_made(url: str) -> None:
    with pytest.raises(ValueError, match="is no bucket such as"):
        Settings(backup_archive=url)


def test_a_bucket_survives_the_way_to_another_process() -> None:
    settings = Settings(backup_archive="s3://bucket/a/b")
    assert Settings.model_validate_json(settings.model_dump_json()).backup_archive == "s3://bucket/a/b"

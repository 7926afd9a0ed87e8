"""The archive in S3: written once, locked, enough to verify the log by."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import msgspec
import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]
from fhir_audit.settings import AuditSettings
from fhir_audit.sinks.s3 import S3Archive
from moto import mock_aws

from fhir_server.audit.keeper import Keeper
from fhir_server.audit.ledger import head_of
from fhir_server.audit.verify import verify
from fhir_server.settings import Settings
from fhir_server.storage.sqlite.store import SqliteStore, open_store
from tests.plugins.fhir_audit.test_sinks import row


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of S3 as moto has it."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        yield boto3.client("s3")


@pytest.fixture
def bucket(cloud: Any) -> Any:
    """The same, with a bucket that has Object Lock."""
    cloud.create_bucket(Bucket="worm", ObjectLockEnabledForBucket=True)
    return cloud


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    made = await open_store(tmp_path / "store", Settings(data_dir=tmp_path, durable=False))
    yield made
    await made.close()


def archive(**settings: Any) -> S3Archive:
    return S3Archive(AuditSettings(s3="s3://worm/audit/", **settings))


def objects(bucket: Any) -> dict[str, bytes]:
    found = bucket.list_objects_v2(Bucket="worm").get("Contents", [])
    return {each["Key"]: bucket.get_object(Bucket="worm", Key=each["Key"])["Body"].read() for each in found}


async def test_rows_and_heads_are_archived_and_verify_the_log(bucket: Any, store: SqliteStore) -> None:
    keeper = Keeper([archive()], lambda: 9)
    for start in (0, 5):
        await store.audit.append([row(start + number) for number in range(5)])
        await keeper.look("t", store)
        await keeper.look("t", store)
        await keeper.sign("t", store)
    found = objects(bucket)
    lines = [line for key in sorted(found) if key.endswith(".jsonl") for line in found[key].splitlines()]
    assert [msgspec.json.decode(line)["seq"] for line in lines] == list(range(1, 11))
    heads = [head_of(msgspec.json.decode(found[key])) for key in sorted(found) if key.endswith(".head.json")]
    assert [head.size for head in heads] == [5, 10]
    assert all(key.startswith("audit/t/") for key in found)
    assert (await verify(store, heads)).problems == []


async def test_what_is_archived_is_locked_for_as_long_as_is_set(bucket: Any, store: SqliteStore) -> None:
    await store.audit.append([row(1)])
    await Keeper([archive(s3_lock_days=365)], lambda: 9).look("t", store)
    (key,) = objects(bucket)
    head = bucket.head_object(Bucket="worm", Key=key)
    assert head["ObjectLockMode"] == "COMPLIANCE"
    assert head["ObjectLockRetainUntilDate"] - datetime.now(UTC) > timedelta(days=364)
    version = bucket.list_object_versions(Bucket="worm")["Versions"][0]["VersionId"]
    with pytest.raises(ClientError, match="AccessDenied"):
        bucket.delete_object(Bucket="worm", Key=key, VersionId=version)


async def test_an_object_is_never_written_again(bucket: Any, store: SqliteStore) -> None:
    await store.audit.append([row(1)])
    entries = await store.audit.span(1, 1)
    sink = archive()
    sink.send("t", entries)
    before = objects(bucket)
    sink.send("t", [msgspec.structs.replace(entries[0], time=77)])
    assert objects(bucket) == before
    assert len(bucket.list_object_versions(Bucket="worm")["Versions"]) == 1


async def test_a_bucket_that_is_not_there_is_tried_again_and_holds_the_rows(cloud: Any, store: SqliteStore) -> None:
    await store.audit.append([row(1)])
    keeper = Keeper([archive()], lambda: 9)
    with pytest.raises(OSError, match="NoSuchBucket"):
        await keeper.look("t", store)
    cloud.create_bucket(Bucket="worm", ObjectLockEnabledForBucket=True)
    await keeper.look("t", store)
    assert len(objects(cloud)) == 1


async def test_a_server_that_is_not_there_is_an_error_of_the_sink(
    monkeypatch: pytest.MonkeyPatch, store: SqliteStore
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    await store.audit.append([row(1)])
    sink = archive(s3_endpoint="http://127.0.0.1:9", s3_region="us-east-1")
    with pytest.raises(OSError, match="s3://worm"):
        sink.send("t", await store.audit.span(1, 1))

"""What becomes of objects with time."""

from collections.abc import AsyncIterator, Iterator
from io import BytesIO
from typing import Any

import boto3
import pytest
from moto import mock_aws
from pydicom import dcmread

from dicomweb.index.collections import HEADERS, INSTANCES, SCRUBBED, STUDIES
from dicomweb.lifecycle.orphans import sweep
from dicomweb.lifecycle.rules import grow_old
from dicomweb.lifecycle.scrubbing import scrub
from fhir_server.plugin_api import BlobChange, PluginContext, RecordChange
from fhir_server.testing.server import serving
from tests.plugins.dicomweb.dimse.objects import ct
from tests.plugins.dicomweb.web.conftest import Web, multipart, part10, slices
from tests.plugins.only import but

DAY = 86_400
HTJ2K = "1.2.840.10008.1.2.4.201"


def worked(web: Web, work: Any) -> Any:
    """Run work under the plugin's own context."""

    async def run() -> Any:
        return await work(await web.server.app.assembly.hosts["dicomweb"].context("default"))

    return web.server.call(run)


@pytest.fixture
def aging(request: pytest.FixtureRequest) -> Iterator[Web]:
    with serving(plugins_disabled=but("dicomweb"), plugins={"dicomweb": request.param}) as server:
        yield Web(server)


@pytest.mark.parametrize("aging", [{"delete_days": 10, "retention_days": 20}], indirect=True)
def test_old_studies_are_deleted_when_they_need_not_be_kept(aging: Web) -> None:
    aging.store(*slices("1.3.1"))
    assert aging.client.delete("/dicomweb/studies/1.3.1").status_code == 409
    for days, left in ((11, 1), (10, 0)):
        aging.server.clock.go_on(days * DAY)
        worked(aging, grow_old)
        assert len(aging.found("/studies?StudyInstanceUID=1.3.1")) == left


@pytest.mark.parametrize("aging", [{"recompress_days": 5}], indirect=True)
def test_old_images_are_recompressed_without_loss(aging: Web) -> None:
    frames = ct(study="1.3.2", series="2", NumberOfFrames=2, PixelData=bytes(range(256)) * 4)
    objects = [*slices("1.3.2", 2), part10(frames)]
    aging.store(*objects)
    aging.server.clock.go_on(6 * DAY)
    worked(aging, grow_old)
    one = "/studies/1.3.2/series/1.3.2.1/instances/1.3.2.1.1"
    answer = aging.get(f"{one}/frames/1", 'multipart/related; type="*/*"')
    assert "image/jphc" in answer.headers["content-type"]
    plain = aging.get(one, "application/dicom; transfer-syntax=1.2.840.10008.1.2.1").content
    assert dcmread(BytesIO(plain)).PixelData == ct(study="1.3.2").PixelData
    second = aging.get("/studies/1.3.2/series/1.3.2.2/instances/1.3.2.2.1/frames/2", "application/octet-stream")
    assert second.content == (bytes(range(256)) * 4)[512:]
    assert aging.store(*objects).status_code == 200, "the same again is still the same"


@pytest.mark.parametrize("aging", [{"tier_days": 5, "tier_bucket": "old"}], indirect=True)
def test_old_objects_move_to_a_bucket_and_are_read_from_there(aging: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        bucket = boto3.client("s3")
        bucket.create_bucket(Bucket="old")
        large = part10(ct(study="1.3.3", side=1024))
        aging.store(large)
        aging.server.clock.go_on(6 * DAY)
        worked(aging, grow_old)
        (there,) = bucket.list_objects_v2(Bucket="old")["Contents"]
        body = bucket.get_object(Bucket="old", Key=there["Key"])["Body"].read()
        assert len(body) > len(large)
        assert b"Lovelace" not in body
        one = "/studies/1.3.3/series/1.3.3.1/instances/1.3.3.1.1"
        assert aging.get(one, "application/dicom").content == large
        part = aging.get(one, "application/dicom", range="bytes=1048570-1048590")
        assert part.content == large[1_048_570:1_048_591]
        assert worked(aging, _scrubbed) == 1
        aging.client.delete("/dicomweb/studies/1.3.3")
        worked(aging, grow_old)
        assert "Contents" not in bucket.list_objects_v2(Bucket="old")


async def _scrubbed(ctx: PluginContext) -> int:
    return await scrub(ctx, 0, float("inf"))


def test_a_damaged_object_is_found(web: Web) -> None:
    web.store(*slices("1.3.4", 2))

    async def damage(ctx: PluginContext) -> None:
        async def other() -> AsyncIterator[bytes]:
            yield b"something else"

        key = "1.3.4/1.3.4.1/1.3.4.1.1"
        record = await ctx.store.get(INSTANCES.name, key)
        assert record is not None
        ref = await ctx.store.stage(other())
        await ctx.store.keep(
            BlobChange(ref.id, attach=True),
            records=[RecordChange(INSTANCES.name, key, {**record.value, "blob": ref.id})],
        )
        await scrub(ctx, 0, float("inf"))
        found = await ctx.store.find(SCRUBBED.name, limit=1_000)
        assert [each.key for each in found if each.key != "cursor"] == [key]

    worked(web, damage)


@pytest.mark.parametrize("aging", [{"quota": 3_000}], indirect=True)
def test_a_full_quota_is_told(aging: Web) -> None:
    assert aging.store(*slices("1.3.5", 2)).status_code == 200
    aging.server.clock.go_on(100)
    answer = aging.client.post(
        "/dicomweb/studies", content=multipart(*slices("1.3.6", 2)),
        headers={"content-type": 'multipart/related; type="application/dicom"; boundary=b'},
    )  # fmt: skip
    assert answer.status_code == 507
    assert "quota" in answer.headers["warning"]


def test_what_is_left_of_a_study_that_was_erased_goes(web: Web) -> None:
    web.store(*slices("1.3.7", 2), *slices("1.3.8"))

    async def erased(ctx: PluginContext) -> tuple[int, list[str]]:
        await ctx.store.put(RecordChange(STUDIES.name, "1.3.7", None))
        count = await sweep(ctx)
        left = await ctx.store.find(HEADERS.name, limit=1_000)
        return count, [each.key for each in left if each.key.startswith(("1.3.7/", "1.3.8/"))]

    assert worked(web, erased) == (2, ["1.3.8/1.3.8.1/1.3.8.1.1"])
    assert web.get("/studies/1.3.7/metadata").status_code == 404

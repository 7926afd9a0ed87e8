"""A restore from an archive is exactly what was committed up to an instant: resources, records, audit, blobs, index."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fhir_server.search.entries import IndexEntries
from fhir_server.search.query import Search, Token
from fhir_server.storage.base import BackupRefused, BlobChange, Collection, RecordChange
from fhir_server.storage.sqlite.archive.basing import make_base
from fhir_server.storage.sqlite.archive.catalog import NEWEST, Until
from fhir_server.storage.sqlite.archive.replay import Restored, restore_to
from fhir_server.storage.sqlite.archive.shipping import Shipper
from tests.unit.storage.sqlite.kit import FAST, Clock, key, opened, put


async def chunks(text: bytes) -> AsyncIterator[bytes]:
    yield text


def test_placeholder() -> None:
    assert NEWEST == Until()


async def test_everything_up_to_an_instant_comes_back_and_nothing_from_after_it(tmp_path: Path) -> None:
    settings = FAST.model_copy(update={"backup_archive": tmp_path / "archive", "data_dir": tmp_path / "data"})
    live, tenant = tmp_path / "data" / "tenants" / "default", tmp_path / "archive" / "tenants" / "default"
    clock = Clock()
    shipper = Shipper(live, tenant, settings)
    async with opened(live, settings, clock=clock) as store:
        await store.declare(Collection("ledger"))
        await store.commit([put("Patient/a", "1")])
        assert shipper.round().needs_base
        make_base(live, tenant, settings, lambda done, of: None)
        clock.now += 1000
        ref = await store.blobs.stage(chunks(b"scan"))
        await store.commit([put("Patient/a", "2")], [RecordChange("ledger", "x", {"v": 1})], [BlobChange(ref.id, True)])
        middle = clock.now
        shipped = shipper.round()
        assert (shipped.needs_base, shipped.waiting) == ("", 0)
        clock.now += 1000
        await store.commit([put("Patient/a", "3"), put("Patient/b", "1")], [RecordChange("ledger", "x", {"v": 2})])
        shipper.round()
    restored = restore_to(tenant, tmp_path / "r1" / "default", settings, Until(time=middle))
    assert restored.txid == 2
    off = FAST
    async with opened(tmp_path / "r1" / "default", off, extract=lambda t, b: IndexEntries()) as store:
        version = await store.read(key("Patient/a"))
        assert version is not None and version.version == 2
        assert await store.read(key("Patient/b")) is None
        record = await store.records.get("ledger", "x")
        assert record is not None and record.value == {"v": 1}
        assert b"".join([c async for c in await store.blobs.open(ref.id)]) == b"scan"
        assert await store.check() == []
    restored = restore_to(tenant, tmp_path / "r2" / "default", settings)
    assert restored.txid == 3
    async with opened(tmp_path / "r2" / "default", off, extract=lambda t, b: IndexEntries()) as store:
        assert await store.statistics() == {"Patient": 2}
        assert await store.check() == []

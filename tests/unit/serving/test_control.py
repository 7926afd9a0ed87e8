"""The door of the commands."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.serving import maintenance as maintenance_module
from fhir_server.serving.control import control_app
from fhir_server.serving.maintenance import Maintenance
from fhir_server.settings import Settings
from fhir_server.storage.sqlite.provider import SqliteProvider
from fhir_server.storage.sqlite.store import milliseconds
from tests.unit.storage.sqlite.kit import put


async def _asked(folder: Path, method: str, path: str, **options: Any) -> httpx.Response:
    settings = Settings(data_dir=folder, durable=False, reserve_bytes=0)
    async with Maintenance.opened(settings) as maintenance:
        transport = httpx.ASGITransport(app=control_app(maintenance))
        async with httpx.AsyncClient(transport=transport, base_url="http://local") as client:
            return await client.request(method, path, **options)


async def test_status_of_an_empty_store(tmp_path: Path) -> None:
    answer = await _asked(tmp_path / "data", "GET", "/status")
    assert answer.json() == {"tenants": ["default"], "txid": 0, "resources": {}}


async def test_a_backup_tells_its_progress_and_its_end(tmp_path: Path) -> None:
    answer = await _asked(tmp_path / "data", "POST", "/backup", json={"target": str(tmp_path / "copy")})
    *progress, last = [json.loads(line) for line in answer.text.splitlines()]
    assert progress and all(line["done"] <= line["of"] for line in progress)
    assert "default" in last["result"]
    assert (tmp_path / "copy/tenants/default/manifest.json").exists()


async def test_a_backup_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    (tmp_path / "copy/tenants/default").mkdir(parents=True)
    (tmp_path / "copy/tenants/default/other").write_text("x")
    answer = await _asked(tmp_path / "data", "POST", "/backup", json={"target": str(tmp_path / "copy")})
    assert "not an empty folder" in json.loads(answer.text.splitlines()[-1])["error"]


async def test_a_base_backup_of_a_tenant_that_is_not_there_makes_nothing(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", backup_archive=tmp_path / "archive", durable=False, reserve_bytes=0)
    async with Maintenance.opened(settings) as maintenance:
        with pytest.raises(KeyError):
            await maintenance.base(lambda done, of: None, "../elsewhere")
    assert not (tmp_path / "archive").exists()


async def test_what_one_node_does_for_all_begins_again_when_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance_module, "_SWEEP_EVERY", 0)
    tries = asyncio.Queue[None]()

    async def fails() -> None:
        tries.put_nowait(None)
        raise OSError("there is no list of tenants")

    async with Maintenance.opened(Settings(data_dir=tmp_path, durable=False, reserve_bytes=0)) as maintenance:
        leading = asyncio.create_task(maintenance.led(fails))
        async with asyncio.timeout(5):
            for _ in range(3):
                await tries.get()
        leading.cancel()
        await asyncio.gather(leading, return_exceptions=True)


async def test_an_export_is_of_the_instant_that_is_asked_for(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", durable=False, reserve_bytes=0)
    provider = SqliteProvider(settings.data_dir, settings, milliseconds)
    async with Maintenance.opened(settings) as maintenance:
        store = await provider.open("default")
        await store.commit([put("Patient/a"), put("Patient/b")])
        txid = (await maintenance.status())["txid"]
        await store.commit([put("Patient/b", "changed"), put("Patient/c")])
        await provider.close()
        transport = httpx.ASGITransport(app=control_app(maintenance))
        async with httpx.AsyncClient(transport=transport, base_url="http://local") as client:
            found = []
            for asked in ({"txid": txid}, {}):
                answer = await client.get("/export", params={"type": "Patient", **asked})
                lines = map(json.loads, answer.text.splitlines())
                found.append(sorted((line["id"], line["meta"]["versionId"]) for line in lines))
    assert found == [[("a", "1"), ("b", "1")], [("a", "1"), ("b", "2"), ("c", "1")]]

"""What must hold of bulk data when disks are full, readers stall, workers are several and time passes."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from fhir_bulk.expiry import expire
from fhir_bulk.exports import EXPORTS, Export
from fhir_bulk.running import Work

from fhir_server.plugin_api import Gone, RecordChange
from tests.builders import bundle, entry, patient
from tests.integration.running import Running, running
from tests.plugins.fhir_bulk.conftest import ASYNC, Bulk, made
from tests.plugins.fhir_bulk.test_clients import configured, finished


def client(server: Running) -> httpx.Client:
    return httpx.Client(base_url=server.base.removesuffix("/fhir"), timeout=60)


def load(http: httpx.Client, count: int, size: int = 0) -> None:
    """Write patients of some size."""
    for start in range(0, count, 500):
        text = [{"url": "http://example.org/x", "valueString": "x" * (size + 1)}]
        ids = [f"p{n}" for n in range(start, min(start + 500, count))]
        entries = [entry("PUT", f"Patient/{id_}", patient(id_, extension=text)) for id_ in ids]
        http.post("/fhir", json=bundle("batch", *entries)).raise_for_status()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 48 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(disk)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"no disk of its own can be mounted: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.slow
def test_an_export_that_fills_the_disk_harms_nothing_and_works_when_there_is_space(
    small_disk: Path, tmp_path: Path
) -> None:
    with (
        running(small_disk / "data", "--config", configured(tmp_path, open_jobs=99), logs=tmp_path) as server,
        client(server) as http,
    ):
        load(http, 400, 9_000)
        kicked = http.get("/fhir/$export", headers=ASYNC)
        assert kicked.status_code == 202, kicked.text
        with suppress(OSError):  # the export takes its part meanwhile
            (small_disk / "others").write_bytes(b"x" * (shutil.disk_usage(small_disk).free - 2_000_000))
        seen = set()
        for _ in range(20):
            seen.add(http.get(kicked.headers["content-location"]).status_code)
            seen.add(http.get("/fhir/$export", headers=ASYNC).status_code)
            assert http.get("/fhir/Patient/p0").status_code == 200
            time.sleep(0.1)
        assert seen <= {200, 202, 429, 500, 507} and 507 in seen
        (small_disk / "others").unlink()
        http.delete(kicked.headers["content-location"])
        again = http.get("/fhir/$export", headers=ASYNC)
        assert again.status_code == 202, again.text
        manifest = finished(http, again.headers["content-location"])
        assert sum(item["count"] for item in manifest["output"]) == 400


@pytest.mark.slow
def test_a_reader_that_takes_nothing_is_cut_off_and_others_are_served(tmp_path: Path) -> None:
    config = configured(tmp_path)
    Path(config).write_text("send_timeout = 2\n" + Path(config).read_text())
    with running(tmp_path / "data", "--config", config) as server, client(server) as http:
        load(http, 600, 40_000)
        manifest = finished(http, http.get("/fhir/$export", headers=ASYNC).headers["content-location"])
        url = urlsplit(manifest["output"][0]["url"])
        with socket.create_connection((url.hostname or "", url.port or 0)) as reader:
            reader.sendall(f"GET {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\n\r\n".encode())
            time.sleep(4)
            begun = time.perf_counter()
            assert http.get("/fhir/Patient/p0").status_code == 200
            assert time.perf_counter() - begun < 1
            reader.settimeout(10)
            size = 0
            while chunk := _received(reader):
                size += len(chunk)
        assert size < 20_000_000, "the file was not sent to its end"


def _received(reader: socket.socket) -> bytes:
    try:
        return reader.recv(65_536)
    except ConnectionResetError:
        return b""


@pytest.mark.slow
def test_any_worker_answers_for_any_export(tmp_path: Path) -> None:
    with running(tmp_path / "data", "--workers", "2", "--config", configured(tmp_path, file_resources=100)) as server:
        with httpx.Client(base_url=server.base.removesuffix("/fhir"), timeout=60) as http:
            load(http, 500)
            status = http.get("/fhir/$export", headers=ASYNC).headers["content-location"]
            manifest = finished(http, status)
        ids = []
        for item in manifest["output"]:
            ids += [json.loads(line)["id"] for line in httpx.get(item["url"]).text.splitlines()]
        assert len(ids) == len(set(ids)) == 500
        assert httpx.delete(status).status_code == 202
        assert {httpx.get(status).status_code for _ in range(8)} == {404}


async def test_what_has_expired_is_removed(bulk: Bulk, tmp_path: Path) -> None:
    await bulk.put(patient("ann"))
    kicked = await bulk.kick_off("$export")
    file = (await bulk.done(kicked)).json()["output"][0]["url"]
    ctx = await _context(bulk)
    (record,) = await ctx.store.find(EXPORTS.collection.name)
    change = dict(record.value) | {"expires": ctx.now() - 1}
    await ctx.core.store.commit((), [_put(record.key, change)])
    assert (await bulk.http.get(file)).status_code == 404, "expired, though not removed yet"
    await expire(ctx)
    assert (await bulk.http.get(kicked.headers["content-location"])).status_code == 404
    assert not await ctx.store.find(EXPORTS.collection.name)


async def test_an_export_whose_instant_is_gone_begins_anew(bulk: Bulk) -> None:
    await bulk.put(patient("ann"), patient("bob"))
    kicked = await bulk.kick_off("$export")
    await bulk.done(kicked)
    ctx = await _context(bulk)
    (record,) = await ctx.store.find(EXPORTS.collection.name)
    export: Export = EXPORTS.read(record)

    class Swept(Work):
        gone = False

        async def _run(self) -> None:
            if not Swept.gone:
                Swept.gone = True
                raise Gone("the instant is gone")
            await super()._run()

    change = dict(record.value) | {"state": "open", "place": {"step": 0, "part": 0, "after": None}}
    await ctx.core.store.commit((), [_put(record.key, change)])
    (record,) = await ctx.store.find(EXPORTS.collection.name)
    await Swept(ctx, EXPORTS.read(record)).run()
    manifest = (await bulk.http.get(kicked.headers["content-location"])).json()
    assert [item["count"] for item in manifest["output"]] == [2]
    assert export.instant <= EXPORTS.read((await ctx.store.find(EXPORTS.collection.name))[0]).instant


async def test_each_tenant_has_its_own_exports(tmp_path: Path) -> None:
    app = made(tmp_path, polls=0)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            answer = await http.get("/t/other/fhir/$export", headers=ASYNC)
            assert answer.status_code == 404, "there is no such tenant"
            kicked = await Bulk(http).kick_off("$export")
            id_ = kicked.headers["content-location"].rpartition("/")[2]
            assert (await http.get(f"/t/other/bulk/exports/{id_}")).status_code == 404


def _put(key: str, value: dict[str, Any]) -> Any:
    return RecordChange(EXPORTS.collection.name, key, value)


async def _context(bulk: Bulk) -> Any:
    app = bulk.http._transport.app  # type: ignore[attr-defined]  # of httpx.ASGITransport
    return await app.assembly.hosts["fhir_bulk"].context("default", "http://test/fhir")

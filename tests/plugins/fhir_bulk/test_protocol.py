"""The protocol of bulk data: kick-off, status, files, end; and what is wrong with each."""

import asyncio
import gzip
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from fhir_bulk.settings import BulkSettings

from tests.builders import bundle, entry, patient, resource
from tests.plugins.fhir_bulk.conftest import ASYNC, OTHERS, Bulk, made


async def test_kick_off_needs_to_be_asked_for_beside(bulk: Bulk) -> None:
    answer = await bulk.http.get("/fhir/$export")
    assert answer.status_code == 400 and "respond-async" in answer.text
    answer = await bulk.kick_off("$export")
    assert answer.status_code == 202
    assert answer.headers["content-location"].startswith("http://test/bulk/exports/")
    for accept in ("application/fhir+ndjson", "application/json", "*/*"):
        assert (await bulk.kick_off("$export", Accept=accept)).status_code == 202, accept


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("_type=Patient,Nonsense", "Nonsense"),
        ("_type=AuditEvent", "AuditEvent"),
        ("_type=", "_type"),
        ("_since=yesterday", "_since"),
        ("_since=2020-01-01", "_since"),
        ("_until=2020-13-01T00:00:00Z", "_until"),
        ("_outputFormat=text/csv", "text/csv"),
        ("_typeFilter=Patient%3Fnonsense%3D1", "nonsense"),
        ("_typeFilter=Patient%3F_count%3D1", "_count"),
        ("_typeFilter=Patient%3F_include%3Dx", "_include"),
        ("_typeFilter=Nonsense%3Fx%3D1", "Nonsense"),
        ("_typeFilter=Patient", "Patient"),
        ("_type=Patient&_typeFilter=Observation%3Fcode%3D1", "Observation"),
        ("_elements=Nonsense.name", "Nonsense"),
        ("_nonsense=1", "_nonsense"),
        ("_export=1", "_export"),
        ("includeAssociatedData=_mine", "_mine"),
        ("organizeOutputBy=Patient", "organizeOutputBy"),
        ("allowPartialManifests=maybe", "allowPartialManifests"),
        ("patient=Patient/1", "patient"),
    ],
)
async def test_what_is_wrong_with_parameters_is_said_at_once(bulk: Bulk, query: str, word: str) -> None:
    answer = await bulk.kick_off(f"$export?{query}")
    assert answer.status_code == 400, answer.text
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome" and word in outcome["issue"][0]["diagnostics"]


async def test_lenient_handling_leaves_out_what_is_not_supported_and_says_so(bulk: Bulk) -> None:
    await bulk.put(patient("ann"))
    query = "_type=Patient,Nonsense&_nonsense=1&_typeFilter=Patient%3Fnonsense%3D1&organizeOutputBy=Device"
    manifest = await bulk.manifest(f"$export?{query}", Prefer="respond-async,handling=lenient")
    assert [item["count"] for item in manifest["output"]] == [1]
    outcomes = await bulk.lines(manifest["error"][0]["url"])
    assert len(outcomes) == 4 and all(one["issue"][0]["severity"] == "warning" for one in outcomes)
    answer = await bulk.kick_off("$export?_since=yesterday", Prefer="respond-async,handling=lenient")
    assert answer.status_code == 400


async def test_post_takes_parameters(bulk: Bulk) -> None:
    await bulk.put(patient("ann"), resource("Organization", "o", name="O"))
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "_type", "valueString": "Patient"},
            {"name": "_since", "valueInstant": "2020-01-01T00:00:00+01:00"},
            {"name": "_outputFormat", "valueString": "application/ndjson"},
        ],
    }
    manifest = await bulk.manifest("$export", body)
    assert manifest["request"] == "http://test/fhir/$export"
    assert [item["type"] for item in manifest["output"]] == ["Patient"]
    body["parameter"].append({"name": "nonsense", "valueString": "1"})  # type: ignore[attr-defined]
    assert (await bulk.kick_off("$export", body)).status_code == 400


async def test_status_tells_progress_and_when_to_ask_again(bulk: Bulk) -> None:
    kicked = await bulk.kick_off("$export")
    first = await bulk.http.get(kicked.headers["content-location"])
    if first.status_code == 202:
        assert int(first.headers["retry-after"]) >= 1 and len(first.headers["x-progress"]) < 100
    done = await bulk.done(kicked)
    assert "expires" in done.headers and done.json()["output"] == []


async def test_delete_removes_the_files_and_then_there_is_nothing(bulk: Bulk) -> None:
    await bulk.put(patient("ann"))
    kicked = await bulk.kick_off("$export")
    file = (await bulk.done(kicked)).json()["output"][0]["url"]
    status = kicked.headers["content-location"]
    assert (await bulk.http.delete(status)).status_code == 202
    for method, url in (("GET", status), ("DELETE", status), ("GET", file)):
        answer = await bulk.http.request(method, url)
        assert answer.status_code == 404 and answer.json()["resourceType"] == "OperationOutcome"


async def test_cancelled_half_way_nothing_stays_behind(tmp_path: Path) -> None:
    app = made(tmp_path, file_resources=50, page=10)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            bulk = Bulk(http)
            entries = [entry("PUT", f"Patient/p{n}", patient(f"p{n}")) for n in range(5_000)]
            assert (await http.post("/fhir", json=bundle("batch", *entries))).status_code == 200
            kicked = await bulk.kick_off("$export")
            while not (blobs := [each for each in (tmp_path / "tenants").rglob("blobs/**/*") if each.is_file()]):
                await asyncio.sleep(0.01)
            assert blobs
            assert (await http.delete(kicked.headers["content-location"])).status_code == 202
            for _ in range(100):
                if not [each for each in (tmp_path / "tenants").rglob("blobs/**/*") if each.is_file()]:
                    break
                await asyncio.sleep(0.05)
            assert not [each for each in (tmp_path / "tenants").rglob("blobs/**/*") if each.is_file()]


async def test_files_are_read_in_ranges_and_packed(bulk: Bulk) -> None:
    await bulk.put(*(patient(f"p{n}") for n in range(7)))
    url = (await bulk.manifest("$export"))["output"][0]["url"]
    plain = await bulk.http.get(url, headers={"accept-encoding": "identity"})
    assert int(plain.headers["content-length"]) == len(plain.content) and plain.headers["accept-ranges"] == "bytes"
    async with bulk.http.stream("GET", url, headers={"accept-encoding": "gzip"}) as packed:
        raw = b"".join([chunk async for chunk in packed.aiter_raw()])
    assert packed.headers["content-encoding"] == "gzip" and gzip.decompress(raw) == plain.content
    size = len(plain.content)
    for text, start, end in (("0-9", 0, 10), ("10-", 10, size), ("-5", size - 5, size), (f"5-{size + 9}", 5, size)):
        part = await bulk.http.get(url, headers={"range": f"bytes={text}", "accept-encoding": "gzip"})
        assert part.status_code == 206 and part.content == plain.content[start:end]
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
    assert (await bulk.http.get(url, headers={"range": f"bytes={size}-"})).status_code == 416
    assert (await bulk.http.get(url, headers={"range": "bytes=0-4", "if-range": '"other"'})).status_code == 200
    head = await bulk.http.head(url)
    assert head.status_code == 200 and not head.content


async def test_too_many_unfinished_exports_are_refused(tmp_path: Path) -> None:
    app = made(tmp_path, open_jobs=1)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            answers = [await http.get("/fhir/$export", headers=ASYNC) for _ in range(2)]
            assert [answer.status_code for answer in answers] == [202, 429]
            assert "retry-after" in answers[1].headers
            await Bulk(http).done(answers[0])
            assert (await http.get("/fhir/$export", headers=ASYNC)).status_code == 202


async def test_the_statement_names_the_guide_and_the_operations(bulk: Bulk) -> None:
    statement = (await bulk.http.get("/fhir/metadata")).json()
    assert "http://hl7.org/fhir/uv/bulkdata/CapabilityStatement/bulk-data" in statement["instantiates"]
    rest = statement["rest"][0]
    place = "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/"
    assert {"name": "export", "definition": f"{place}export"} in rest["operation"]
    named = {one["type"]: one["operation"] for one in rest["resource"] if one["type"] in ("Patient", "Group")}
    assert {"name": "export", "definition": f"{place}patient-export"} in named["Patient"]
    assert {"name": "export", "definition": f"{place}group-export"} in named["Group"]


def test_the_memory_engine_exports_too(fhir_server_with: Any) -> None:
    server = fhir_server_with(real_time=True, plugins_disabled=OTHERS)
    server.client.put("/fhir/Patient/ann", json=patient("ann"))
    kicked = server.client.get("/fhir/$export", headers=ASYNC)
    for _ in range(100):
        answer = server.client.get(kicked.headers["content-location"])
        if answer.status_code == 200:
            break
        time.sleep(0.1)
    (item,) = answer.json()["output"]
    assert server.client.get(item["url"]).json()["id"] == "ann"


def test_every_setting_is_in_the_documentation() -> None:
    text = (Path(__file__).parents[3] / "docs" / "bulk.md").read_text()
    for name, field in BulkSettings.model_fields.items():
        assert f"| `{name}` |" in text and str(field.description) in text

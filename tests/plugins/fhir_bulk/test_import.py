"""`$import`: files at URLs and files that are sent, written as any write, each line told of."""

import functools
import gzip
import json
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.builders import observation, patient
from tests.plugins.fhir_bulk.conftest import ASYNC, Bulk, made

NDJSON = {"content-type": "application/fhir+ndjson"}


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder that a web server offers, and its URL."""
    folder = tmp_path / "site"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture
async def importing(tmp_path: Path) -> AsyncIterator[Bulk]:
    """A client of a server that may fetch from this machine, in small batches."""
    options = {"import_hosts": ["127.0.0.1"], "import_inside": True, "import_batch": 4, "import_line": 10_000}
    app = made(tmp_path / "data", polls=0, **options)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            yield Bulk(http)


def lines(*resources: Any) -> bytes:
    return b"".join(each if isinstance(each, bytes) else json.dumps(each).encode() + b"\n" for each in resources)


def asked(*files: tuple[str, str]) -> dict[str, Any]:
    """Parameters that name files, each (type, URL)."""
    inputs = [
        {"name": "input", "part": [{"name": "type", "valueCode": type_}, {"name": "url", "valueUri": url}]}
        for type_, url in files
    ]
    head = [{"name": "inputFormat", "valueString": "application/fhir+ndjson"}]
    return {"resourceType": "Parameters", "parameter": [*head, *inputs]}


async def total(bulk: Bulk, search: str) -> int:
    found = (await bulk.http.get(f"/fhir/{search}{'&' if '?' in search else '?'}_summary=count")).json()
    return int(found["total"])


async def test_files_at_urls_are_written(importing: Bulk, site: tuple[Path, str]) -> None:
    folder, url = site
    (folder / "patients.ndjson").write_bytes(lines(*(patient(f"p{n}", gender="female") for n in range(11))))
    packed = gzip.compress(lines(*(observation(f"o{n}", subject=f"Patient/p{n}") for n in range(5))))
    (folder / "observations.ndjson.gz").write_bytes(packed)
    body = asked(("Patient", f"{url}/patients.ndjson"), ("Observation", f"{url}/observations.ndjson.gz"))
    manifest = await importing.manifest("$import", body)
    assert [(item["type"], item["count"], item["refused"]) for item in manifest["output"]] == [
        ("Patient", 11, 0), ("Observation", 5, 0)
    ]  # fmt: skip
    assert manifest["error"] == []
    assert await total(importing, "Patient?gender=female") == 11
    assert await total(importing, "Observation?subject=Patient/p3") == 1


async def test_importing_again_changes_nothing(importing: Bulk, site: tuple[Path, str]) -> None:
    folder, url = site
    (folder / "p.ndjson").write_bytes(lines(*(patient(f"p{n}") for n in range(6))))
    for _ in range(2):
        manifest = await importing.manifest("$import", asked(("Patient", f"{url}/p.ndjson")))
        assert manifest["output"][0]["count"] == 6
    assert (await importing.http.get("/fhir/Patient/p0")).json()["meta"]["versionId"] == "1"


async def test_refused_lines_are_told_one_by_one_and_the_others_written(
    importing: Bulk, site: tuple[Path, str]
) -> None:
    folder, url = site
    (folder / "p.ndjson").write_bytes(
        lines(
            patient("good1"), b"no json\n", patient("bad", gender="nonsense"), observation("o"), b"\n",
            patient("good2"), b'{"resourceType":"Patient","id":"twice","id":"twice"}\n',
            b'{"resourceType":"Patient","x":"' + b"x" * 20_000 + b'"}\n', patient(), patient("good3"),
        )[:-1]
    )  # fmt: skip
    manifest = await importing.manifest("$import", asked(("Patient", f"{url}/p.ndjson")))
    (output,) = manifest["output"]
    assert (output["count"], output["refused"]) == (4, 5)
    outcomes = await importing.lines(manifest["error"][0]["url"])
    told = {issue["diagnostics"].partition(" of ")[0] for one in outcomes for issue in one["issue"]
            if issue["code"] == "informational"}  # fmt: skip
    assert told == {"line 2", "line 3", "line 4", "line 7", "line 8"}
    assert all(one["issue"][0]["severity"] == "error" for one in outcomes)
    assert await total(importing, "Patient") == 4


async def test_lines_without_an_id_get_one_that_stays(importing: Bulk) -> None:
    data = lines(patient(birthDate="1980-01-01"), patient(birthDate="1981-01-01"))
    kicked = await importing.http.post("/bulk/import?type=Patient", content=data, headers=NDJSON)
    manifest = (await importing.done(kicked)).json()
    assert manifest["output"][0]["count"] == 2 and await total(importing, "Patient") == 2


async def test_a_file_that_is_sent_is_read_unpacked(importing: Bulk) -> None:
    data = gzip.compress(lines(*(patient(f"p{n}") for n in range(9))))
    kicked = await importing.http.post("/bulk/import", content=data, headers=NDJSON)
    assert (await importing.done(kicked)).json()["output"][0]["count"] == 9
    broken = await importing.http.post("/bulk/import", content=data[:-9], headers=NDJSON)
    assert broken.status_code == 400
    answer = await importing.http.post("/bulk/import", content=b"{}", headers={"content-type": "text/csv"})
    assert answer.status_code == 400


async def test_a_missing_file_is_told_and_the_next_one_read(importing: Bulk, site: tuple[Path, str]) -> None:
    folder, url = site
    (folder / "p.ndjson").write_bytes(lines(patient("p")))
    body = asked(("Patient", f"{url}/none.ndjson"), ("Patient", f"{url}/p.ndjson"))
    manifest = await importing.manifest("$import", body)
    assert [(item["count"], item["refused"]) for item in manifest["output"]] == [(0, 1), (1, 0)]
    (outcome,) = await importing.lines(manifest["error"][0]["url"])
    assert "404" in outcome["issue"][0]["diagnostics"]


@pytest.mark.parametrize(
    "url",
    ["http://example.org/x", "https://user@127.0.0.1/x", "file:///etc/passwd", "ftp://127.0.0.1/x", "https://[", ""],
)
async def test_hosts_that_are_not_allowed_are_not_asked(importing: Bulk, url: str) -> None:
    answer = await importing.http.post("/fhir/$import", json=asked(("Patient", url)), headers=ASYNC)
    assert answer.status_code == 400 and answer.json()["resourceType"] == "OperationOutcome"


async def test_private_networks_are_not_asked_under_a_public_name(tmp_path: Path, site: tuple[Path, str]) -> None:
    app = made(tmp_path / "data", import_hosts=["*"], polls=0)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            bulk = Bulk(http)
            for host in ("127.0.0.1", "localhost", "[::1]", "169.254.169.254", "10.0.0.1"):
                manifest = await bulk.manifest("$import", asked(("Patient", f"https://{host}:8443/x")))
                (outcome,) = await bulk.lines(manifest["error"][0]["url"])
                assert "cannot be fetched" in outcome["issue"][0]["diagnostics"]


@pytest.mark.parametrize(
    "body", [{}, [], {"input": []}, {"input": [1]}, {"inputFormat": "csv", "input": [{"url": "https://127.0.0.1/x"}]},
             {"resourceType": "Parameters", "parameter": [{"name": "nonsense"}]}, {"input": [{"type": "Nonsense"}]}]
)  # fmt: skip
async def test_what_is_wrong_with_an_import_is_said_at_once(importing: Bulk, body: Any) -> None:
    answer = await importing.http.post("/fhir/$import", json=body, headers=ASYNC)
    assert answer.status_code == 400, answer.text


async def test_an_import_is_ended_by_delete(importing: Bulk, site: tuple[Path, str]) -> None:
    folder, url = site
    (folder / "p.ndjson").write_bytes(lines(*(patient(f"p{n}") for n in range(3_000))))
    body = {"inputFormat": "application/fhir+ndjson", "input": [{"type": "Patient", "url": f"{url}/p.ndjson"}]}
    kicked = await importing.kick_off("$import", body)
    assert kicked.status_code == 202
    while not await total(importing, "Patient"):
        pass
    status = kicked.headers["content-location"]
    assert (await importing.http.delete(status)).status_code == 202
    assert (await importing.http.get(status)).status_code == 404
    before = await total(importing, "Patient")
    assert 0 < before < 3_000 and await total(importing, "Patient") == before

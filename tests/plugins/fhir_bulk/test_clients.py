"""A real server in processes of its own: smart-fetch in bulk mode, and a server that is killed half way."""

import asyncio
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.builders import bundle, entry, patient
from tests.conformance.smart.conftest import SERVICE, prepared
from tests.conformance.smart.signing import RSA
from tests.integration.running import Running, running, start
from tests.plugins.fhir_bulk.conftest import ASYNC, OTHERS

HERE = Path(sys.executable).parent


def configured(folder: Path, **bulk: int) -> str:
    """Write a configuration; return its path."""
    file = folder / "settings.toml"
    lines = [f"plugins_disabled = {json.dumps(OTHERS)}", 'rate_token = ""', "[plugins.fhir_bulk]"]
    file.write_text("\n".join([*lines, *(f"{name} = {value}" for name, value in bulk.items())]))
    return str(file)


@pytest.fixture
def smart(tmp_path: Path) -> Iterator[Running]:
    """A server with SMART, records and a backend service."""
    folder = tmp_path / "data"
    asyncio.run(prepared(folder, (SERVICE,)))
    with running(folder, "--auth", "smart", "--config", configured(tmp_path)) as server:
        yield server


@pytest.mark.slow
def test_smart_fetch_exports_in_bulk(smart: Running, tmp_path: Path) -> None:
    if shutil.which("smart-fetch", path=str(HERE)) is None:
        pytest.skip("smart-fetch is not installed")
    keys = tmp_path / "keys.jwks"
    keys.write_text(
        json.dumps({"keys": [RSA.as_dict(private=True) | {"alg": "RS384", "key_ops": ["sign"], "use": "sig"}]})
    )
    done = subprocess.run(
        [
            str(HERE / "smart-fetch"), "bulk", "--fhir-url", smart.base, "--smart-client-id", SERVICE.id,
            "--smart-key", str(keys), "--type", "Patient,Observation,Encounter", "--no-compression",
            str(tmp_path / "out"),
        ],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found = {
        f"{line['resourceType']}/{line['id']}"
        for file in (tmp_path / "out").rglob("*.ndjson")
        for text in file.read_text().splitlines()
        if "id" in (line := json.loads(text)) and "resourceType" in line
    }
    assert found == {
        "Patient/ann", "Patient/bob", "Patient/cay", "Observation/ann-pulse", "Observation/ann-lab",
        "Observation/bob-pulse", "Observation/cay-pulse", "Encounter/visit",
    }  # fmt: skip


def finished(http: httpx.Client, status: str) -> dict[str, Any]:
    """Wait for the end of a job."""
    for _ in range(600):
        try:
            answer = http.get(status)
        except httpx.TransportError:
            time.sleep(0.2)
            continue
        if answer.status_code == 200:
            manifest: dict[str, Any] = answer.json()
            return manifest
        assert answer.status_code in (202, 429), answer.text
        time.sleep(0.1)
    raise AssertionError("the job does not end")


@pytest.mark.slow
def test_a_server_that_is_killed_goes_on_with_its_export(tmp_path: Path) -> None:
    flags = ("--config", configured(tmp_path, page=50, file_resources=100))
    first = start(tmp_path / "data", *flags)
    try:
        with httpx.Client(base_url=first.base.removesuffix("/fhir"), timeout=60) as http:
            entries = [entry("PUT", f"Patient/p{n}", patient(f"p{n}")) for n in range(6_000)]
            http.post("/fhir", json=bundle("batch", *entries)).raise_for_status()
            status = http.get("/fhir/$export", headers=ASYNC).headers["content-location"]
            blobs = tmp_path / "data" / "tenants"
            while sum(1 for file in blobs.rglob("blobs/**/*") if file.is_file()) < 5:
                time.sleep(0.01)
    finally:
        first.kill()
    with running(tmp_path / "data", *flags) as second, httpx.Client(timeout=60) as http:
        http.put(f"{second.base}/Patient/late", json=patient("late")).raise_for_status()
        manifest = finished(http, _moved(status, second.base))
        lines = [
            json.loads(line)["id"]
            for item in manifest["output"]
            for line in http.get(_moved(item["url"], second.base)).text.splitlines()
        ]
    assert sorted(lines) == sorted(f"p{n}" for n in range(6_000)), "all of one instant, each once"


def _moved(url: str, base: str) -> str:
    """Return a URL on the port that the server has now."""
    return base.removesuffix("/fhir") + "/bulk" + url.partition("/bulk")[2]

"""SMART clients of others against a real server: fhirclient and smart-fetch in Python, openid-client in JavaScript."""

import asyncio
import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.conformance.smart.conftest import PUBLIC, SYMMETRIC
from tests.conformance.smart.signing import EC, RSA
from tests.conformance.smart.walking import Walk
from tests.integration.running import Running
from tests.integration.smart.conftest import HERE, MODULES, REDIRECT, SERVICE

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from fhirclient import client
    from fhirclient.models.observation import Observation
    from fhirclient.models.patient import Patient

pytestmark = pytest.mark.xdist_group("smart-clients")


async def walked(url: str, name: str = "doc", **choices: str) -> str:
    """Go through the pages as a user; return where the app is answered."""
    parts = urlsplit(url)
    async with httpx.AsyncClient(base_url=f"{parts.scheme}://{parts.netloc}") as http:
        return await Walk(http, REDIRECT, name, choices).end(await http.get(url))


@pytest.mark.parametrize("secret", ["", "a secret of the confidential app"])
async def test_fhirclient_makes_a_whole_launch(smart_server: Running, secret: str) -> None:
    settings = {
        "app_id": SYMMETRIC.id if secret else PUBLIC.id, "app_secret": secret or None, "api_base": smart_server.base,
        "redirect_uri": REDIRECT, "scope": "launch/patient patient/*.rs openid fhirUser offline_access",
    }  # fmt: skip
    smart = client.FHIRClient(settings=settings)
    assert not await asyncio.to_thread(lambda: smart.ready or smart.prepare())
    back = await walked(smart.authorize_url, find="Able", patient="ann")
    await asyncio.to_thread(smart.handle_callback, back)
    assert smart.ready and smart.launch_context["patient"] == "ann"
    patient = await asyncio.to_thread(lambda: smart.patient)
    assert patient is not None and patient.name[0].family == "Able"
    search = Observation.where({})
    found = await asyncio.to_thread(lambda: list(search.perform_resources_iter(smart.server)))
    assert {one.id for one in found} == {"ann-pulse", "ann-lab"}
    with pytest.raises(Exception, match="404"):
        await asyncio.to_thread(Patient.read, "bob", smart.server)
    assert await asyncio.to_thread(smart.reauthorize)
    assert (await asyncio.to_thread(Patient.read, "ann", smart.server)).id == "ann"


@pytest.mark.parametrize(("key", "name"), [(RSA, "RS384"), (EC, "ES384")])
def test_smart_fetch_crawls_as_a_backend_service(smart_server: Running, tmp_path: Path, key: Any, name: str) -> None:
    if shutil.which("smart-fetch", path=str(Path(sys.executable).parent)) is None:
        pytest.skip("smart-fetch is not installed")
    keys = tmp_path / "keys.jwks"
    alone = key.as_dict(private=True) | {"alg": name, "key_ops": ["sign"], "use": "sig"}
    keys.write_text(json.dumps({"keys": [alone]}))
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "smart-fetch"), "export", "--export-mode", "crawl",
            "--fhir-url", smart_server.base, "--smart-client-id", SERVICE.id, "--smart-key", str(keys),
            "--id-list", "ann,bob", "--type", "Patient,Observation", "--no-compression", "--no-default-filters",
            "--hydration-tasks", "none", str(tmp_path / "out"),
        ],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [json.loads(line) for file in (tmp_path / "out").rglob("*.ndjson") if not file.is_symlink()
             for line in file.read_text().splitlines()]  # fmt: skip
    found = {f"{one['resourceType']}/{one['id']}" for one in lines if "resourceType" in one}  # its log has none
    assert found == {
        "Patient/ann", "Patient/bob", "Observation/ann-pulse", "Observation/ann-lab", "Observation/bob-pulse"
    }  # fmt: skip


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.skipif(not (MODULES / "openid-client").is_dir(), reason="run `npm ci` in tests/integration first")
async def test_openid_client_is_content(smart_server: Running) -> None:
    """A strict relying party: discovery, PKCE, iss, nonce, id_token, refresh, introspection, revocation, signing."""
    keys = json.dumps({"rs384": RSA.as_dict(private=True), "es384": EC.as_dict(private=True)})
    process = await asyncio.create_subprocess_exec(
        "node", "openid.mjs", smart_server.base, REDIRECT, keys, cwd=HERE,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin and process.stdout and process.stderr
    while (line := (await process.stdout.readline()).decode().strip()).startswith("http"):
        process.stdin.write(f"{await walked(line)}\n".encode())
        await process.stdin.drain()
    _, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    good = {"user": f"{smart_server.base}/Practitioner/doc", "fresh": True, "active": [True, False], "data": 200}
    assert json.loads(line) == {"public": good, "secret": good, "RS384": good, "ES384": good, "service": 300}

"""A study that came by C-STORE opens in the viewer that was launched from its patient; those of others do not."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.browser.test_viewer import page, stack
from tests.conformance.smart.signing import EC, assertion, public_keys
from tests.integration.running import command, free_port, running

__all__ = ["page"]
pytestmark = [
    pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.xdist_group("viewer"),
    pytest.mark.skipif(not shutil.which("/usr/bin/storescu"), reason="dcmtk is not installed: apt-get install dcmtk"),
]  # fmt: skip
PASSWORD = "seven green bottles"


@dataclass(frozen=True, slots=True)
class Site:
    """A server that asks for tokens, and the address that an EHR was given for the launch."""

    root: str
    launch_url: str
    study: str


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    tmp_path = tmp_path_factory.mktemp("launch")
    port, config = free_port(), tmp_path / "config.toml"
    (tmp_path / "aes.toml").write_text('[[ae]]\ntitle = "CT1"\nhost = "127.0.0.1"\nclient = "ehr"\nmay = ["store"]\n')
    config.write_text(f'[plugins.dicomweb]\ndimse_port = {port}\ndimse_table = "{tmp_path}/aes.toml"\n')
    with running(tmp_path / "data", "--auth", "smart", "--config", str(config)) as server:
        root, folder = server.base.removesuffix("/fhir"), server.folder
        _told(folder, "users", "add", "maria", "--role", "clinician", "--password-stdin", text=f"{PASSWORD}\n")
        scopes = "launch openid fhirUser patient/ImagingStudy.rs patient/Patient.rs"
        _told(
            folder, "clients", "add", "viewer", "--name", "Viewer", "--redirect-uri", f"{root}/viewer/callback",
            "--launch-uri", f"{root}/viewer/launch", "--scopes", scopes,
        )  # fmt: skip
        keys = tmp_path / "keys.json"
        keys.write_text(json.dumps(public_keys(EC)))
        _told(
            folder, "clients", "add", "ehr", "--name", "EHR", "--kind", "asymmetric", "--jwks", str(keys),
            "--grant-type", "client_credentials", "--scopes", "__launch system/*.cruds",
        )  # fmt: skip
        with httpx.Client(base_url=root, timeout=60) as http:
            http.headers["authorization"] = f"Bearer {_token(http)}"
            yield Site(root, *_launch(http, port, tmp_path))


def _told(folder: Path, *arguments: str, text: str = "") -> None:
    line = command(*arguments, "--data-dir", folder)
    subprocess.run(line, input=text, text=True, check=True, timeout=120, capture_output=True)


def _token(http: httpx.Client) -> str:
    form = {
        "grant_type": "client_credentials", "scope": "__launch system/*.cruds",
        "client_assertion": assertion("ehr", aud=f"{str(http.base_url).rstrip('/')}/auth/token"),
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    }  # fmt: skip
    answer = http.post("/auth/token", data=form)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def _study(http: httpx.Client, patient: str) -> dict[str, Any]:
    """Return the study of a patient, which is written right after the association has ended."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if entries := http.get(f"/fhir/ImagingStudy?patient={patient}").json().get("entry"):
            found: dict[str, Any] = entries[0]["resource"]
            return found
        time.sleep(0.1)
    raise AssertionError("the study did not become an ImagingStudy")


def _launch(http: httpx.Client, port: int, folder: Path) -> tuple[str, str]:
    """Store a patient, and with storescu their study; ask for the launch."""
    patient = {
        "resourceType": "Patient", "name": [{"family": "Otieno", "given": ["Achieng"]}], "gender": "female",
        "birthDate": "1980-01-01", "identifier": [{"system": "http://hospital.example/mrn", "value": "v1"}],
    }  # fmt: skip
    made = http.post("/fhir/Patient", json=patient).json()
    files = []
    slices = stack(IssuerOfPatientID="http://hospital.example/mrn", PatientBirthDate="19800101", PatientSex="F")
    for number, each in enumerate(slices):
        files.append(folder / f"{number}.dcm")
        files[-1].write_bytes(each)
    called = ["/usr/bin/storescu", "-aet", "CT1", "-aec", "FHIRSERVER", "127.0.0.1", str(port), *map(str, files)]
    subprocess.run(called, check=True, timeout=60)
    study = _study(http, made["id"])
    context = {"patient": made["id"], "fhirContext": [{"reference": f"ImagingStudy/{study['id']}"}]}
    answer = http.post("/auth/launch", json={"client_id": "viewer", "user": "maria", "context": context})
    assert answer.status_code == 201, answer.text
    uid = next(each["value"] for each in study["identifier"] if each["system"] == "urn:dicom:uid")
    return str(answer.json()["launch_url"]), str(uid).removeprefix("urn:oid:")


async def test_a_study_opens_in_the_viewer_launched_from_its_patient(site: Site, page: Any) -> None:
    await page.add_init_script("localStorage.setItem('shownTours', '[\"basicViewerTour\"]')")
    await page.goto(site.launch_url)
    await page.wait_for_selector("[name=password]")
    await page.fill("[name=name]", "maria")
    await page.fill("[name=password]", PASSWORD)
    await page.click("button[type=submit]")
    await page.click("button[value=allow]")
    await page.wait_for_url(re.compile(rf"/viewer/viewer\?StudyInstanceUIDs={re.escape(site.study)}"), timeout=30_000)
    await page.wait_for_selector("text=Abdomen", timeout=60_000)
    assert [url for url in page.wrong if "/dicomweb/" in url] == []
    tokens = await page.evaluate("Object.keys(localStorage).filter((name) => name.includes('session'))")
    assert tokens == []  # the token lies in the tab's own store alone
    assert shutil.which("chromium")


async def test_without_a_token_nothing_is_shown_and_the_user_is_asked_to_sign_in(
    site: Site,
    page: Any,
) -> None:
    assert httpx.get(f"{site.root}/dicomweb/studies").status_code == 401
    assert httpx.get(f"{site.root}/viewer/session.js").status_code == 200
    await page.goto(f"{site.root}/viewer/viewer?StudyInstanceUIDs={site.study}")
    await page.wait_for_url(re.compile(r"/auth/"), timeout=30_000)

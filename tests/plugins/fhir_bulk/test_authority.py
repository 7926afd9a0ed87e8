"""Who may export what: scopes, restrictions, and files of other clients."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.app import create_app
from fhir_server.auth.clients import save_client
from fhir_server.settings import Settings
from tests.builders import patient
from tests.conformance.smart.conftest import BASE, SERVICE, Ehr, filled, started
from tests.plugins.fhir_bulk.conftest import ASYNC, OTHERS, Bulk
from tests.plugins.platform.conftest import INSTALLED

NDJSON = {"content-type": "application/fhir+ndjson"}
STRANGER = replace(SERVICE, id="other-service")


@pytest.fixture
async def ehr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ehr]:
    """A server with records, users and two backend services."""
    monkeypatch.setattr("fhir_server.auth.consents.CHECK_EVERY", 0)
    async with started(tmp_path, plugins_disabled=OTHERS, plugins={"fhir_bulk": {"polls": 0}}) as ehr:
        await filled(ehr)
        await save_client(ehr.desk, STRANGER)
        yield ehr


async def client(ehr: Ehr, scopes: str, who: Any = SERVICE) -> Bulk:
    """A client with a token for these scopes."""
    token = await ehr.bearer(scopes, who)
    transport = httpx.ASGITransport(app=ehr.app)
    headers = {"authorization": f"Bearer {token}"}
    return Bulk(httpx.AsyncClient(transport=transport, base_url=BASE.removesuffix("/fhir"), headers=headers))


async def test_a_backend_service_gets_the_types_of_its_scopes_alone(ehr: Ehr) -> None:
    bulk = await client(ehr, "system/Patient.rs system/Observation.rs?category=laboratory")
    assert await bulk.found("$export") == {"Patient": ["ann", "bob", "cay"], "Observation": ["ann-lab"]}
    assert await bulk.found("Patient/$export") == {"Patient": ["ann", "bob", "cay"], "Observation": ["ann-lab"]}
    refused = await bulk.kick_off("$export?_type=Patient,Encounter")
    assert refused.status_code == 403 and "Encounter" in refused.text
    manifest = await bulk.manifest("$export?_type=Patient,Encounter", Prefer="respond-async, handling=lenient")
    (error,) = manifest["error"]
    (outcome,) = await bulk.lines(error["url"])
    assert outcome["resourceType"] == "OperationOutcome" and "Encounter" in outcome["issue"][0]["diagnostics"]


async def test_files_need_the_token_of_the_client_that_asked(ehr: Ehr) -> None:
    bulk = await client(ehr, "system/*.rs")
    kicked = await bulk.kick_off("$export?_type=Patient")
    manifest = (await bulk.done(kicked)).json()
    assert manifest["requiresAccessToken"] is True
    status, file = kicked.headers["content-location"], manifest["output"][0]["url"]
    other, again = await client(ehr, "system/*.rs", STRANGER), await client(ehr, "system/*.rs")
    for url in (status, file):
        assert (await again.http.get(url)).status_code == 200, "another token of the same client"
        assert (await other.http.get(url)).status_code == 404
        assert (await ehr.http.get(url)).status_code == 401
        assert (await ehr.http.get(url, headers={"authorization": "Bearer nonsense"})).status_code == 401
    assert (await other.http.delete(status)).status_code == 404
    assert (await again.http.delete(status)).status_code == 202


async def test_a_narrower_token_of_the_same_client_gets_no_files_of_a_wider_one(ehr: Ehr) -> None:
    wide, narrow = await client(ehr, "system/*.rs"), await client(ehr, "system/Patient.rs")
    kicked = await wide.kick_off("$export?_type=Observation")
    file = (await wide.done(kicked)).json()["output"][0]["url"]
    for url in (kicked.headers["content-location"], file):
        assert (await narrow.http.get(url)).status_code == 404
    kicked = await narrow.kick_off("$export?_type=Patient")
    file = (await narrow.done(kicked)).json()["output"][0]["url"]
    assert (await wide.http.get(file)).status_code == 200, "what one may see, one with more may see too"


async def test_no_token_no_export(ehr: Ehr) -> None:
    assert (await ehr.http.get("/fhir/$export", headers=ASYNC)).status_code == 401
    bulk = await client(ehr, "system/Observation.c")
    assert (await bulk.kick_off("$export")).status_code in (400, 403)
    assert (await bulk.kick_off("Patient/$export")).status_code == 403


async def test_signed_urls_need_no_token_and_cannot_be_made_up(tmp_path: Path) -> None:
    async with started(tmp_path, plugins_disabled=OTHERS, plugins={"fhir_bulk": {"downloads": "signed"}}) as ehr:
        await filled(ehr)
        bulk = await client(ehr, "system/*.rs")
        manifest = await bulk.manifest("$export?_type=Patient")
        assert manifest["requiresAccessToken"] is False
        url = manifest["output"][0]["url"]
        answer = await ehr.http.get(url)
        assert answer.status_code == 200 and answer.text.count("\n") == 3
        assert (await ehr.http.get(url[:-1] + ("0" if url[-1] != "0" else "1"))).status_code == 403
        assert (await ehr.http.get(url.replace("until=", "until=9"))).status_code == 403
        assert (await ehr.http.get(url.replace("1.Patient", "2.Patient"))).status_code == 403
        assert (await ehr.http.get(url.partition("?")[0])).status_code == 400


async def test_a_user_exports_what_they_may_see(ehr: Ehr) -> None:
    token = await ehr.bearer("patient/*.rs", user=ehr.ann, patient="ann")
    transport = httpx.ASGITransport(app=ehr.app)
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://ehr.example", headers=headers) as http:
        found = await Bulk(http).found("Patient/$export?_type=Patient,Observation,Binary")
    assert found == {"Patient": ["ann"], "Observation": ["ann-lab", "ann-pulse"]}


async def test_what_plugins_hide_is_hidden_in_exports(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path, durable=False, auth="none", demo=False, plugins_disabled=OTHERS, plugins_dir=INSTALLED
    )
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            bulk = Bulk(http)
            await bulk.put(patient("ann", telecom=[{"system": "phone", "value": "555"}], gender="female"))
            manifest = await bulk.manifest("$export")
            (line,) = await bulk.lines(manifest["output"][0]["url"])
    assert "telecom" not in line and line["gender"] == "female"


async def test_an_opted_out_patient_is_in_no_export(ehr: Ehr) -> None:
    consent = {
        "resourceType": "Consent", "id": "opt-out", "status": "active",
        "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope",
                              "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": "Patient/bob"}, "dateTime": "2024-01-01",
        "policyRule": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTOUT"}]},
        "provision": {"type": "deny"},
    }  # fmt: skip
    token = await ehr.bearer("user/*.cruds", user=ehr.doctor)
    answer = await ehr.fhir("Consent/opt-out", token, "PUT", consent)
    assert answer.status_code == 201, answer.text
    bulk = await client(ehr, "system/*.rs")
    found = await bulk.found("Patient/$export?_type=Patient,Observation")
    assert "bob" not in found["Patient"] and "bob-pulse" not in found["Observation"]
    assert "ann" in found["Patient"]


async def test_an_import_writes_what_its_client_may_write(ehr: Ehr) -> None:
    bulk = await client(ehr, "system/Patient.cu")
    lines = [patient("new"), {"resourceType": "Organization", "id": "org", "name": "Org"}]
    data = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
    kicked = await bulk.http.post("/bulk/import", content=data, headers={"content-type": "application/fhir+ndjson"})
    manifest = (await bulk.done(kicked)).json()
    assert (manifest["output"][0]["count"], manifest["output"][0]["refused"]) == (1, 1)
    (outcome,) = await bulk.lines(manifest["error"][0]["url"])
    assert outcome["issue"][-1]["diagnostics"] == "line 2 of upload"
    answer = await bulk.http.post("/bulk/import?type=Organization", content=data, headers=NDJSON)
    assert answer.status_code == 403
    body = {"input": [{"type": "Organization", "url": "https://example.org/x"}]}
    assert (await bulk.kick_off("$import", body)).status_code in (400, 403)
    assert (await bulk.kick_off("$import")).status_code == 405
    reader = await client(ehr, "system/*.rs")
    assert (await reader.http.post("/bulk/import", content=data, headers=NDJSON)).status_code in (202, 403)

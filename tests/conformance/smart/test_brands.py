"""User-access brands."""

import json
from pathlib import Path
from typing import Any

import pytest

from fhir_server.auth.brands import BadBrands, read_brands
from tests.conformance.smart.conftest import started
from tests.conformance.smart.requirements import requirement

ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
WEB = {"system": "urn:ietf:rfc:3986", "value": "https://hospital.example"}
ENDPOINT = {
    "resourceType": "Endpoint", "id": "r4", "status": "active", "address": "http://ehr.example/fhir",
    "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/endpoint-fhir-version", "valueCode": "4.0.1"}],
    "connectionType": {"code": "hl7-fhir-rest"}, "name": "FHIR R4", "payloadType": [{"text": "none"}],
    "contact": [{"system": "url", "value": "https://developers.example"}],
}  # fmt: skip
HOSPITAL = {
    "resourceType": "Organization", "id": "hospital", "meta": {"lastUpdated": "2026-01-01T00:00:00Z"}, "active": True,
    "identifier": [{"system": "urn:oid:1.2.3", "value": "42"}, WEB], "name": "Example Hospital", "alias": ["ExHo"],
    "telecom": [{"system": "url", "value": "https://hospital.example/"}], "type": [{"text": "prov"}],
    "address": [{"city": "Town", "postalCode": "1"}], "endpoint": [{"reference": "Endpoint/r4", "display": "R4"}],
    "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/organization-brand", "extension": [
        {"url": "brandLogo", "valueUrl": "https://hospital.example/logo.svg"}]}],
}  # fmt: skip
CLINIC = {
    "resourceType": "Organization", "id": "clinic", "name": "Clinic", "partOf": {"reference": "Organization/hospital"},
    "identifier": [{"system": "urn:ietf:rfc:3986", "value": "https://clinic.example"}],
}  # fmt: skip


def bundle(*resources: dict[str, Any], **changes: Any) -> bytes:
    made = {
        "resourceType": "Bundle", "type": "collection", "timestamp": "2026-01-01T00:00:00Z",
        "entry": [{"fullUrl": f"https://ehr.example/{each['id']}", "resource": each} for each in resources],
    } | changes  # fmt: skip
    return json.dumps({name: value for name, value in made.items() if value is not None}).encode()


@requirement("387", "388", "395", "397", "399", "401", "402", "403", "406", "410", "411", "412", "419", "421", "422",
             "424", "427", "428", "430", "431", "432", "436", "398", "418")  # fmt: skip
async def test_the_brands_of_the_operator_are_served_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "brands.json"
    file.write_bytes(bundle(HOSPITAL, CLINIC, ENDPOINT))
    async with started(tmp_path / "data", brands_file=file, brand_identifier=WEB["value"]) as ehr:
        told = await ehr.configuration()
        assert told["user_access_brand_identifier"] == WEB
        answer = await ehr.http.get(told["user_access_brand_bundle"])
        assert (answer.status_code, answer.content) == (200, file.read_bytes())
        assert answer.headers["content-type"] == "application/fhir+json"
        tag = answer.headers["etag"]
        assert tag.startswith('W/"')
        known = await ehr.http.get(told["user_access_brand_bundle"], headers={"if-none-match": tag})
        assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", tag)


async def test_without_a_file_there_are_no_brands(tmp_path: Path) -> None:
    async with started(tmp_path) as ehr:
        assert not [name for name in await ehr.configuration() if name.startswith("user_access")]
        assert (await ehr.http.get("/auth/user-access-brands.json")).status_code == 404


@requirement("396", "398", "404", "405", "409", "412", "417", "418", "429", "432", "437")
@pytest.mark.parametrize(
    ("body", "primary", "fault"),
    [
        (bundle(HOSPITAL, ENDPOINT), "", ""),
        (bundle(HOSPITAL, ENDPOINT), "urn:oid:1.2.3|42", ""),
        (bundle(HOSPITAL, CLINIC, ENDPOINT), "", "several brands"),
        (bundle(HOSPITAL, CLINIC, ENDPOINT), "https://none.example", "0 brands"),
        (bundle(HOSPITAL, HOSPITAL, ENDPOINT), WEB["value"], "2 brands"),
        (bundle(HOSPITAL, ENDPOINT), "urn:other|42", "0 brands"),
        (bundle(CLINIC, ENDPOINT), "", "does not refer to Endpoint/r4"),
        (bundle(HOSPITAL, ENDPOINT, timestamp=None), "", "timestamp"),
        (bundle(ENDPOINT), "", "no Organization"),
        (bundle(HOSPITAL, type="searchset"), "", "collection"),
        (bundle(HOSPITAL | {"identifier": [{"system": "x"}]}), "", "identifier with a value"),
        (bundle(HOSPITAL | {"_name": {"extension": [{"url": ABSENT, "valueCode": "asked-declined"}]}}), "", ""),
        (bundle(HOSPITAL | {"_name": {"extension": [{"url": ABSENT, "valueCode": "asked-unknown"}]}}), "", ""),
        (bundle(HOSPITAL | {"_name": {"extension": [{"url": ABSENT, "valueCode": "unknown"}]}}), "", "absent"),
        (b"not json", "", "not JSON"),
        (b"[]", "", "not a Bundle"),
    ],
)
def test_brands_follow_the_rules(body: bytes, primary: str, fault: str) -> None:
    if not fault:
        assert read_brands(body, primary).identifier["value"]
        return
    with pytest.raises(BadBrands, match=fault):
        read_brands(body, primary)

"""`$snapshot`. Spec: https://hl7.org/fhir/R4/structuredefinition-operation-snapshot.html"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conformance.http.operated import operated, parameters
from tests.conformance.http.over_http import issue

Json = dict[str, Any]
URL = "http://example.org/StructureDefinition/named-patient"


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with operated(tmp_path) as client:
        yield client


def profile(*elements: Json, **more: Any) -> Json:
    return {
        "resourceType": "StructureDefinition",
        "url": URL,
        "name": "NamedPatient",
        "status": "draft",
        "kind": "resource",
        "abstract": False,
        "type": "Patient",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
        "derivation": "constraint",
        "differential": {"element": list(elements)},
        **more,
    }


NAMED = profile({"id": "Patient.name.family", "path": "Patient.name.family", "min": 1})


def element(response: httpx.Response, id_: str) -> Json:
    assert response.status_code == 200, response.text
    found = [each for each in response.json()["snapshot"]["element"] if each["id"] == id_]
    assert len(found) == 1
    return found[0]


async def test_of_a_definition_that_comes_with_the_call(http: httpx.AsyncClient) -> None:
    for body in (NAMED, parameters(definition=NAMED)):
        response = await http.post("StructureDefinition/$snapshot", json=body)
        family = element(response, "Patient.name.family")
        assert (family["min"], family["max"], family["base"]["path"]) == (1, "1", "HumanName.family")
        assert [rule["key"] for rule in family["constraint"]] == ["ele-1"]
        assert response.json()["differential"] == NAMED["differential"]


async def test_of_a_stored_definition_by_id_and_by_url(http: httpx.AsyncClient) -> None:
    stored = await http.put("StructureDefinition/named", json=NAMED | {"id": "named"})
    assert stored.status_code == 201, stored.text
    for path in ("StructureDefinition/named/$snapshot", f"StructureDefinition/$snapshot?url={URL}"):
        assert element(await http.get(path), "Patient.name.family")["min"] == 1


async def test_of_a_type_of_the_specification(http: httpx.AsyncClient) -> None:
    response = await http.get("StructureDefinition/$snapshot?url=http://hl7.org/fhir/StructureDefinition/Patient")
    assert element(response, "Patient.name")["constraint"][0]["key"] == "ele-1"


async def test_a_wrong_element_is_named_with_its_profile(http: httpx.AsyncClient) -> None:
    wrong = profile({"id": "Patient.nmae", "path": "Patient.nmae", "min": 1})
    response = await http.post("StructureDefinition/$snapshot", json=wrong)
    assert response.status_code == 422
    found = issue(response)["diagnostics"]
    assert "Patient.nmae" in found
    assert URL in found


async def test_a_missing_base_is_named(http: httpx.AsyncClient) -> None:
    orphan = profile(baseDefinition="http://example.org/StructureDefinition/nowhere")
    response = await http.post("StructureDefinition/$snapshot", json=orphan)
    assert response.status_code == 422
    assert "http://example.org/StructureDefinition/nowhere" in issue(response)["diagnostics"]


async def test_one_of_definition_and_url_is_needed(http: httpx.AsyncClient) -> None:
    for body in (parameters(), parameters(definition=NAMED, url__string=URL)):
        assert (await http.post("StructureDefinition/$snapshot", json=body)).status_code == 400


async def test_an_unknown_url_is_not_found(http: httpx.AsyncClient) -> None:
    response = await http.get("StructureDefinition/$snapshot?url=http://example.org/none")
    assert response.status_code == 404
    assert "http://example.org/none" in issue(response)["diagnostics"]


@pytest.mark.parametrize(
    "broken",
    [{"differential": "x"}, {"differential": {"element": ["x"]}}, {"differential": {"element": [{"path": 1}]}}],
)
async def test_a_misshapen_definition_is_refused(http: httpx.AsyncClient, broken: Json) -> None:
    response = await http.post("StructureDefinition/$snapshot", json=profile(**broken))
    assert response.status_code in (400, 422), response.text


async def test_a_stored_differential_takes_effect_and_its_snapshot_can_be_stored(http: httpx.AsyncClient) -> None:
    patient = {"resourceType": "Patient", "meta": {"profile": [URL]}, "name": [{"given": ["Ann"]}]}
    named = patient | {"name": [{"family": "Berg"}]}
    stored = NAMED | {"id": "named"}
    for definition in (stored, (await http.post("StructureDefinition/$snapshot", json=stored)).json()):
        put = await http.put("StructureDefinition/named", json=definition)
        assert put.status_code in (200, 201), put.text
        refused = await http.post("Patient", json=patient)
        assert refused.status_code == 422
        assert "Patient.name.family" in issue(refused)["diagnostics"]
        assert (await http.post("Patient", json=named)).status_code == 201

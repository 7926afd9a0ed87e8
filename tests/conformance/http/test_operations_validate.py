"""`$validate`. Spec: https://hl7.org/fhir/R4/resource-operation-validate.html"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.builders import observation, patient, resource, search_parameter
from tests.conformance.http.operated import operated, parameters


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with operated(tmp_path) as client:
        yield client


def findings(response: httpx.Response) -> list[tuple[str, str]]:
    """Severity and code of each issue of a 200."""
    assert response.status_code == 200, response.text
    assert response.json()["resourceType"] == "OperationOutcome"
    return [(issue["severity"], issue["code"]) for issue in response.json()["issue"]]


FINE: list[tuple[str, str]] = []


def errors(response: httpx.Response) -> list[tuple[str, str]]:
    """Severity and code of each issue that makes a resource bad."""
    return [found for found in findings(response) if found[0] == "error"]


async def test_a_good_resource_gets_one_information(http: httpx.AsyncClient) -> None:
    text = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">A patient</div>'}
    body = patient(active=True, text=text)
    assert findings(await http.post("Patient/$validate", json=body)) == [("information", "informational")]
    body = parameters(resource=body)
    assert findings(await http.post("Patient/$validate", json=body)) == [("information", "informational")]


async def test_any_resource_can_be_validated_at_the_base(http: httpx.AsyncClient) -> None:
    assert errors(await http.post("$validate", json=patient())) == FINE
    assert errors(await http.post("$validate", json=parameters(resource=observation(status="x")))) != FINE


async def test_every_fault_is_found_with_its_place(http: httpx.AsyncClient) -> None:
    response = await http.post("Patient/$validate", json=patient(gender="unsure", birthDate="1970-02-30", nosuch=1))
    places = {place for issue in response.json()["issue"] for place in issue["expression"]}
    assert {"Patient.gender", "Patient.birthDate", "Patient.nosuch"} <= places and len(errors(response)) == 3


async def test_nothing_is_stored(http: httpx.AsyncClient) -> None:
    await http.post("Patient/$validate", json=parameters(resource=patient("a"), mode__code="create"))
    assert (await http.get("Patient/a")).status_code == 404


async def test_the_type_of_the_url_counts(http: httpx.AsyncClient) -> None:
    assert findings(await http.post("Observation/$validate", json=patient()))[0][0] == "error"


async def test_a_stored_resource_can_be_validated(http: httpx.AsyncClient) -> None:
    await http.put("Patient/a", json=patient("a"))
    assert errors(await http.get("Patient/a/$validate")) == FINE
    assert (await http.get("Patient/b/$validate")).status_code == 404


@pytest.mark.parametrize(("id_", "fine"), [("a", True), ("b", False), (None, False)])
async def test_an_update_needs_the_id_of_the_url(http: httpx.AsyncClient, id_: str | None, fine: bool) -> None:
    body = parameters(resource=patient(id_), mode__code="update")
    assert (errors(await http.post("Patient/a/$validate", json=body)) == FINE) is fine


async def test_an_update_of_nothing_is_told_where_it_would_be_refused(tmp_path: Path) -> None:
    body = parameters(resource=patient("a"), mode__code="update")
    async with operated(tmp_path, update_create=False) as http:
        assert errors(await http.post("Patient/a/$validate", json=body)) == [("error", "not-found")]


async def test_a_delete_of_what_others_refer_to_would_be_refused(http: httpx.AsyncClient) -> None:
    await http.put("Patient/a", json=patient("a"))
    assert errors(await http.get("Patient/a/$validate?mode=delete")) == FINE
    await http.put("Observation/o", json=observation("o", subject="Patient/a"))
    response = await http.get("Patient/a/$validate?mode=delete")
    assert findings(response) == [("error", "conflict")]
    assert "Observation/o" in response.json()["issue"][0]["diagnostics"]
    assert (await http.get("Patient/a")).status_code == 200


async def test_a_delete_is_fine_without_integrity(tmp_path: Path) -> None:
    async with operated(tmp_path, integrity_on_delete=False) as http:
        await http.put("Patient/a", json=patient("a"))
        await http.put("Observation/o", json=observation("o", subject="Patient/a"))
        assert errors(await http.get("Patient/a/$validate?mode=delete")) == FINE


async def test_a_reference_to_nothing_is_told_where_it_would_be_refused(tmp_path: Path) -> None:
    async with operated(tmp_path, integrity_on_write=True) as http:
        body = observation(subject="Patient/a")
        assert errors(await http.post("Observation/$validate", json=body)) == [("error", "not-found")]
        await http.put("Patient/a", json=patient("a"))
        assert errors(await http.post("Observation/$validate", json=body)) == FINE


async def test_a_search_parameter_that_could_never_answer_is_told(http: httpx.AsyncClient) -> None:
    bad = search_parameter("x", "Patient", "string", "Patient.nosuch(")
    assert errors(await http.post("SearchParameter/$validate", json=bad))


async def test_a_profile_that_is_not_checked_is_never_passed(http: httpx.AsyncClient) -> None:
    body = parameters(resource=patient(), profile__uri="http://example.org/StructureDefinition/x")
    response = await http.post("Patient/$validate", json=body)
    assert errors(response) == [("error", "not-found")]
    assert "http://example.org/StructureDefinition/x" in response.json()["issue"][0]["diagnostics"]
    body = parameters(resource=patient(), profile__uri="http://hl7.org/fhir/StructureDefinition/Patient")
    assert errors(await http.post("Patient/$validate", json=body)) == FINE


def constrained(type_: str, id_: str, *elements: dict[str, Any]) -> dict[str, Any]:
    """A profile on a type."""
    base = "http://hl7.org/fhir/StructureDefinition/"
    return resource(
        "StructureDefinition", id_, url=f"http://example.org/{id_}", name=id_.title(), status="active",
        kind="resource", abstract=False, type=type_, baseDefinition=base + type_, derivation="constraint",
        differential={"element": [{"id": type_, "path": type_}, *elements]},
    )  # fmt: skip


async def test_a_stored_resource_that_is_referred_to_is_held_to_the_profile_of_the_reference(
    http: httpx.AsyncClient,
) -> None:
    gender = {"id": "Patient.gender", "path": "Patient.gender", "min": 1}
    target = {"code": "Reference", "targetProfile": ["http://example.org/gendered"]}
    subject = {"id": "Observation.subject", "path": "Observation.subject", "type": [target]}
    for profile in (constrained("Patient", "gendered", gender), constrained("Observation", "of-gendered", subject)):
        assert (await http.put(f"StructureDefinition/{profile['id']}", json=profile)).status_code == 201
    await http.put("Patient/a", json=patient("a", gender="other"))
    await http.put("Patient/b", json=patient("b"))
    for subject_id, faults in (("a", 0), ("b", 1), ("nobody", 0)):
        body = observation(subject=f"Patient/{subject_id}")
        body = parameters(resource=body, profile__uri="http://example.org/of-gendered", mode__code="profile")
        assert len(errors(await http.post("Observation/$validate", json=body))) == faults, subject_id


async def test_several_profiles_can_be_asked_for(http: httpx.AsyncClient) -> None:
    for name in ("gender", "birthDate"):
        element = {"id": f"Patient.{name}", "path": f"Patient.{name}", "min": 1}
        id_ = name.lower()
        await http.put(f"StructureDefinition/{id_}", json=constrained("Patient", id_, element))
    response = await http.post(
        "Patient/$validate?profile=http://example.org/gender&profile=http://example.org/birthdate", json=patient()
    )
    assert len(errors(response)) == 2


async def test_whatever_the_settings_say_it_is_full(tmp_path: Path) -> None:
    async with operated(tmp_path, validation="off") as http:
        assert errors(await http.post("Patient/$validate", json=patient(telecom=[{"value": "1"}]))) == [
            ("error", "invariant")
        ]


@pytest.mark.parametrize(
    "body",
    [
        parameters(resource=patient(), mode__code="guess"),
        parameters(resource=patient(), mode__code="profile"),
        parameters(mode__code="create"),
        parameters(mode__code="delete"),
    ],
)
async def test_a_call_that_means_nothing_is_refused(http: httpx.AsyncClient, body: Any) -> None:
    assert (await http.post("Patient/$validate", json=body)).status_code == 400


async def test_what_a_profile_marks_as_must_support_is_listed(http: httpx.AsyncClient) -> None:
    name = {"id": "Patient.name", "path": "Patient.name", "min": 1, "mustSupport": True}
    profile = constrained("Patient", "named", name)
    assert (await http.put("StructureDefinition/named", json=profile)).status_code == 201
    answer = await http.post("Patient/$validate?profile=http://example.org/named", json=patient())
    said = [issue["diagnostics"] for issue in answer.json()["issue"] if issue["code"] == "informational"]
    assert "http://example.org/named marks as must-support: Patient.name" in said

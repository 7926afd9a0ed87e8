"""`$diff`: a FHIRPath Patch that makes one resource of another. Spec: https://hl7.org/fhir/R4/fhirpatch.html"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.builders import observation, patient
from tests.conformance.http.operated import operated, parameters, parts_of
from tests.conformance.http.over_http import JSON, issue

VERSIONS = (
    patient("a", name=[{"family": "Berg"}], gender="female"),
    patient("a", name=[{"family": "Berg"}], gender="female", birthDate="1970"),
    patient("a", name=[{"family": "Berg"}, {"text": "Anni"}], active=True, birthDate="1970-01-02"),
)


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with operated(tmp_path) as client:
        for version in VERSIONS:
            assert (await client.put("Patient/a", json=version)).status_code in (200, 201)
        yield client


def operations(response: httpx.Response) -> list[tuple[str, str]]:
    """Type and path of each operation."""
    assert response.status_code == 200, response.text
    found = [parts_of(parameter) for parameter in response.json().get("parameter", ())]
    return [(parts["type"], parts["path"]) for parts in found]


async def test_what_the_latest_change_did(http: httpx.AsyncClient) -> None:
    assert operations(await http.get("Patient/a/$diff")) == [
        ("add", "Patient"),
        ("add", "Patient"),
        ("delete", "Patient.gender"),
        ("replace", "Patient.birthDate"),
    ]


async def test_between_two_versions(http: httpx.AsyncClient) -> None:
    response = await http.get("Patient/a/$diff?from=1&to=2")
    assert response.json()["parameter"] == [
        {
            "name": "operation",
            "part": [
                {"name": "type", "valueCode": "add"},
                {"name": "path", "valueString": "Patient"},
                {"name": "name", "valueString": "birthDate"},
                {"name": "value", "valueDate": "1970"},
            ],
        }
    ]
    assert operations(await http.get("Patient/a/$diff?from=2&to=1")) == [("delete", "Patient.birthDate")]


async def test_a_version_and_the_current_one(http: httpx.AsyncClient) -> None:
    assert operations(await http.get("Patient/a/$diff?version=3")) == []
    assert ("delete", "Patient.gender") in operations(await http.get("Patient/a/$diff?version=1"))


@pytest.mark.parametrize(
    ("url", "status"),
    [("Patient/a/$diff?version=9", 404), ("Patient/b/$diff", 404), ("Patient/a/$diff?version=0", 400),
     ("Patient/a/$diff?version=1&from=2", 400)],
)  # fmt: skip
async def test_versions_that_are_not_there_are_told(http: httpx.AsyncClient, url: str, status: int) -> None:
    assert (await http.get(url)).status_code == status


async def test_a_deletion_has_no_difference(http: httpx.AsyncClient) -> None:
    await http.delete("Patient/a")
    assert (await http.get("Patient/a/$diff")).status_code == 410
    assert (await http.get("Patient/a/$diff?from=1&to=2")).status_code == 200


async def test_the_difference_of_two_versions_is_a_patch_that_the_server_takes(http: httpx.AsyncClient) -> None:
    back = (await http.get("Patient/a/$diff?from=3&to=1")).json()
    patched = await http.patch("Patient/a", json=back, headers=JSON)
    assert patched.status_code == 200, patched.text
    assert {name: value for name, value in patched.json().items() if name != "meta"} == VERSIONS[0]


@pytest.mark.parametrize("type_", ["Reference", "string"])
async def test_two_references(http: httpx.AsyncClient, type_: str) -> None:
    texts = ["Patient/a/_history/1", "http://fhir.example/fhir/Patient/a/_history/2"]
    one, two = [{"reference": text} if type_ == "Reference" else text for text in texts]
    body = parameters(**{f"from__{type_}": one, f"to__{type_}": two})
    assert operations(await http.post("$diff", json=body)) == [("add", "Patient")]


async def test_a_reference_and_a_resource(http: httpx.AsyncClient) -> None:
    body = parameters(from__string="Patient/a", to=VERSIONS[1])
    assert ("add", "Patient") in operations(await http.post("$diff", json=body))


async def test_what_the_server_owns_of_meta_does_not_count(http: httpx.AsyncClient) -> None:
    stored = (await http.get("Patient/a")).json()
    assert operations(await http.post("$diff", json=parameters(**{"from": stored, "to": VERSIONS[2]}))) == []


@pytest.mark.parametrize(
    ("new", "status"),
    [(observation("a"), 400), (patient(nosuch=1), 422)],
)
async def test_what_cannot_be_compared_is_refused(http: httpx.AsyncClient, new: Any, status: int) -> None:
    response = await http.post("$diff", json=parameters(**{"from": patient("a"), "to": new}))
    assert response.status_code == status
    assert issue(response)["severity"] == "error"


@pytest.mark.parametrize("text", ["Patient/b", "Nothing/a", "x", "http://elsewhere/fhir/Patient/a"])
async def test_references_to_nothing_are_told(http: httpx.AsyncClient, text: str) -> None:
    response = await http.post("$diff", json=parameters(from__string=text, to=patient("a")))
    assert response.status_code in (400, 404)

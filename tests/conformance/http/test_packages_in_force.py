"""What packages and stored definitions ask for holds for the next write; what is broken in them stops nothing."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.builders import patient
from tests.conformance.http.operated import operated, parameters
from tests.unit.packages.builders import package, profile

GZIP = {"content-type": "application/gzip"}
URL = "http://example.org/StructureDefinition/p"
NEEDS = {
    "element": [
        {"id": "Patient", "path": "Patient"},
        {"id": "Patient.birthDate", "path": "Patient.birthDate", "min": 1},
    ]
}
NAMED: dict[str, Any] = {"name": [{"family": "x"}], "identifier": [{"system": "urn:x", "value": "y"}]}

BROKEN: list[dict[str, Any]] = [
    {"snapshot": 3, "differential": "x"},
    {"snapshot": {"element": [{}, 7]}},
    {"type": 7, "kind": []},
    {"type": "Nonsense", "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Nonsense"},
    {"baseDefinition": URL},
    {"baseDefinition": "urn:nowhere"},
    {"differential": {"element": [{"id": "Patient.x", "path": "Patient.x", "min": 1}]}},
    {"differential": {"element": [{"path": "Patient.name", "constraint": [{"key": "a", "expression": "((("}]}]}},
    {"differential": {"element": [{"path": "Patient.name", "slicing": 4, "binding": 5, "type": 6, "min": "a"}]}},
    {"differential": {"element": [{"path": "Patient.name", "patternHumanName": 7, "fixedString": {}}]}},
]


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with operated(tmp_path, validation="full") as client:
        yield client


async def claimed(http: httpx.AsyncClient, **elements: Any) -> int:
    """Write a patient that says it conforms to the profile; return the status."""
    claiming = patient("x", meta={"profile": [URL]}, **elements)
    return (await http.put("Patient/x", json=claiming)).status_code


async def test_a_profile_of_a_package_holds_until_the_package_is_removed(http: httpx.AsyncClient) -> None:
    assert await claimed(http) == 201
    data = package("a", "1", profile("p", differential=NEEDS))
    assert (await http.post("$install-package", content=data, headers=GZIP)).status_code == 200
    assert await claimed(http, active=True) == 422
    assert await claimed(http, birthDate="2000-01-01") == 200
    await http.post("$uninstall-package", json=parameters(name__string="a", version__string="1"))
    assert await claimed(http, active=True) == 200


async def test_a_profile_that_is_stored_holds_until_it_is_deleted(http: httpx.AsyncClient) -> None:
    assert (await http.put("StructureDefinition/p", json=profile("p", differential=NEEDS))).status_code == 201
    assert await claimed(http) == 422
    assert await claimed(http, birthDate="2000-01-01") == 201
    await http.delete("StructureDefinition/p")
    assert await claimed(http, active=True) == 200


@pytest.mark.parametrize("elements", BROKEN, ids=lambda elements: "-".join(elements))
async def test_a_broken_profile_of_a_package_stops_nothing(http: httpx.AsyncClient, elements: dict[str, Any]) -> None:
    data = package("a", "1", profile("p", **elements))
    assert (await http.post("$install-package", content=data, headers=GZIP)).status_code == 200
    assert await claimed(http, **NAMED) in (201, 422)
    assert (await http.post("Patient/$validate", json=patient(meta={"profile": [URL]}, **NAMED))).status_code == 200
    assert (await http.get("metadata")).status_code == 200
    assert (await http.put("Patient/other", json=patient("other", **NAMED))).status_code == 201


@pytest.mark.parametrize("elements", BROKEN, ids=lambda elements: "-".join(elements))
async def test_a_broken_profile_that_was_stored_without_a_look_stops_no_server(
    tmp_path: Path, elements: dict[str, Any]
) -> None:
    async with operated(tmp_path, validation="off") as http:
        assert (await http.put("StructureDefinition/p", json=profile("p", **elements))).status_code == 201
    async with operated(tmp_path, validation="full") as http:
        assert await claimed(http, **NAMED) in (201, 422)
        assert (await http.get("metadata")).status_code == 200
        assert (await http.put("StructureDefinition/p", json=profile("p", differential=NEEDS))).status_code == 200
        assert await claimed(http, active=False) == 422

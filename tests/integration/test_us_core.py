"""What conformance suites for US Core ask of a server that has the guide installed: Inferno's questions, compactly."""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.running import running
from tests.shared_data import shared_data

Json = dict[str, Any]
US_CORE = "http://hl7.org/fhir/us/core"
LOINC = "http://loinc.org"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"


@pytest.fixture(scope="module")
def package() -> Iterator[tarfile.TarFile]:
    with tarfile.open(shared_data("packages") / "us-core-6.1.0.tgz") as archive:
        yield archive


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, package: tarfile.TarFile) -> Iterator[httpx.Client]:
    with running(tmp_path_factory.mktemp("us_core") / "data") as server, httpx.Client(timeout=60) as http:
        http.base_url = httpx.URL(f"{server.base}/")
        content = Path(str(package.name)).read_bytes()
        installed = http.post("$install-package", content=content, headers={"content-type": "application/gzip"})
        assert installed.status_code == 200, installed.text
        stored = http.post("", json={"resourceType": "Bundle", "type": "transaction", "entry": [*map(_put, RECORD)]})
        assert stored.status_code == 200, stored.text
        yield http


def _put(resource: Json) -> Json:
    return {"resource": resource, "request": {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"}}


def _concept(system: str, code: str) -> Json:
    return {"coding": [{"system": system, "code": code}]}


def _document(id_: str, kind: str, date: str, start: str) -> Json:
    return {
        "resourceType": "DocumentReference", "id": id_, "status": "current", "type": _concept(LOINC, kind),
        "subject": {"reference": "Patient/p"}, "date": date, "context": {"period": {"start": start, "end": start}},
        "content": [{"attachment": {"contentType": "text/plain", "data": "aGk="}}],
    }  # fmt: skip


RECORD: list[Json] = [
    {
        "resourceType": "Patient", "id": "p", "gender": "female", "birthDate": "1980-02-29",
        "identifier": [{"system": "urn:mrn", "value": "77"}], "name": [{"family": "O'Core", "given": ["Una"]}],
    },
    {
        "resourceType": "Observation", "id": "o", "status": "final", "code": _concept(LOINC, "2339-0"),
        "category": [_concept(CATEGORY, "laboratory")], "subject": {"reference": "Patient/p"},
        "effectiveDateTime": "2020-06-01T10:00:00+02:00",
    },
    {
        "resourceType": "Encounter", "id": "e", "status": "finished", "subject": {"reference": "Patient/p"},
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "type": [{"text": "visit"}], "period": {"start": "2020-06-01T10:00:00Z"},
    },
    {"resourceType": "Medication", "id": "m", "code": {"text": "aspirin"}},
    {
        "resourceType": "MedicationRequest", "id": "r", "status": "active", "intent": "order",
        "subject": {"reference": "Patient/p"}, "medicationReference": {"reference": "Medication/m"},
        "authoredOn": "2020-06-01",
    },
    {
        "resourceType": "Provenance", "id": "v", "recorded": "2020-06-01T10:00:00Z",
        "target": [{"reference": "Observation/o"}, {"reference": "Encounter/e"}, {"reference": "MedicationRequest/r"}],
        "agent": [{"who": {"reference": "Patient/p"}}],
    },
    _document("old", "34133-9", "2019-01-01T00:00:00Z", "2019-01-01"),
    _document("new", "34133-9", "2021-01-01T00:00:00Z", "2021-01-01"),
    _document("note", "11506-3", "2020-06-02T00:00:00Z", "2020-06-02"),
]  # fmt: skip


def _found(answer: httpx.Response, mode: str = "match") -> set[str]:
    assert answer.status_code == 200, answer.text
    entries = [each for each in answer.json().get("entry", ()) if each["search"]["mode"] == mode]
    return {f"{each['resource']['resourceType']}/{each['resource']['id']}" for each in entries}


def _expected(element: Json) -> str | None:
    return next((e["valueCode"] for e in element.get("extension", ()) if e["url"].endswith("-expectation")), None)


def _names(parts: list[Json], key: str) -> set[str]:
    return {part[key] for part in parts if _expected(part) == "SHALL"}


def test_the_statement_meets_what_the_guide_asks_of_servers(server: httpx.Client, package: tarfile.TarFile) -> None:
    member = package.extractfile("package/CapabilityStatement-us-core-server.json")
    assert member is not None
    asked = json.load(member)
    said = server.get("metadata").json()
    assert asked["url"] in said["instantiates"]
    served = {each["type"]: each for each in said["rest"][0]["resource"]}
    for wanted in asked["rest"][0]["resource"]:
        own = served[wanted["type"]]
        for list_, key in (("interaction", "code"), ("searchParam", "name"), ("operation", "name")):
            missing = _names(wanted.get(list_, []), key) - {each[key] for each in own.get(list_, ())}
            assert not missing, (wanted["type"], list_, missing)
        guide = {url for url in wanted.get("supportedProfile", ()) if url.startswith(US_CORE)}
        assert guide <= set(own.get("supportedProfile", ())), wanted["type"]


@pytest.mark.parametrize(
    ("type_", "query"),
    [
        ("Patient", {"_id": "p"}),
        ("Patient", {"identifier": "urn:mrn|77"}),
        ("Patient", {"name": "o'core", "gender": "female", "birthdate": "1980-02-29"}),
        ("Observation", {"patient": "p", "category": "laboratory"}),
        ("Observation", {"patient": "p", "category": f"{CATEGORY}|laboratory", "date": "gt2020-05-31T10:00:00+02:00"}),
        ("Observation", {"patient": "p", "code": "1234-5,2339-0", "date": "le2020-06-02T08:00:00+00:00"}),
        ("Encounter", {"patient": "p", "date": "ge2020-05-31T10:00:00+00:00"}),
        ("Encounter", {"patient": "p", "class": "AMB", "status": "planned,finished"}),
        ("MedicationRequest", {"patient": "p", "intent": "proposal,order", "status": "active"}),
    ],
)
def test_a_search_finds_the_same_by_get_by_post_and_by_a_typed_reference(
    server: httpx.Client, type_: str, query: dict[str, str]
) -> None:
    found = _found(server.get(type_, params=query))
    assert len(found) == 1
    assert _found(server.post(f"{type_}/_search", data=query)) == found
    if "patient" in query:
        assert _found(server.get(type_, params=query | {"patient": "Patient/p"})) == found
        assert _found(server.get(type_, params=query | {"_revinclude": "Provenance:target"}), "include") == {
            "Provenance/v"
        }


def test_medications_come_with_their_requests(server: httpx.Client) -> None:
    answer = server.get("MedicationRequest?patient=p&intent=order&_include=MedicationRequest:medication")
    assert _found(answer, "include") == {"Medication/m"}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("patient=p", {"new"}),
        (f"patient=p&type={LOINC}|11506-3", {"note"}),
        (f"patient=p&type={LOINC}|11506-3&type={LOINC}|34133-9", {"note", "new"}),
        ("patient=p&start=2020-01-01&end=2020-12-31T23:59:59Z", {"note"}),
        ("patient=p&end=2020-12-31", {"note", "old"}),
        (f"patient=p&start=2000-01-01&type={LOINC}|34133-9", {"new", "old"}),
        ("patient=p&on-demand=true", set()),
        ("patient=nobody", set()),
        (f"patient=p&start=2000-01-01&profile={US_CORE}/StructureDefinition/us-core-documentreference", set()),
    ],
)
def test_docref_finds_documents_by_the_time_of_care_or_the_newest(
    server: httpx.Client, asked: str, found: set[str]
) -> None:
    assert _found(server.get(f"DocumentReference/$docref?{asked}")) == {f"DocumentReference/{id_}" for id_ in found}


def test_docref_takes_parameters_and_says_what_is_missing(server: httpx.Client) -> None:
    parameter = [
        {"name": "patient", "valueId": "p"},
        {"name": "type", "valueCoding": {"system": LOINC, "code": "11506-3"}},
    ]
    answer = server.post("DocumentReference/$docref", json={"resourceType": "Parameters", "parameter": parameter})
    assert _found(answer) == {"DocumentReference/note"}
    assert answer.json()["link"][0]["url"].endswith(f"/DocumentReference/$docref?patient=p&type={LOINC}|11506-3")
    for asked in ("", "?patient=p&start=yesterday"):
        assert server.get(f"DocumentReference/$docref{asked}").status_code == 400

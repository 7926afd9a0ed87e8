"""`$document`: a Bundle that stands alone. Spec: https://hl7.org/fhir/R4/composition-operation-document.html"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.builders import observation, patient, resource
from tests.conformance.http.callers import Sees, all_but, having, let_in
from tests.conformance.http.operated import operated, parameters
from tests.conformance.http.over_http import BASE, XML, issue

Json = dict[str, Any]
MISSING = "http://fhir-server.org/StructureDefinition/document-missing-reference"


def ref(text: str) -> Json:
    return {"reference": text}


def composition(id_: str = "c", **elements: Any) -> Json:
    """A final Composition of p by d, in sections within sections."""
    basics: Json = {
        "status": "final",
        "type": {"text": "summary"},
        "subject": ref("Patient/p"),
        "date": "2024-05-01",
        "author": [ref("Practitioner/d")],
        "title": "Summary",
        "attester": [{"mode": "legal", "party": ref("Practitioner/attester")}],
        "custodian": ref(f"{BASE}/Organization/custodian"),
        "event": [{"detail": [ref("Observation/event")]}],
        "encounter": ref("Encounter/e"),
        "section": [
            {"title": "outer", "section": [{"title": "inner", "entry": [ref("Observation/deep"), ref("Patient/p")]}]},
            {
                "title": "next",
                "focus": ref("Observation/focus"),
                "author": [ref("Practitioner/d")],
                "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">next</div>'},
            },
        ],
    }
    return resource("Composition", id_, **{**basics, **elements})


STORED = (
    resource("Organization", "custodian", name="C", partOf=ref("Organization/above")),
    resource("Organization", "above", name="A", partOf=ref("Organization/top")),
    resource("Organization", "top", name="T"),
    resource("Practitioner", "d"),
    resource("Practitioner", "attester"),
    resource("Practitioner", "gp"),
    patient("p", active=True, generalPractitioner=[ref("Practitioner/gp")]),
    patient("other", active=False),
    resource("Encounter", "e", status="finished", **{"class": {"code": "AMB"}}, subject=ref("Patient/p")),
    *(observation(name, subject="Patient/p") for name in ("event", "deep", "focus", "stray")),
    composition(),
)
WHOLE = {
    "Patient/p", "Practitioner/d", "Practitioner/attester", "Organization/custodian", "Observation/event",
    "Encounter/e", "Observation/deep", "Observation/focus", "Organization/above", "Practitioner/gp",
}  # fmt: skip


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with operated(tmp_path) as client:
        for one in reversed(STORED):
            await put(client, one)
        yield client


async def put(http: httpx.AsyncClient, body: Json) -> None:
    response = await http.put(f"{body['resourceType']}/{body['id']}", json=body)
    assert response.status_code in (200, 201), response.text


def names(response: httpx.Response, status: int = 200) -> list[str]:
    """What a document holds, in its order; each entry has the URL that its resource has here."""
    assert response.status_code == status, response.text
    found = []
    for entry in response.json()["entry"]:
        name = f"{entry['resource']['resourceType']}/{entry['resource']['id']}"
        assert entry["fullUrl"] == f"{BASE}/{name}"
        found.append(name)
    return found


def missing(response: httpx.Response) -> list[str]:
    """What a document says that it lacks."""
    extensions = response.json()["meta"].get("extension", [])
    assert {one["url"] for one in extensions} <= {MISSING}
    return [one["valueString"] for one in extensions]


async def test_the_composition_comes_first_and_then_all_that_it_needs_each_once(http: httpx.AsyncClient) -> None:
    response = await http.get("Composition/c/$document")
    first, *others = names(response)
    assert first == "Composition/c"
    assert len(others) == len(set(others))
    assert set(others) == WHOLE
    assert missing(response) == []


async def test_it_is_a_valid_document(http: httpx.AsyncClient) -> None:
    document = (await http.get("Composition/c/$document")).json()
    assert (document["resourceType"], document["type"]) == ("Bundle", "document")
    assert document["identifier"]["system"] == "urn:ietf:rfc:3986"
    assert document["identifier"]["value"].startswith("urn:uuid:")
    assert document["timestamp"] == document["meta"]["lastUpdated"]
    validated = await http.post("Bundle/$validate", json=document)
    assert {one["severity"] for one in validated.json()["issue"]} <= {"information", "warning"}, validated.text


async def test_each_document_has_an_identifier_of_its_own(http: httpx.AsyncClient) -> None:
    one, two = [(await http.get("Composition/c/$document")).json()["identifier"] for _ in range(2)]
    assert one != two


@pytest.mark.parametrize("id_", ["c", "Composition/c", f"{BASE}/Composition/c"])
async def test_on_the_type_the_id_names_the_composition(http: httpx.AsyncClient, id_: str) -> None:
    assert set(names(await http.get("Composition/$document", params={"id": id_}))) == {"Composition/c"} | WHOLE
    assert names(await http.post("Composition/$document", json=parameters(id__uri=id_)))[0] == "Composition/c"


@pytest.mark.parametrize(
    ("url", "status", "code"),
    [
        ("Composition/$document", 400, "invalid"),
        ("Composition/$document?id=nobody", 404, "not-found"),
        ("Composition/$document?id=a/b", 400, "value"),
        ("Composition/$document?id=http://elsewhere/fhir/Composition/c", 501, "not-supported"),
        ("Composition/nobody/$document", 404, "not-found"),
        ("Composition/c/$document?graph=http://x.org/g", 501, "not-supported"),
        ("Composition/c/$document?persist=maybe", 400, "value"),
        ("Composition/c/$document?nonsense=1", 400, "not-supported"),
        ("Patient/p/$document", 404, "not-supported"),
    ],
)
async def test_what_cannot_be_made_is_refused(http: httpx.AsyncClient, url: str, status: int, code: str) -> None:
    response = await http.get(url)
    assert (response.status_code, issue(response)["code"]) == (status, code), response.text


async def test_a_deleted_composition_is_gone(http: httpx.AsyncClient) -> None:
    await http.delete("Composition/c")
    assert (await http.get("Composition/c/$document")).status_code == 410


async def test_what_is_missing_is_noted_in_the_document(http: httpx.AsyncClient) -> None:
    entries = [ref("Observation/none"), ref("http://elsewhere/fhir/Observation/o"), ref("Observation/deep")]
    await put(http, composition("gaps", section=[{"title": "s", "entry": entries}]))
    response = await http.get("Composition/gaps/$document")
    assert missing(response) == ["Observation/none", "http://elsewhere/fhir/Observation/o"]
    assert "Observation/deep" in names(response)
    validated = await http.post("Bundle/$validate", json=response.json())
    errors = [one["diagnostics"] for one in validated.json()["issue"] if one["severity"] == "error"]
    assert len(errors) == len(missing(response))
    assert all("is not in the Bundle" in error for error in errors)


async def test_what_is_contained_is_not_missing_and_other_documents_stay_out(http: httpx.AsyncClient) -> None:
    related = [{"code": "replaces", "targetReference": ref("Composition/c")}]
    author = {"contained": [resource("Practitioner", "in")], "author": [ref("#in")]}
    await put(http, composition("new", **author, relatesTo=related))
    response = await http.get("Composition/new/$document")
    assert missing(response) == []
    assert "Composition/c" not in names(response)


async def test_a_reference_to_a_version_brings_that_version(http: httpx.AsyncClient) -> None:
    await put(http, observation("deep", subject="Patient/p", status="amended"))
    entry = [ref("Observation/deep/_history/1"), ref("Observation/deep/_history/7")]
    await put(http, composition("old", section=[{"title": "s", "entry": entry}]))
    response = await http.get("Composition/old/$document")
    found = [e["resource"] for e in response.json()["entry"] if e["resource"]["id"] == "deep"]
    assert [(one["meta"]["versionId"], one["status"]) for one in found] == [("1", "final")]
    assert missing(response) == ["Observation/deep/_history/7"]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("persist", ["true", "false"])
async def test_only_what_is_to_be_kept_is_stored(http: httpx.AsyncClient, persist: str, method: str) -> None:
    await http.request(method, f"Composition/c/$document?persist={persist}")
    found = (await http.get("Bundle")).json()
    assert len(found.get("entry", [])) == (1 if persist == "true" else 0)


async def test_a_stored_document_is_found_at_its_location(http: httpx.AsyncClient) -> None:
    await put(http, composition("gaps", section=[{"title": "s", "entry": [ref("Observation/none")]}]))
    response = await http.post("Composition/gaps/$document", json=parameters(persist__boolean=True))
    assert names(response, 201)[0] == "Composition/gaps"
    stored = await http.get(response.headers["location"])
    assert stored.json() == response.json()
    assert missing(stored) == ["Observation/none"]
    assert stored.json()["entry"][0]["resource"]["meta"]["versionId"] == "1"


async def test_decimals_keep_their_digits(http: httpx.AsyncClient) -> None:
    text = (
        '{"resourceType":"Observation","id":"deep","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.20}}'
    )
    await http.put("Observation/deep", content=text, headers={"content-type": "application/fhir+json"})
    stored = await http.post("Composition/c/$document?persist=true")
    assert '"value":1.20' in (await http.get(stored.headers["location"])).text


async def test_it_is_there_in_xml(http: httpx.AsyncClient) -> None:
    response = await http.get("Composition/c/$document", headers={"accept": XML["accept"]})
    assert response.status_code == 200
    assert '<type value="document"/>' in response.text


async def test_what_the_caller_may_not_see_is_as_if_it_were_not_there(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = [ref("Patient/other"), ref("Patient/never")]
    await put(http, composition("shown", section=[{"title": "s", "entry": entries}]))
    sees = {"Patient": having("active", "true")}
    let_in(monkeypatch, Sees(sees, all_but("create", types=["Encounter"])))
    response = await http.get("Composition/shown/$document")
    assert missing(response) == ["Encounter/e", "Patient/other", "Patient/never"]
    assert not {"Encounter/e", "Patient/other"} & set(names(response))
    refused = await http.post("Composition/shown/$document?persist=true")
    assert (refused.status_code, issue(refused)["code"]) == (403, "forbidden")

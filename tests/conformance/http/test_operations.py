"""The core operations through the whole server."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conformance.http.over_http import over_asgi

JSON = {"content-type": "application/fhir+json"}
PERSON = {
    "resourceType": "Patient",
    "id": "p",
    "birthDate": "1970-01-01",
    "managingOrganization": {"reference": "Organization/o"},
}


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with over_asgi(tmp_path) as client:
        yield client


async def put(http: httpx.AsyncClient, *resources: dict[str, Any]) -> None:
    for resource in resources:
        answer = await http.put(f"/fhir/{resource['resourceType']}/{resource['id']}", json=resource, headers=JSON)
        assert answer.status_code in (200, 201), answer.text


def observation(id_: str, patient: str = "p", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation", "id": id_, "status": "final", "code": {"text": "x"},
        "subject": {"reference": f"Patient/{patient}"}, **more,
    }  # fmt: skip


async def everything(http: httpx.AsyncClient, url: str) -> list[str]:
    """Follow the links; return what was found, in order."""
    found = []
    at: str | None = url
    while at is not None:
        answer = await http.get(at)
        assert answer.status_code == 200, answer.text
        bundle = answer.json()
        found += [f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in bundle.get("entry", ())]
        at = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), None)
    return found


@pytest.fixture
async def record(http: httpx.AsyncClient) -> httpx.AsyncClient:
    """Two patients; p has ten observations, a task and a device."""
    await put(
        http,
        {"resourceType": "Organization", "id": "parent", "name": "Parent"},
        {"resourceType": "Organization", "id": "o", "name": "O", "partOf": {"reference": "Organization/parent"}},
        {"resourceType": "Practitioner", "id": "doc"},
        {"resourceType": "Practitioner", "id": "other"},
        PERSON,
        {"resourceType": "Patient", "id": "q"},
        observation("of-q", "q", performer=[{"reference": "Practitioner/other"}]),
        {"resourceType": "Task", "id": "t", "status": "draft", "intent": "order", "for": {"reference": "Patient/p"}},
        {"resourceType": "Device", "id": "d", "patient": {"reference": "Patient/p"}},
    )
    for number in range(10):
        when = {"effectiveDateTime": f"20{10 + number}-06-01"}
        await put(http, observation(f"o{number}", performer=[{"reference": "Practitioner/doc"}], **when))
    return http


OWN = {"Patient/p", "Task/t", "Device/d", *(f"Observation/o{n}" for n in range(10))}
SHARED = {"Organization/o", "Organization/parent", "Practitioner/doc"}


async def test_everything_is_the_compartment_and_what_it_refers_to(record: httpx.AsyncClient) -> None:
    found = await everything(record, "/fhir/Patient/p/$everything")
    assert sorted(found) == sorted(OWN | SHARED)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 13, 15, 16, 17])
async def test_pages_of_everything_repeat_nothing_and_leave_nothing_out(record: httpx.AsyncClient, count: int) -> None:
    found = await everything(record, f"/fhir/Patient/p/$everything?_count={count}")
    assert sorted(found) == sorted(OWN | SHARED)


async def test_pages_of_everything_stand_on_the_instant_of_the_first(record: httpx.AsyncClient) -> None:
    first = (await record.get("/fhir/Patient/p/$everything?_count=5")).json()
    await put(record, observation("new"), observation("o3", note=[{"text": "later"}]))
    await record.delete("/fhir/Observation/o1")
    rest = await everything(record, next(link["url"] for link in first["link"] if link["relation"] == "next"))
    seen = [f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in first["entry"]] + rest
    assert sorted(seen) == sorted(OWN | SHARED)


async def test_everything_keeps_to_types_and_dates(record: httpx.AsyncClient) -> None:
    assert await everything(record, "/fhir/Patient/p/$everything?_type=Practitioner") == ["Practitioner/doc"]
    assert set(await everything(record, "/fhir/Patient/p/$everything?_type=Patient,Task")) == {"Patient/p", "Task/t"}
    found = await everything(record, "/fhir/Patient/p/$everything?start=2012-01-01&end=2013-06-01&_type=Observation")
    assert set(found) == {"Observation/o2", "Observation/o3"}


async def test_everything_since_is_what_was_written_since(record: httpx.AsyncClient) -> None:
    since = (await record.get("/fhir/Observation/o8")).json()["meta"]["lastUpdated"]
    found = await everything(record, f"/fhir/Patient/p/$everything?_since={since}")
    assert set(found) == {"Observation/o8", "Observation/o9"}


async def test_everything_of_the_type_is_that_of_all_patients(record: httpx.AsyncClient) -> None:
    found = await everything(record, "/fhir/Patient/$everything?_count=4")
    assert sorted(found) == sorted(OWN | SHARED | {"Patient/q", "Observation/of-q", "Practitioner/other"})


async def test_everything_of_an_encounter(record: httpx.AsyncClient) -> None:
    inside = {"encounter": {"reference": "Encounter/e"}}
    kind = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}
    subject = {"reference": "Patient/p"}
    await put(record, {"resourceType": "Encounter", "id": "e", "status": "finished", "class": kind, "subject": subject})
    await put(record, observation("in-e", **inside))
    found = await everything(record, "/fhir/Encounter/e/$everything")
    assert set(found) == {"Encounter/e", "Observation/in-e", "Patient/p"}


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("Patient/none/$everything", 404),
        ("Patient/p/$everything?_count=0", 400),
        ("Patient/p/$everything?_count=x", 400),
        ("Patient/p/$everything?_type=Pation", 400),
        ("Patient/p/$everything?start=never", 400),
        ("Patient/p/$everything?_page=abc", 400),
        ("Patient/p/$everything?colour=red", 400),
        ("Patient/p/$everything?start=2012&start=2013", 400),
        ("Patient/p/$nothing", 404),
        ("Observation/o1/$everything", 404),
    ],
)
async def test_bad_calls_are_refused_with_the_name(record: httpx.AsyncClient, url: str, status: int) -> None:
    answer = await record.get(f"/fhir/{url}")
    assert answer.status_code == status, answer.text
    assert answer.json()["resourceType"] == "OperationOutcome"
    name = url.partition("?")[2].partition("=")[0]
    assert name in answer.text


TAG = {"system": "http://s", "code": "c"}


def meta(**values: Any) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": values}]}


async def test_meta_add_makes_a_version_that_differs_in_nothing_else(record: httpx.AsyncClient) -> None:
    before = (await record.get("/fhir/Patient/p")).json()
    answer = await record.post("/fhir/Patient/p/$meta-add", json=meta(tag=[TAG]))
    assert answer.status_code == 200, answer.text
    assert answer.json()["parameter"][0]["valueMeta"]["tag"] == [TAG]
    after = (await record.get("/fhir/Patient/p")).json()
    assert after.pop("meta")["versionId"] == "2" and before.pop("meta")["versionId"] == "1"
    assert after == before
    assert (await record.get("/fhir/Patient?_tag=http://s|c")).json()["entry"][0]["resource"]["id"] == "p"


async def test_meta_add_of_what_is_there_makes_no_version(record: httpx.AsyncClient) -> None:
    for _ in range(2):
        await record.post("/fhir/Patient/p/$meta-add", json=meta(tag=[TAG]))
    again = await record.post("/fhir/Patient/p/$meta-add", json=meta(tag=[{**TAG, "display": "other words"}]))
    assert again.json()["parameter"][0]["valueMeta"]["versionId"] == "2"


async def test_meta_delete_takes_labels_away(record: httpx.AsyncClient) -> None:
    await record.post("/fhir/Patient/p/$meta-add", json=meta(tag=[TAG], profile=["http://profile"]))
    answer = await record.post("/fhir/Patient/p/$meta-delete", json=meta(tag=[TAG]))
    found = answer.json()["parameter"][0]["valueMeta"]
    assert "tag" not in found and found["profile"] == ["http://profile"] and found["versionId"] == "3"


async def test_meta_delete_of_all_that_meta_held_leaves_a_resource_without_meta(record: httpx.AsyncClient) -> None:
    await record.post("/fhir/Patient/p/$meta-add", json=meta(tag=[TAG]))
    answer = await record.post("/fhir/Patient/p/$meta-delete", json=meta(tag=[TAG]))
    assert answer.status_code == 200, answer.text
    assert set(answer.json()["parameter"][0]["valueMeta"]) == {"versionId", "lastUpdated"}
    assert "tag" not in (await record.get("/fhir/Patient/p")).json()["meta"]


async def test_meta_of_version_type_and_system(record: httpx.AsyncClient) -> None:
    await record.post("/fhir/Patient/p/$meta-add", json=meta(tag=[TAG]))
    old = (await record.get("/fhir/Patient/p/_history/1/$meta")).json()["parameter"][0]["valueMeta"]
    assert "tag" not in old and old["versionId"] == "1"
    for url in ("Patient/$meta", "$meta"):
        assert (await record.get(f"/fhir/{url}")).json()["parameter"][0]["valueMeta"] == {"tag": [TAG]}


async def test_meta_add_is_refused_by_get_and_without_meta(record: httpx.AsyncClient) -> None:
    assert (await record.get("/fhir/Patient/p/$meta-add")).status_code == 405
    empty = {"resourceType": "Parameters"}
    assert "meta" in (await record.post("/fhir/Patient/p/$meta-add", json=empty)).text
    assert (await record.post("/fhir/Patient/p/$meta-add", json=meta(tag=[{"code": 3}]))).status_code == 400
    assert (await record.post("/fhir/Patient/none/$meta-add", json=meta(tag=[TAG]))).status_code == 404
    stale = await record.post("/fhir/Patient/p/$meta-add", json=meta(tag=[TAG]), headers={"If-Match": 'W/"7"'})
    assert stale.status_code == 412


async def finished(http: httpx.AsyncClient, where: str) -> httpx.Response:
    for _ in range(200):
        answer = await http.get(where)
        if answer.status_code != 202:
            return answer
        assert answer.headers["x-progress"].partition("/")[0].isdigit()
        assert answer.headers["retry-after"]
        await asyncio.sleep(0.02)
    raise AssertionError("the job does not end")


async def test_reindex_answers_with_counts(record: httpx.AsyncClient) -> None:
    answer = await record.post("/fhir/$reindex", json={"resourceType": "Parameters"})
    counts = {p["name"]: p for p in answer.json()["parameter"]}
    assert counts["count"]["valueUnsignedInt"] == 19
    one = await record.post("/fhir/Task/$reindex")
    assert {"name": "type", "valueCode": "Task"} in one.json()["parameter"]
    assert (await record.get("/fhir/$reindex")).status_code == 405


async def test_reindex_runs_as_a_job(record: httpx.AsyncClient) -> None:
    answer = await record.post("/fhir/$reindex", headers={"Prefer": "respond-async"})
    assert answer.status_code == 202
    result = await finished(record, answer.headers["content-location"])
    assert result.status_code == 200 and result.json()["resourceType"] == "Parameters"
    assert {"name": "count", "valueUnsignedInt": 19} in result.json()["parameter"]


async def test_any_request_runs_as_a_job(record: httpx.AsyncClient) -> None:
    answer = await record.get("/fhir/Patient/p", headers={"Prefer": "respond-async"})
    assert answer.status_code == 202
    result = await finished(record, answer.headers["content-location"])
    bundle = result.json()
    assert result.status_code == 200 and bundle["type"] == "batch-response"
    assert bundle["entry"][0]["resource"]["id"] == "p"
    missing = await record.get("/fhir/Patient/none", headers={"Prefer": "respond-async"})
    entry = (await finished(record, missing.headers["content-location"])).json()["entry"][0]
    assert entry["response"]["status"].startswith("404")


async def test_a_job_is_deleted_by_its_url(record: httpx.AsyncClient) -> None:
    answer = await record.post("/fhir/$reindex", headers={"Prefer": "respond-async"})
    where = answer.headers["content-location"]
    assert (await record.delete(where)).status_code == 202
    assert (await record.get(where)).status_code == 404
    assert (await record.get("/fhir/$job/none")).status_code == 404


async def test_the_capability_statement_lists_the_operations(http: httpx.AsyncClient) -> None:
    rest = (await http.get("/fhir/metadata")).json()["rest"][0]
    assert "reindex" in [operation["name"] for operation in rest["operation"]]
    patient = next(r for r in rest["resource"] if r["type"] == "Patient")
    assert {"everything", "meta", "meta-add", "meta-delete"} <= {o["name"] for o in patient["operation"]}


async def test_a_new_search_parameter_answers_for_what_was_there_before(record: httpx.AsyncClient) -> None:
    await put(record, {"resourceType": "Patient", "id": "r", "multipleBirthInteger": 2})
    parameter = {
        "resourceType": "SearchParameter", "url": "http://x/birth-order", "name": "o", "status": "active",
        "description": "d", "code": "birth-order", "base": ["Patient"], "type": "number",
        "expression": "Patient.multipleBirth.ofType(integer)",
    }  # fmt: skip
    answer = await record.post("/fhir/SearchParameter", json=parameter, headers=JSON)
    assert answer.status_code == 201, answer.text
    for _ in range(200):
        found = (await record.get("/fhir/Patient?birth-order=2")).json().get("entry", [])
        if found:
            break
        await asyncio.sleep(0.02)
    assert [entry["resource"]["id"] for entry in found] == ["r"]

"""`$erase`: nothing of the patient is left, others keep theirs, a hold vetoes, a restored backup does not revive."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.dispatch import entrance
from tests.builders import identifier, observation, patient, resource
from tests.conformance.http.operated import operated, parameters, parts_of, said, value_of
from tests.conformance.http.over_http import BASE

MRN, PHONE = "4711-0815-42", "+49 30 901820"
NARRATIVE = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Zyglinde Quastenflosser</div>'}


def zyglinde() -> Any:
    return patient(
        "a",
        identifier=identifier(MRN),
        name=[{"family": "Quastenflosser", "given": ["Zyglinde"]}],
        telecom=[{"system": "phone", "value": PHONE}],
        text=NARRATIVE,
    )


def ref(key: str) -> dict[str, str]:
    return {"reference": key}


RECORD = (
    zyglinde(),
    patient("b", name=[{"family": "Muster"}], identifier=identifier(MRN, "urn:family-insurance")),
    resource("Encounter", "e", status="finished", subject=ref("Patient/a"), **{"class": {"code": "AMB"}}),
    observation("o", subject="Patient/a", text=NARRATIVE),
    observation("ob", subject="Patient/b", performer=[ref("Patient/a"), ref("Patient/b")]),
    resource("Provenance", "p", target=[ref("Observation/o")], recorded="2020-01-01T00:00:00Z",
             agent=[{"who": {"display": "Dr. X"}}]),
    resource("Binary", "bin", contentType="text/plain", data="Wnln", securityContext=ref("Patient/a")),
    resource("Group", "g", type="person", actual=True, member=[
        {"entity": ref("Patient/a")}, {"entity": ref("Patient/b")}]),
    resource("Appointment", "ap", status="proposed", participant=[
        {"status": "accepted", "actor": ref("Patient/a")}, {"status": "accepted", "actor": ref("Patient/b")}]),
    resource("List", "l", status="current", mode="working", text=NARRATIVE,
             entry=[{"item": ref("Observation/o")}, {"item": ref("Observation/ob")}]),
    resource("Basic", "x", code={"text": "x"}, extension=[{"url": "urn:x", "valueReference": ref("Patient/a")}]),
    resource("Basic", "y", code={"text": "x"}, extension=[
        {"url": "urn:x", "valueReference": {"identifier": identifier(MRN)[0]}}]),
)  # fmt: skip
OWN = ("Patient/a", "Encounter/e", "Observation/o", "Provenance/p", "Binary/bin")


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with operated(tmp_path) as client:
        for one in RECORD:
            answer = await client.put(f"{one['resourceType']}/{one['id']}", json=one)
            assert answer.status_code == 201, answer.text
        await client.put("Observation/o", json=observation("o", subject="Patient/a", note=[{"text": "Zyglinde again"}]))
        await client.put("Observation/moved", json=observation("moved", subject="Patient/a"))
        await client.put("Observation/moved", json=observation("moved", subject="Patient/b"))
        await client.put("Observation/gone", json=observation("gone", subject="Patient/a"))
        await client.delete("Observation/gone")
        yield client


async def erased(http: httpx.AsyncClient, **wishes: Any) -> dict[str, Any]:
    answer = await http.post("Patient/a/$erase", json=parameters(**wishes))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = {}
    for part in answer.json()["parameter"]:
        value = parts_of(part) if "part" in part else value_of(part)
        found.setdefault(part["name"], value)
    return found


async def test_all_that_is_linked_is_gone_with_its_history(http: httpx.AsyncClient) -> None:
    certificate = await erased(http)
    assert certificate["outcome"] == "erased"
    assert certificate["before"]["resources"] == len(OWN)
    assert certificate["before"]["versions"] == len(OWN) + 1
    assert set(certificate["after"].values()) == {0}, certificate
    for key in OWN:
        assert (await http.get(key)).status_code == 410, key
        assert (await http.get(f"{key}/_history/1")).status_code == 404, key
    for query in (f"identifier={MRN}", "name=quastenflosser", "_text=zyglinde", "_content=quastenflosser"):
        assert "Patient/a" not in (await http.get(f"Patient?{query}")).text, query
    everything = (await http.get("_history?_count=1000")).text
    for text in (f'"urn:test","value":"{MRN}"', PHONE, "Quastenflosser", "Zyglinde", '"reference":"Patient/a"'):
        assert text not in everything, text


async def test_who_has_an_identifier_of_the_same_value_keeps_it(http: httpx.AsyncClient) -> None:
    await http.put("Patient/b", json=patient("b", active=True, identifier=identifier(MRN, "urn:family-insurance")))
    await erased(http)
    assert (await http.get("Patient/b/_history/1")).status_code == 200
    assert len((await http.get(f"Patient?identifier={MRN}")).json()["entry"]) == 1


async def test_copies_of_the_patient_within_others_go(http: httpx.AsyncClient) -> None:
    within = observation("c", contained=[{**zyglinde(), "id": "p"}])
    within["subject"] = ref("#p")
    bundle = {"resourceType": "Bundle", "id": "bu", "type": "collection", "entry": [
        {"fullUrl": "urn:uuid:7b8f3d5e-3b1c-4c0e-8d3a-111111111111", "resource": zyglinde()},
        {"fullUrl": "urn:uuid:7b8f3d5e-3b1c-4c0e-8d3a-222222222222", "resource": patient("b")}]}  # fmt: skip
    for one in (within, bundle):
        answer = await http.put(f"{one['resourceType']}/{one['id']}", json=one)
        assert answer.status_code == 201, answer.text
    double = patient("double", identifier=identifier(MRN), active=True)
    await http.put("Patient/double", json=double)
    assert (await erased(http))["outcome"] == "erased"
    assert (await http.get("Observation/c")).json()["contained"] == [{"resourceType": "Patient", "id": "p"}]
    assert len((await http.get("Bundle/bu")).json()["entry"]) == 1
    assert (await http.get("Patient/double")).json()["identifier"] == identifier(MRN)


async def test_others_may_not_erase(http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entrance, "_EVERYBODY", replace(entrance._EVERYBODY, admin=False))
    http.base_url = httpx.URL("http://other.example/fhir/")  # contexts are kept by base
    for path in ("Patient/a/$erase", "Patient/a/$legal-hold", "$replay-erasures", "$retention"):
        assert (await http.post(path)).status_code == 403, path
    assert (await http.get("Patient/a/$de-identify")).status_code == 403


async def test_nothing_is_left_in_the_files(http: httpx.AsyncClient, tmp_path: Path) -> None:
    await http.put("Patient/b", json=patient("b"))
    await http.post("Patient/b/$purge", json=parameters(history__boolean=True))
    assert (await http.get("Patient?_content=zyglinde")).json()["total"] == 1  # the text index has it
    certificate = await erased(http)
    assert certificate["residue"] == 0
    texts = [text.encode() for text in (MRN, PHONE, "Quastenflosser", "quastenflosser", "Zyglinde", "zyglinde")]
    for path in tmp_path.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert [text for text in texts if text in data] == [], path


async def test_what_others_have_a_part_in_stays_without_the_patient(http: httpx.AsyncClient) -> None:
    certificate = await erased(http)
    assert certificate["redacted"] == 6
    assert (await http.get("Observation/ob")).json()["performer"] == [ref("Patient/b")]
    assert (await http.get("Group/g")).json()["member"] == [{"entity": ref("Patient/b")}]
    assert [p["actor"] for p in (await http.get("Appointment/ap")).json()["participant"]] == [ref("Patient/b")]
    the_list = (await http.get("List/l")).json()
    assert the_list["entry"] == [{"item": ref("Observation/ob")}]
    assert "text" not in the_list
    for id_ in ("x", "y"):
        assert (await http.get(f"Basic/{id_}")).json()["extension"] == [
            {"url": "urn:x", "valueReference": {"display": "[erased]"}}
        ]
    assert (await http.get("Patient/b")).json()["meta"]["versionId"] == "1"


async def test_superseded_versions_that_named_the_patient_go(http: httpx.AsyncClient) -> None:
    await erased(http)
    assert (await http.get("Observation/moved")).status_code == 200
    assert (await http.get("Observation/moved/_history/1")).status_code == 404
    assert (await http.get("Observation/gone/_history/1")).status_code == 404


async def test_mentions_are_only_reported_where_that_is_the_wish(http: httpx.AsyncClient) -> None:
    certificate = await erased(http, mentions__code="report")
    assert certificate["redacted"] == 0
    assert certificate["after"]["mentions"] == 6
    assert (await http.get("Group/g")).json()["meta"]["versionId"] == "1"


async def test_a_dry_run_changes_nothing(http: httpx.AsyncClient) -> None:
    told = await erased(http, dryRun__boolean=True)
    assert told["outcome"] == "dry-run"
    assert told["before"]["resources"] == len(OWN)
    assert (await http.get("Patient/a")).status_code == 200
    assert (await erased(http))["outcome"] == "erased"


async def test_a_legal_hold_vetoes_until_it_is_released(http: httpx.AsyncClient) -> None:
    placed = await http.post("Patient/a/$legal-hold", json=parameters(action__code="place", reason__string="case 7"))
    assert placed.status_code == 200, placed.text
    refused = await http.post("Patient/a/$erase")
    assert refused.status_code == 409
    assert "legal hold (case 7)" in said(refused)
    assert (await http.get("Patient/a")).status_code == 200
    await http.post("Patient/a/$legal-hold", json=parameters(action__code="release"))
    assert (await erased(http))["outcome"] == "erased"


async def test_a_hold_needs_a_reason_and_a_patient(http: httpx.AsyncClient) -> None:
    assert (await http.post("Patient/a/$legal-hold", json=parameters(action__code="place"))).status_code == 400
    assert (await http.post("Patient/nobody/$legal-hold")).status_code == 404
    assert (await http.post("Patient/nobody/$erase")).status_code == 404


async def test_erasing_twice_finds_nothing_left(http: httpx.AsyncClient) -> None:
    await erased(http)
    again = await erased(http)
    assert set(again["before"].values()) == {0}


async def test_a_deleted_patient_is_erased_too(http: httpx.AsyncClient) -> None:
    for one in ("Provenance/p", "Observation/o", "Encounter/e", "Binary/bin"):
        await http.delete(one)
    certificate = await erased(http)
    assert certificate["outcome"] == "erased"
    assert (await http.get("Observation/o/_history/1")).status_code == 404
    assert "Quastenflosser" not in (await http.get("_history?_count=1000")).text


async def test_results_of_jobs_about_the_patient_go(http: httpx.AsyncClient) -> None:
    started = await http.get("Patient/a/$everything", headers={"prefer": "respond-async"})
    status = started.headers["content-location"].removeprefix(f"{BASE}/")
    while (await http.get(status)).status_code == 202:
        await asyncio.sleep(0.05)
    assert (await erased(http))["before"]["records"] == 1
    assert (await http.get(status)).status_code == 404


async def test_the_register_names_nobody(http: httpx.AsyncClient, tmp_path: Path) -> None:
    certificate = await erased(http)
    text = (tmp_path / "erasures.ndjson").read_text()
    assert certificate["subject"] in text
    assert "Patient" not in text and MRN not in text


async def test_who_came_back_with_a_backup_is_erased_again(http: httpx.AsyncClient) -> None:
    await erased(http)
    await http.put("Patient/a", json=zyglinde())
    await http.put("Observation/back", json=observation("back", subject="Patient/a"))
    answer = await http.post("$replay-erasures")
    assert answer.status_code == 200, answer.text
    assert [value_of(part) for part in answer.json()["parameter"]] == [1, 1]
    assert (await http.get("Patient/a")).status_code == 410
    assert (await http.get("Observation/back")).status_code == 410
    assert (await http.get("Patient/b")).status_code == 200
    assert [value_of(part) for part in (await http.post("$replay-erasures")).json()["parameter"]] == [1, 0]

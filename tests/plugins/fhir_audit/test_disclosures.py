"""The accounting of disclosures as a patient and a privacy officer ask for it."""

import asyncio
import csv
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.plugins.fhir_audit.conftest import Watched, watched

OPERATION = "$accounting-of-disclosures"
TODAY = datetime.now(UTC).date()


async def read(server: Watched, url: str, token: str, purpose: str = "", address: str = "203.0.113.9") -> None:
    headers = {"authorization": f"Bearer {token}", "x-forwarded-for": address}
    if purpose:
        headers["x-purpose-of-use"] = purpose
    answer = await server.ehr.http.get(f"/fhir/{url}", headers=headers)
    assert answer.status_code == 200, answer.text


async def ask(server: Watched, url: str, token: str) -> httpx.Response:
    await server.run()
    return await server.ehr.fhir(url, token)


def values(answer: httpx.Response) -> dict[str, list[Any]]:
    """Return the parameters by name; those with parts as dictionaries of lists."""
    assert answer.status_code == 200, answer.text
    return _values(answer.json()["parameter"])


def _values(parts: list[dict[str, Any]]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for part in parts:
        value = _values(part["part"]) if "part" in part else next(v for k, v in part.items() if k != "name")
        found.setdefault(part["name"], []).append(value)
    return found


@pytest.fixture
async def busy(server: Watched) -> Watched:
    """A server on which data of Ann went to several people for several purposes."""
    doctor = await server.token()
    await read(server, "Patient/ann", doctor)
    await read(server, "Observation?patient=ann", doctor, "HRESCH")
    await read(server, "Observation/ann-lab", doctor, "HRESCH", "203.0.113.10")
    await read(server, "Observation/bob-pulse", doctor, "HRESCH")
    await read(server, "Patient/ann", doctor, "HPAYMT")
    own = await server.ehr.bearer("patient/*.rs", user=server.ehr.ann, patient="ann")
    await read(server, "Patient/ann", own)
    service = (await server.ehr.served("system/*.rs")).json()["access_token"]
    await read(server, "Patient/ann/$everything", service)
    refused = await server.ehr.bearer("user/Encounter.rs", user=server.ehr.doctor)
    assert (await server.ehr.fhir("Patient/ann", refused)).status_code == 403
    return server


async def patient_token(server: Watched) -> str:
    return await server.ehr.bearer("patient/*.rs", user=server.ehr.ann, patient="ann")


async def test_a_patient_learns_who_got_their_data_when_what_and_what_for(busy: Watched) -> None:
    found = values(await ask(busy, f"Patient/ann/{OPERATION}", await patient_token(busy)))
    research, service = found["disclosure"]
    assert found["total"] == [2]
    assert (research["recipient"], research["reference"]) == (["Grey"], [{"reference": "Practitioner/doc"}])
    assert research["count"] == [2]
    assert set(research["what"]) == {"Observation (search)", "Observation (read)"}
    assert research["purpose"][0]["coding"][0]["code"] == "HRESCH"
    assert set(research["address"]) == {"203.0.113.9", "203.0.113.10"}
    assert research["first"][0] <= research["last"][0]
    assert (service["recipient"], service["what"]) == (["service"], ["$everything"])
    assert service["purpose"] == [{"text": "not stated"}]
    left = {each["reason"][0]: each["count"][0] for each in found["leftOut"]}
    assert left == {"treatment": 1, "payment": 1, "own": 1}
    assert "recordedSince" in found
    text = str(found)
    assert "bob" not in text


async def test_all_can_be_asked_for(busy: Watched) -> None:
    found = values(await ask(busy, f"Patient/ann/{OPERATION}?all=true", await patient_token(busy)))
    reasons = [each.get("needsNoAccount", [""])[0] for each in found["disclosure"]]
    assert {"treatment", "payment", "own", ""} <= set(reasons)
    assert "leftOut" not in found


async def test_users_without_a_record_of_their_own_are_named_by_their_account(busy: Watched) -> None:
    await read(busy, "Patient/ann", await busy.token(busy.admin), "HRESCH")
    found = values(await ask(busy, f"Patient/ann/{OPERATION}", await patient_token(busy)))
    assert [each["recipient"] for each in found["disclosure"]] == [["Grey"], ["service"], ["boss"]]
    assert busy.admin.id not in str(found)


async def test_the_period_bounds_it(busy: Watched) -> None:
    token = await patient_token(busy)
    before = values(await ask(busy, f"Patient/ann/{OPERATION}?start=2020&end=2021-06-30", token))
    assert (before["total"], before["period"]) == ([0], [{"start": "2020-01-01", "end": "2021-06-30"}])
    today = values(await ask(busy, f"Patient/ann/{OPERATION}?start={TODAY}&end={TODAY}", token))
    assert today["total"] == [2]
    default = values(await ask(busy, f"Patient/ann/{OPERATION}", token))["period"][0]
    assert int(default["end"][:4]) - int(default["start"][:4]) == 6


@pytest.mark.parametrize("query", ["start=2025-01-01&end=2024-01-01", "start=soon", "format=pdf", "count=0", "x=1"])
async def test_what_makes_no_sense_is_refused(busy: Watched, query: str) -> None:
    answer = await ask(busy, f"Patient/ann/{OPERATION}?{query}", await patient_token(busy))
    assert answer.status_code == 400, answer.text
    assert answer.json()["resourceType"] == "OperationOutcome"


async def test_pages_hold_together(busy: Watched) -> None:
    token = await patient_token(busy)
    url, seen = f"Patient/ann/{OPERATION}?count=1&all=true", list[str]()
    while url:
        found = values(await ask(busy, url, token))
        assert len(found["disclosure"]) == 1
        seen.append(found["disclosure"][0]["recipient"][0] + str(found["disclosure"][0]["purpose"]))
        url = found.get("next", [""])[0].partition("/fhir/")[2]
    assert len(seen) == len(set(seen)) >= 5


async def test_an_auditor_asks_for_anybody_also_without_a_scope_for_patients(busy: Watched) -> None:
    auditor = await busy.ehr.bearer("user/*.rs", user=busy.auditor)
    assert (await ask(busy, f"Patient/ann/{OPERATION}", auditor)).status_code == 403
    assert values(await ask(busy, f"AuditEvent/{OPERATION}?patient=Patient/ann", auditor))["total"] == [2]
    admin = await busy.token(busy.admin)
    assert values(await ask(busy, f"Patient/ann/{OPERATION}", admin))["total"] == [2]
    assert (await ask(busy, f"Patient/nobody-ever/{OPERATION}", admin)).status_code == 404
    assert (await ask(busy, f"AuditEvent/{OPERATION}", auditor)).status_code == 400
    assert (await ask(busy, f"AuditEvent/1/{OPERATION}?patient=ann", auditor)).status_code == 400


async def test_others_are_refused_alike_whether_or_not_there_is_such_a_patient(busy: Watched) -> None:
    own, doctor = await patient_token(busy), await busy.token()
    no_audit = await busy.ehr.bearer("patient/Patient.rs", user=busy.ehr.ann, patient="ann")
    answers = []
    for id_ in ("bob", "nobody-ever"):
        for token in (own, doctor):
            answer = await ask(busy, f"Patient/{id_}/{OPERATION}", token)
            assert answer.status_code == 403, answer.text
            answers.append(answer.json()["issue"])
    assert all(issue == answers[0] for issue in answers)
    assert (await ask(busy, f"Patient/ann/{OPERATION}", no_audit)).status_code == 403
    for several in ("ann,bob", "bob,ann", "Patient/ann,Patient/bob", "../ann", "ann%00"):
        assert (await ask(busy, f"Patient/{OPERATION}?patient={several}", own)).status_code == 400
    assert (await busy.ehr.fhir(f"Patient/ann/{OPERATION}")).status_code == 401


async def test_the_events_themselves_name_no_other_patient(busy: Watched) -> None:
    doctor = await busy.token()
    await read(busy, "Patient", doctor, "PUBHLTH")  # an answer about all patients
    bundle = (await ask(busy, f"Patient/ann/{OPERATION}?format=bundle", await patient_token(busy))).json()
    assert bundle["type"] == "collection"
    assert len(bundle["entry"]) == 4
    assert {entry["resource"]["resourceType"] for entry in bundle["entry"]} == {"AuditEvent"}
    assert "Patient/bob" not in str(bundle)


async def test_a_table_is_harmless_in_a_spreadsheet(busy: Watched) -> None:
    await read(busy, "Patient/ann", await busy.token(), "=cmd|' /C calc'!A0")
    answer = await ask(busy, f"Patient/ann/{OPERATION}?format=csv", await patient_token(busy))
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["recipient"] for row in rows] == ["Grey", "service", "Grey"]
    assert rows[2]["purpose"] == "'=cmd|' /C calc'!A0"


async def test_a_page_for_people_holds_no_markup_of_others(busy: Watched) -> None:
    await read(busy, "Patient/ann", await busy.token(), "<script>alert(1)</script>")
    answer = await ask(busy, f"Patient/ann/{OPERATION}?format=html", await patient_token(busy))
    assert answer.headers["content-type"].startswith("text/html")
    assert "<script" not in answer.text
    assert "&lt;script&gt;" in answer.text
    assert "Grey" in answer.text and "treatment: 1" in answer.text


async def test_what_an_app_reports_as_disclosed_is_accounted_for(busy: Watched) -> None:
    event = {
        "resourceType": "AuditEvent",
        "type": {"system": "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle", "code": "disclose"},
        "action": "R", "recorded": "2026-01-01T00:00:00Z", "outcome": "0",
        "purposeOfEvent": [{"coding": [{"system": "http://x", "code": "PUBHLTH"}]}],
        "agent": [
            {"who": {"reference": "Practitioner/doc"}, "requestor": True},
            {"who": {"display": "Department of Health"}, "requestor": False,
             "type": {"coding": [{"system": "http://x", "code": "IRCP"}]}},
        ],
        "source": {"observer": {"display": "an app"}},
        "entity": [{"what": {"reference": "Patient/ann"}, "name": "Case report of measles"}],
    }  # fmt: skip
    token = await busy.ehr.bearer("user/AuditEvent.c", user=busy.ehr.doctor)
    assert (await busy.ehr.fhir("AuditEvent", token, "POST", event)).status_code == 201
    assert (await busy.ehr.fhir("AuditEvent", token, "POST", event | {"outcome": "8"})).status_code == 201
    found = values(await ask(busy, f"Patient/ann/{OPERATION}", await patient_token(busy)))
    (reported,) = [each for each in found["disclosure"] if each["recipient"] == ["Department of Health"]]
    assert reported["what"] == ["Case report of measles"]
    assert reported["purpose"][0]["coding"][0]["code"] == "PUBHLTH"
    assert reported["count"] == [1]


async def test_a_bulk_export_is_in_the_account_once_though_it_names_nobody(server: Watched) -> None:
    service = (await server.ehr.served("system/*.rs")).json()["access_token"]
    headers = {"authorization": f"Bearer {service}", "prefer": "respond-async"}
    answer = await server.ehr.http.get("/fhir/$export", headers=headers)
    assert answer.status_code == 202, answer.text
    await asyncio.sleep(0.5)
    (export,) = values(await ask(server, f"Patient/ann/{OPERATION}", await patient_token(server)))["disclosure"]
    assert export["what"] == ["$export (of many, this patient may be among them)"]
    assert export["count"] == [1]
    assert await server.rules() == ["bulk-export"]


async def test_settings_say_which_apps_and_purposes_need_no_account(tmp_path: Path) -> None:
    async with watched(tmp_path, tpo_apps=["service"], tpo_purposes=["HRESCH"]) as server:
        service = (await server.ehr.served("system/*.rs")).json()["access_token"]
        await read(server, "Patient/ann", service)
        await read(server, "Patient/ann", await server.token(), "HRESCH")
        await read(server, "Patient/ann", service, "HLEGAL")
        found = values(await ask(server, f"Patient/ann/{OPERATION}", await patient_token(server)))
        assert [each["purpose"][0]["coding"][0]["code"] for each in found["disclosure"]] == ["HLEGAL"]


async def test_asking_for_the_account_is_recorded_itself(busy: Watched) -> None:
    await ask(busy, f"AuditEvent/{OPERATION}?patient=ann", await busy.ehr.bearer("user/*.rs", user=busy.auditor))
    await busy.run()
    answer = await busy.ehr.fhir("AuditEvent?patient=Patient/ann&_count=1", await busy.token(busy.admin))
    event = answer.json()["entry"][0]["resource"]
    assert event["subtype"][0]["code"] == "operation"
    assert "Practitioner/audrey" in str(event["agent"])

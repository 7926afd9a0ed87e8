"""What is a breach, who is told, how often; each as it happens: users with tokens over HTTP."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import apsw
import pytest

from fhir_server.alerts import Alert, raise_alert
from fhir_server.settings import Settings
from tests.conformance.smart.conftest import record
from tests.plugins.fhir_audit.conftest import Watched, watched

STREET = {"line": ["12 Elm St."], "city": "Springfield", "postalCode": "12345"}
LABEL = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "CEL"}


async def put(server: Watched, *resources: dict[str, Any]) -> None:
    token = await server.token(server.admin)
    for resource in resources:
        answer = await server.ehr.fhir(f"{resource['resourceType']}/{resource['id']}", token, "PUT", resource)
        assert answer.is_success, answer.text


async def test_many_patients_in_a_short_time_are_one_alert(tmp_path: Path) -> None:
    async with watched(tmp_path, bulk_patients=3) as server:
        token = await server.token()
        await server.run()
        for _ in range(2):
            for id_ in ("ann", "bob", "cay"):
                await server.ehr.fhir(f"Patient/{id_}", token)
            await server.run()
        (issue,) = await server.found("DetectedIssue", "code=bulk-reads")
        assert issue["severity"] == "high"
        assert issue["implicated"] == [{"reference": "Practitioner/doc"}]
        assert len(issue["evidence"][0]["detail"]) == 3
        (told,) = await server.found("Communication")
        assert told["about"] == [{"reference": f"DetectedIssue/{issue['id']}"}]
        assert told["payload"][0]["contentString"] == "Practitioner/doc read data of 3 patients within 3600 seconds"


async def test_one_search_with_many_patients_counts_as_many(tmp_path: Path) -> None:
    async with watched(tmp_path, bulk_patients=3) as server:
        await server.ehr.fhir("Patient", await server.token(scopes="user/*.rs"))
        await server.run()
        assert "bulk-reads" in await server.rules()


async def test_an_app_of_its_own_accord_is_looked_at_unless_it_is_exempt(tmp_path: Path) -> None:
    for folder, exempt, expected in (("a", (), ["bulk-reads"]), ("b", ("app:service",), [])):
        async with watched(tmp_path / folder, bulk_patients=3, exempt=exempt) as server:
            token = (await server.ehr.served("system/*.rs")).json()["access_token"]
            answer = await server.ehr.fhir("Patient", token)
            assert answer.status_code == 200
            await server.run()
            found = await server.found("DetectedIssue", "code=bulk-reads")
            assert [issue["code"]["coding"][0]["code"] for issue in found] == expected


async def test_persons_to_be_watched_are_known_by_label_flag_setting_and_list(tmp_path: Path) -> None:
    async with watched(tmp_path, vip_patients=["bob"], vip_list="List/vip", vip_life=0) as server:
        flag = {"status": "active", "code": {"coding": [{"code": "VIP"}]}, "subject": {"reference": "Patient/flagged"}}
        await put(
            server,
            record("Patient", "famous", meta={"security": [LABEL]}),
            record("Patient", "flagged"),
            record("Patient", "listed"),
            record("Flag", "f", **flag),
            record("List", "vip", status="current", mode="working", entry=[{"item": {"reference": "Patient/listed"}}]),
        )
        await server.run()
        token = await server.token()
        for id_ in ("famous", "flagged", "bob", "listed", "ann"):
            await server.ehr.fhir(f"Patient/{id_}", token)
            await server.run()
        found = await server.found("DetectedIssue", "code=vip&implicated=Practitioner/doc")
        (issue,) = found
        named = {each["reference"] for each in issue["implicated"]}
        assert named == {"Practitioner/doc", "Patient/famous", "Patient/flagged", "Patient/bob", "Patient/listed"}
        assert issue["meta"]["versionId"] == "4"
        told = await server.found("Communication", f"_id={issue['id']}")
        assert len(told) == 1
        assert told[0]["meta"]["versionId"] == "1"


async def test_a_flag_that_ends_ends_the_watch(tmp_path: Path) -> None:
    async with watched(tmp_path, vip_life=0) as server:
        await server.run()
        flag = {"code": {"coding": [{"code": "VIP"}]}, "subject": {"reference": "Patient/ann"}}
        await put(server, record("Flag", "f", status="active", **flag))
        await server.run()
        await put(server, record("Flag", "f", status="inactive", **flag))
        await server.run()
        await server.ehr.fhir("Patient/ann", await server.token())
        await server.run()
        assert await server.found("DetectedIssue", "code=vip&implicated=Practitioner/doc") == []


async def test_staff_who_open_their_own_record_or_that_of_their_household_are_told_of(tmp_path: Path) -> None:
    async with watched(tmp_path) as server:
        name = [{"family": "Grey", "given": ["Meredith"]}]
        await put(
            server,
            record("Practitioner", "doc", name=name, birthDate="1978-04-01", address=[STREET]),
            record("Patient", "herself", name=name, birthDate="1978-04-01"),
            record("Patient", "spouse", name=[{"family": "Shepherd"}], address=[STREET | {"line": ["12 Elm St"]}]),
            record("Patient", "sister", name=[{"family": "Gréy"}], address=[{"city": "springfield"}]),
            record("Patient", "other", name=[{"family": "Grey"}], address=[{"city": "Boston"}]),
        )
        token = await server.token()
        for id_ in ("herself", "spouse", "sister", "other", "ann"):
            await server.ehr.fhir(f"Patient/{id_}", token)
        await server.run()
        (own,) = await server.found("DetectedIssue", "code=own-record")
        assert own["implicated"][1:] == [{"reference": "Patient/herself"}]
        (household,) = await server.found("DetectedIssue", "code=same-household")
        assert {each["reference"] for each in household["implicated"][1:]} == {"Patient/spouse", "Patient/sister"}


async def test_a_person_links_staff_to_their_own_record(tmp_path: Path) -> None:
    async with watched(tmp_path) as server:
        links = [{"target": {"reference": name}} for name in ("Practitioner/doc", "Patient/bob")]
        await put(server, record("Person", "p", link=links))
        await server.ehr.fhir("Observation/bob-pulse", await server.token())
        await server.run()
        assert await server.rules() == ["own-record"]


async def test_patients_may_open_their_own_record(server: Watched) -> None:
    await server.ehr.fhir("Patient/ann", await server.ehr.bearer("patient/*.rs", user=server.ehr.ann, patient="ann"))
    await server.run()
    assert await server.rules() == []


async def test_reads_outside_of_working_hours(tmp_path: Path) -> None:
    async with watched(tmp_path, hours="00:00-00:01", hours_reads=2, hours_roles=["clinician"]) as server:
        token, auditor = await server.token(), await server.token(server.admin)
        await server.ehr.fhir("Patient/ann", auditor)
        await server.ehr.fhir("Patient/ann", auditor)
        await server.ehr.fhir("Patient/ann", token)
        await server.run()
        assert await server.rules() == []
        await server.ehr.fhir("Patient/bob", token)
        await server.run()
        assert await server.rules() == ["out-of-hours"]


async def test_passwords_that_are_guessed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with watched(tmp_path, login_failures=4) as server:
        location = (await server.ehr.asked("launch/patient patient/*.rs")).headers["location"]
        await server.ehr.http.get(location)
        form = {"name": "mallory", "password": "x", "request": location.rpartition("=")[2]}
        for _ in range(5):
            await server.ehr.http.post("/auth/sign-in", data=form)
        with caplog.at_level(logging.WARNING, "fhir_server.alerts"):
            await server.run()
        assert set(await server.rules()) == {"failed-sign-ins"}
        assert "mallory" not in caplog.text


async def test_emergency_access_makes_a_flag_and_an_alert_for_each_patient(server: Watched) -> None:
    token = await server.token()
    headers = {"authorization": f"Bearer {token}"}
    for patient in ("bob", "ann", "ann"):
        asked = {"patient": patient, "reason": "found unconscious in the street"}
        assert (await server.ehr.http.post("/auth/emergency", json=asked, headers=headers)).status_code == 200
    await server.run()
    assert await server.rules() == ["break-glass", "break-glass"]
    assert len(await server.found("Communication")) == 2
    flags = await server.found("Flag", "patient=bob")
    assert [flag["author"]["reference"] for flag in flags] == ["Practitioner/doc"]
    assert flags[0]["period"]["start"] < flags[0]["period"]["end"]
    assert "unconscious" not in json.dumps(flags)


async def test_an_alarm_of_the_server_is_told_too(server: Watched) -> None:
    raise_alert(Alert("unreadable-consent", "default", "a consent cannot be read, and denies", "Consent/x", "ann"))
    await server.run()
    (issue,) = await server.found()
    assert issue["code"]["coding"][0]["code"] == "unreadable-consent"
    assert issue["detail"] == "a consent cannot be read, and denies"
    assert issue["implicated"] == [{"reference": "Patient/ann"}]


async def test_nobody_but_auditors_and_administrators_sees_what_was_found(tmp_path: Path) -> None:
    async with watched(tmp_path, vip_patients=["ann"]) as server:
        await server.ehr.fhir("Patient/ann", await server.token())
        await server.run()
        (issue,) = await server.found()
        own = await server.ehr.bearer("patient/*.rs", user=server.ehr.ann, patient="ann")
        service = (await server.ehr.served("system/*.rs")).json()["access_token"]
        for token in (await server.token(), own, service):
            for type_ in ("DetectedIssue", "Communication"):
                assert (await server.ehr.fhir(f"{type_}/{issue['id']}", token)).status_code == 404
                assert "entry" not in (await server.ehr.fhir(type_, token)).json()


async def test_what_is_written_is_valid_and_recorded_as_the_work_of_the_plugin(server: Watched) -> None:
    token = await server.token()
    asked = {"patient": "bob", "reason": "found unconscious in the street"}
    await server.ehr.http.post("/auth/emergency", json=asked, headers={"authorization": f"Bearer {token}"})
    await server.run()
    admin = await server.token(server.admin)
    for type_ in ("DetectedIssue", "Communication", "Flag"):
        for resource in await server.found(type_):
            answer = await server.ehr.fhir(f"{type_}/$validate", admin, "POST", resource)
            assert [i for i in answer.json()["issue"] if i["severity"] in ("error", "fatal")] == [], answer.text
    await asyncio.sleep(0.12)
    answer = await server.ehr.fhir("AuditEvent?action=C&_count=5", await server.token(server.auditor))
    assert "plugin:fhir_audit" in answer.text


def test_settings_that_make_no_sense_are_refused() -> None:
    from fhir_audit.settings import AuditSettings
    from pydantic import ValidationError

    for wrong in ({"hours": "8-17"}, {"targets": ["ftp://x"]}, {"bulk_window": 0}, {"days": ["monday"]}):
        with pytest.raises(ValidationError):
            AuditSettings(**wrong)
    assert Settings().label_roles["BREACH"] == ("auditor", "admin")


async def test_auditors_read_what_was_found_and_nothing_else_of_these_types(tmp_path: Path) -> None:
    async with watched(tmp_path, vip_patients=["ann"]) as server:
        await put(
            server,
            record("DetectedIssue", "clinical", status="final", patient={"reference": "Patient/ann"}),
            record("Communication", "letter", status="completed", subject={"reference": "Patient/ann"}),
        )
        await server.run()
        token = await server.ehr.bearer("user/*.rs", user=server.auditor)
        for type_, hidden in (("DetectedIssue", "clinical"), ("Communication", "letter")):
            bundle = (await server.ehr.fhir(type_, token)).json()
            found = [entry["resource"]["id"] for entry in bundle["entry"]]
            assert found
            assert all(id_.startswith("vip-") for id_ in found)
            assert (await server.ehr.fhir(f"{type_}/{found[0]}", token)).status_code == 200
            assert (await server.ehr.fhir(f"{type_}/{hidden}", token)).status_code == 404
        assert (await server.ehr.fhir("Patient/ann", token)).status_code == 403


async def test_alerts_are_written_where_references_have_to_exist(tmp_path: Path) -> None:
    core = {"integrity_on_write": True}
    async with watched(tmp_path, core, vip_patients=["ann"], hours="00:00-00:01") as server:
        await server.ehr.fhir("Observation?patient=ann,nobody-ever", await server.token())
        await server.run()
        assert {"vip", "out-of-hours"} <= set(await server.rules())


async def test_alerts_name_what_the_record_does_not_have(tmp_path: Path) -> None:
    core = {"integrity_on_write": True}
    async with watched(tmp_path, core, vip_patients=["gone"], recipient="Organization/nowhere") as server:
        await server.ehr.fhir("Observation?patient=gone", await server.token())
        await server.run()
        (issue,) = await server.found("DetectedIssue", "code=vip")
        assert {"display": "Patient/gone"} in issue["implicated"]
        (told,) = await server.found("Communication")
        assert told["about"] == [{"reference": f"DetectedIssue/{issue['id']}"}]
        assert told["recipient"] == [{"display": "Organization/nowhere"}]


async def test_a_row_that_was_tampered_with_is_told_of_and_silences_no_rule(tmp_path: Path) -> None:
    async with watched(tmp_path, vip_patients=["ann"]) as server:
        await server.run()
        token = await server.token()
        await server.ehr.fhir("Patient/bob", token)
        await asyncio.sleep(0.12)
        connection = apsw.Connection(str(tmp_path / "tenants" / "default" / "record.db"))
        connection.execute("UPDATE audit SET body=x'ff' WHERE seq=(SELECT max(seq) FROM audit)")
        connection.close()
        await server.ehr.fhir("Patient/ann", token)
        await server.run()
        assert {"damaged-audit", "vip"} <= set(await server.rules())
        answer = await server.ehr.fhir("AuditEvent?subtype=alarm", await server.token(server.admin))
        assert "damaged-audit: this row cannot be read" in answer.json()["entry"][0]["resource"]["outcomeDesc"]


async def test_misshapen_resources_silence_no_rule(tmp_path: Path) -> None:
    async with watched(tmp_path, {"validation": "off"}, vip_patients=["ann"], vip_life=0) as server:
        await put(
            server,
            record("Practitioner", "doc", name="odd", address=[{"line": 7, "city": ["x"]}, "odd"]),
            record("Patient", "odd", address={"city": 1}, name=[{"family": {"a": 1}}]),
            record("Flag", "odd", code="VIP", subject="Patient/ann", status="active"),
        )
        await server.ehr.fhir("Patient/ann", await server.token())
        await server.run()
        assert "vip" in await server.rules()

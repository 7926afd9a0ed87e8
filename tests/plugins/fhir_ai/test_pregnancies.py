"""Pregnancies are followed by the feed: one alert for what is met, changed and closed with it, and none twice."""

from collections.abc import Iterator
from typing import Any

import pytest
from fhir_ai.maternal.pregnancies import gestational_age, pregnancy_of

from fhir_server.testing.server import serving
from tests.plugins.fhir_ai.patients import LOINC, NOW, ago, measured, observed, person, store, vitals
from tests.plugins.only import but

ALONE = but("fhir_ai")

SNOMED = "http://snomed.info/sct"
MS = int(NOW.timestamp() * 1000)


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    with serving(plugins_disabled=ALONE) as found:
        yield found


def _episode(patient: str, status: str = "active", code: str = "77386006", **more: Any) -> dict[str, Any]:
    type_ = {"coding": [{"system": SNOMED, "code": code}]}
    return {
        "resourceType": "EpisodeOfCare",
        "status": status,
        "type": [type_],
        "patient": {"reference": patient},
        **more,
    }


def _write(server: Any, *resources: dict[str, Any]) -> list[str]:
    names = [store(server.client, each) for each in resources]
    server.settle()
    return names


def _all(server: Any, type_: str, patient: str) -> list[dict[str, Any]]:
    bundle = server.client.get(f"/fhir/{type_}?patient={patient}&_sort=_lastUpdated").json()
    return [entry["resource"] for entry in bundle.get("entry", [])]


def _pregnant(server: Any) -> tuple[str, str]:
    patient = store(server.client, person(29))
    return patient, _write(server, _episode(patient))[0]


def test_one_reading_that_meets_a_criterion_alerts_and_is_not_told_twice(server: Any) -> None:
    patient, episode = _pregnant(server)
    (reading,) = _write(server, measured(patient, "8480-6", 172, "mm[Hg]"))
    (flag,), (message,) = _all(server, "Flag", patient), _all(server, "CommunicationRequest", patient)
    assert flag["status"] == "active"
    assert "Systolic" in flag["code"]["text"] and "172 mm[Hg]" in flag["code"]["text"]
    assert flag["meta"]["security"][0]["code"] == "AIAST"
    assert {each["reference"] for each in message["about"]} == {reading, episode}
    assert message["priority"] == "urgent"
    assert any("Not measured" in each["contentString"] for each in message["payload"])
    told = server.client.get(f"/fhir/Provenance?target=Flag/{flag['id']}").json()["entry"]
    assert len(told) == 1
    _write(server, measured(patient, "8867-4", 80, "/min"))
    assert len(_all(server, "Flag", patient)) == 1
    assert _all(server, "Flag", patient)[0]["meta"]["versionId"] == "1"


def test_an_alert_grows_and_is_closed_when_all_of_it_was_measured_anew(server: Any) -> None:
    patient, _ = _pregnant(server)
    _write(server, measured(patient, "8480-6", 172, "mm[Hg]", 1))
    _write(server, measured(patient, "8462-4", 112, "mm[Hg]", 0.9))
    (flag,) = _all(server, "Flag", patient)
    assert "Diastolic" in flag["code"]["text"]
    _write(server, measured(patient, "8480-6", 130, "mm[Hg]", 0.5))
    assert _all(server, "Flag", patient)[0]["status"] == "active"
    _write(server, measured(patient, "8462-4", 80, "mm[Hg]", 0.4))
    (flag,), (message,) = _all(server, "Flag", patient), _all(server, "CommunicationRequest", patient)
    assert (flag["status"], message["status"]) == ("inactive", "completed")
    assert "end" in flag["period"]
    _write(server, measured(patient, "8480-6", 175, "mm[Hg]", 0.1))
    assert [each["status"] for each in _all(server, "Flag", patient)] == ["inactive", "active"]


def test_what_people_closed_is_not_opened_again_for_the_same(server: Any) -> None:
    patient, _ = _pregnant(server)
    _write(server, measured(patient, "8480-6", 172, "mm[Hg]", 1))
    (flag,) = _all(server, "Flag", patient)
    server.client.put(f"/fhir/Flag/{flag['id']}", json={**flag, "status": "inactive"})
    (message,) = _all(server, "CommunicationRequest", patient)
    server.client.put(f"/fhir/CommunicationRequest/{message['id']}", json={**message, "status": "completed"})
    _write(server, measured(patient, "8480-6", 174, "mm[Hg]", 0.5))
    assert [each["status"] for each in _all(server, "Flag", patient)] == ["inactive"]
    _write(server, measured(patient, "8867-4", 135, "/min", 0.2))
    assert len(_all(server, "Flag", patient)) == 2


@pytest.mark.parametrize("how", ["finished", "entered-in-error"])
def test_the_end_of_a_pregnancy_closes_its_alert(server: Any, how: str) -> None:
    patient, episode = _pregnant(server)
    _write(server, measured(patient, "8480-6", 172, "mm[Hg]", 1))
    server.client.put(f"/fhir/{episode}", json={**_episode(patient, how), "id": episode.split("/")[1]})
    server.settle()
    (flag,), (message,) = _all(server, "Flag", patient), _all(server, "CommunicationRequest", patient)
    assert (flag["status"], message["status"]) == ("inactive", "revoked")
    _write(server, measured(patient, "8480-6", 180, "mm[Hg]", 0.2))
    assert len(_all(server, "Flag", patient)) == 1


def test_nobody_else_is_followed(server: Any) -> None:
    patient = store(server.client, person(29))
    _write(server, _episode(patient, code="386053000"), measured(patient, "8480-6", 172, "mm[Hg]"))
    assert _all(server, "Flag", patient) == []


def test_normal_stale_and_nonsensical_readings_do_not_alert(server: Any) -> None:
    patient, _ = _pregnant(server)
    _write(
        server,
        *vitals(patient),
        measured(patient, "8480-6", 172, "mm[Hg]", 30),
        measured(patient, "8462-4", 150, None, 0.5),
    )
    assert _all(server, "Flag", patient) == []


def test_a_reading_entered_in_error_takes_its_alert_back(server: Any) -> None:
    patient, _ = _pregnant(server)
    _write(server, measured(patient, "8480-6", 120, "mm[Hg]", 2))
    (reading,) = _write(server, measured(patient, "8480-6", 172, "mm[Hg]", 1))
    assert [each["status"] for each in _all(server, "Flag", patient)] == ["active"]
    wrong = {**measured(patient, "8480-6", 172, "mm[Hg]", 1), "id": reading.split("/")[1], "status": "entered-in-error"}
    assert server.client.put(f"/fhir/{reading}", json=wrong).status_code == 200
    server.settle()
    assert [each["status"] for each in _all(server, "Flag", patient)] == ["inactive"]


def test_visits_tell_how_the_pressure_grew(server: Any) -> None:
    patient, _ = _pregnant(server)
    before = server.clock.now
    try:
        for number, (systolic, diastolic) in enumerate(((110, 70), (128, 84), (168, 104))):
            server.clock.now = before + number * 14 * 86_400_000
            hours = -number * 14 * 24 + 0.5
            _write(server, measured(patient, "8480-6", systolic, "mm[Hg]", hours))
            _write(server, measured(patient, "8462-4", diastolic, "mm[Hg]", hours))
        (message,) = _all(server, "CommunicationRequest", patient)
    finally:
        server.clock.now = before
    said = " ".join(each["contentString"] for each in message["payload"])
    assert "from 110/70 to 168/104" in said


def _dated(code: str, date: str, hours: float = 24) -> dict[str, Any]:
    return {**observed("", code, hours), "valueDateTime": date}


def test_the_age_of_a_pregnancy_is_that_of_the_best_dating() -> None:
    last = _dated("8665-2", ago(24 * 70)[:10])
    assert gestational_age([last], MS) == pytest.approx(10, abs=0.2)
    told = {
        **observed("", "11884-4", 7 * 24),
        "valueQuantity": {"value": 11, "system": "http://unitsofmeasure.org", "code": "wk"},
    }
    assert gestational_age([last, told], MS) == pytest.approx(12)
    due = _dated("11778-8", ago(-24 * 140)[:10])
    assert gestational_age([last, told, due], MS) == pytest.approx(20, abs=0.2)
    assert gestational_age([_dated("11778-8", "1999-01-01"), last], MS) == pytest.approx(10, abs=0.2)
    assert gestational_age([{**told, "status": "entered-in-error"}], MS) is None


def test_episodes_are_pregnancies_by_their_code_or_their_words() -> None:
    episode = {**_episode("Patient/1"), "id": "e"}
    assert pregnancy_of(episode, MS) is not None
    worded = {**episode, "type": [{"text": "Antenatal care"}]}
    assert pregnancy_of(worded, MS) is not None
    assert pregnancy_of({**episode, "type": [{"text": "Cardiology"}]}, MS) is None
    assert pregnancy_of({**episode, "patient": {"reference": "http://elsewhere/Patient/1"}}, MS) is None
    over = pregnancy_of({**episode, "period": {"end": "2020-01-01"}}, MS)
    assert over is not None and not over.open
    assert LOINC.startswith("http")

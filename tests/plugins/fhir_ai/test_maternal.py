"""`Patient/$maternal-assess` alerts by published criteria, and on nobody who is not pregnant."""

from typing import Any

from tests.plugins.fhir_ai.patients import call, measured, observed, person, store, store_all, vitals


def _pregnant(client: Any, *more: tuple[str, float, str]) -> str:
    patient = store(client, person(29))
    yes = {"coding": [{"system": "http://snomed.info/sct", "code": "77386006"}]}
    said = {**observed(patient, "82810-3"), "valueCodeableConcept": yes}
    other = [measured(patient, *each, 0.2) for each in more]
    store_all(client, [*vitals(patient), measured(patient, "8462-4", 70, "mm[Hg]"), said, *other])
    return patient


def test_criteria_that_are_met_alert(fhir_server_app: Any) -> None:
    client = fhir_server_app.client
    patient = _pregnant(client, ("8480-6", 172, "mm[Hg]"))
    found = call(client, f"{patient}/$maternal-assess", {"name": "persist", "valueBoolean": True})
    assert "over 160" in found["alert"][0]["code"]["text"]
    assert found["message"][0]["priority"] == "urgent"
    assert found["message"][0]["sender"]["reference"].startswith("Device/")
    assert client.get(f"/fhir/Flag?patient={patient}&_summary=count").json()["total"] == 1


def test_normal_vital_signs_do_not_alert(fhir_server_app: Any) -> None:
    client = fhir_server_app.client
    found = call(client, f"{_pregnant(client)}/$maternal-assess")
    assert "alert" not in found
    assert {each["method"]["coding"][0]["code"] for each in found["risk"]} >= {"mewc", "mewt"}


def test_nobody_else_is_assessed(fhir_server_app: Any) -> None:
    client = fhir_server_app.client
    patient = store(client, person(40, "male"))
    found = call(client, f"{patient}/$maternal-assess")
    assert "risk" not in found
    assert {each["code"] for each in found["not-computed"]} == {"not-applicable", "off"}


def test_an_episode_of_care_says_that_she_is_pregnant_and_one_reading_is_enough(fhir_server_app: Any) -> None:
    client = fhir_server_app.client
    patient = store(client, person(29))
    type_ = {"coding": [{"system": "http://snomed.info/sct", "code": "77386006"}]}
    episode = {"resourceType": "EpisodeOfCare", "status": "active", "type": [type_], "patient": {"reference": patient}}
    store(client, episode)
    store(client, measured(patient, "8480-6", 172, "mm[Hg]", 0.5))
    store(client, measured(patient, "11884-4", 30, "wk", 24 * 14))
    fhir_server_app.settle()
    found = call(client, f"{patient}/$maternal-assess")
    assert "172 mm[Hg]" in found["alert"][0]["code"]["text"]
    assert "id" not in found["alert"][0]
    assert any("32 weeks" in note for note in found["note"])
    call(client, f"{patient}/$maternal-assess", {"name": "persist", "valueBoolean": True})
    assert client.get(f"/fhir/Flag?patient={patient}&_summary=count").json()["total"] == 1

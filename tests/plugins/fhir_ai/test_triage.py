"""`$triage` gives an acuity from published rules, names each, and asks for what is missing."""

from typing import Any

import pytest

from tests.plugins.fhir_ai.patients import (
    call,
    condition,
    measured,
    observed,
    outputs,
    person,
    store,
    store_all,
    vitals,
)

SNOMED = "http://snomed.info/sct"
CHEST_PAIN = {"name": "symptom", "valueString": "chest-pain"}


def _named(found: dict[str, list[Any]], name: str) -> list[str]:
    return [each["name"] for each in found.get(name, [])]


@pytest.mark.parametrize(
    ("other", "acuity"),
    [
        ({}, 5),
        ({"_8867_4": (95, "/min")}, 4),
        ({"_8480_6": (88, "mm[Hg]")}, 3),
        ({"_8480_6": (88, "mm[Hg]"), "_8867_4": (115, "/min")}, 2),
        ({"_8480_6": (88, "mm[Hg]"), "_8867_4": (135, "/min"), "_9279_1": (22, "/min")}, 1),
    ],
)
def test_acuity_follows_the_bands_of_news2(fhir_server_app: Any, other: dict[str, Any], acuity: int) -> None:
    client = fhir_server_app.client
    patient = store(client, person())
    store_all(client, vitals(patient, **other))
    found = call(client, f"{patient}/$triage")
    assert found["acuity"] == [acuity]
    assert found["status"] == ["success"]
    assert _named(found, "rule") == ["news2-band"]
    assert "missing" not in found
    assert found["guidance"][0]["status"] == "success"
    assert len(found["risk"][0]["basis"]) == 8
    assert found["flag"][0]["code"]["coding"][0]["code"] == str(acuity)


def test_missing_vitals_are_asked_for_and_not_assumed(fhir_server_app: Any) -> None:
    client = fhir_server_app.client
    patient = store(client, person())
    store(client, measured(patient, "8867-4", 72, "/min"))
    found = call(client, f"{patient}/$triage")
    assert "acuity" not in found
    assert found["status"] == ["data-required"]
    assert set(_named(found, "missing")) == {
        "respiratory_rate", "spo2", "on_oxygen", "systolic", "consciousness", "temperature",
    }  # fmt: skip
    assert len(found["guidance"][0]["dataRequirement"]) == 6


def test_what_is_measured_already_may_suffice_for_an_emergency(fhir_server_app: Any) -> None:
    client = fhir_server_app.client
    patient = store(client, person())
    store_all(client, [measured(patient, "8867-4", 135, "/min"), measured(patient, "8480-6", 80, "mm[Hg]")])
    found = call(client, f"{patient}/$triage")
    assert found["acuity"] == [2]
    assert found["status"] == ["data-requested"]
    assert "NEWS2 is at least 6" in found["rule"][0]["because"]


def test_a_red_flag_is_never_lowered_by_good_vital_signs(fhir_server_app: Any) -> None:
    client = fhir_server_app.client
    patient = store(client, person())
    store_all(client, [*vitals(patient), condition(patient, SNOMED, "29857009")])
    found = call(client, f"{patient}/$triage")
    assert found["acuity"] == [2]
    assert "red-flag-chest-pain" in _named(found, "rule")


def test_old_symptoms_are_not_of_now(fhir_server_app: Any) -> None:
    client = fhir_server_app.client
    patient = store(client, person())
    store_all(client, [*vitals(patient), condition(patient, SNOMED, "29857009", hours=400)])
    assert call(client, f"{patient}/$triage")["acuity"] == [5]


def test_a_child_gets_no_acuity_from_news2(fhir_server_app: Any) -> None:
    client = fhir_server_app.client
    patient = store(client, person(6))
    store_all(client, vitals(patient))
    found = call(client, f"{patient}/$triage")
    assert "acuity" not in found
    assert found["status"] == ["data-required"]
    assert _named(found, "rule") == ["under-16"]
    urgent = call(client, f"{patient}/$triage", {"name": "symptom", "valueString": "convulsion"})
    assert urgent["acuity"] == [1]


def test_a_young_infant_with_fever_is_urgent(fhir_server_app: Any) -> None:
    client = fhir_server_app.client
    patient = store(client, person(0.05))
    store(client, measured(patient, "8310-5", 38.6, "Cel"))
    assert call(client, f"{patient}/$triage")["acuity"] == [2]


def test_in_pregnancy_the_maternal_criteria_decide(fhir_server_app: Any) -> None:
    client = fhir_server_app.client
    patient = store(client, person(29))
    pregnant = {"coding": [{"system": SNOMED, "code": "77386006"}]}
    said = {**observed(patient, "82810-3"), "valueCodeableConcept": pregnant}
    store_all(client, [*vitals(patient), measured(patient, "8462-4", 70, "mm[Hg]"), said])
    well = call(client, f"{patient}/$triage")
    assert well["acuity"] == [4]
    assert "pregnancy" in _named(well, "rule")
    store(client, measured(patient, "8480-6", 170, "mm[Hg]", 0.1))
    ill = call(client, f"{patient}/$triage")
    assert ill["acuity"] == [2]
    assert "pregnancy-mewc" in _named(ill, "rule")


def test_in_pregnancy_the_diastolic_pressure_is_asked_for(fhir_server_app: Any) -> None:
    client = fhir_server_app.client
    patient = store(client, person(29))
    store_all(client, vitals(patient))
    pregnant = {
        "name": "input",
        "part": [{"name": "name", "valueCode": "pregnant"}, {"name": "value", "valueBoolean": True}],
    }
    found = call(client, f"{patient}/$triage", pregnant)
    assert found["status"] == ["data-required"]
    assert _named(found, "missing") == ["diastolic"]
    assert len(found["guidance"][0]["dataRequirement"]) == 1


@pytest.mark.parametrize(("systolic", "acuity"), [(120, []), (85, [3])])
def test_a_pressure_under_the_diastolic_never_reassures(fhir_server_app: Any, systolic: int, acuity: list[int]) -> None:
    client = fhir_server_app.client
    patient = store(client, person())
    store_all(client, [*vitals(patient, _8480_6=(systolic, "mm[Hg]")), measured(patient, "8462-4", 150, "mm[Hg]")])
    found = call(client, f"{patient}/$triage")
    assert found.get("acuity", []) == acuity
    (missing,) = found["missing"]
    assert (missing["name"], missing["state"]) == ("systolic", "contradictory")


@pytest.mark.parametrize("named", ["Patient/other", "http://elsewhere.example/fhir/Patient/other/_history/2"])
def test_what_is_of_somebody_else_is_refused(fhir_server_app: Any, named: str) -> None:
    client = fhir_server_app.client
    patient = store(client, person())
    pulse = measured(named, "8867-4", 190, "/min")
    for path in (f"{patient}/$triage", f"{patient}/$risk-assess", f"{patient}/$diagnose-support"):
        parts = {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": pulse}]}
        answer = client.post(f"/fhir/{path}", json=parts)
        assert answer.status_code == 400
        assert "Patient/other" in answer.json()["issue"][0]["diagnostics"]
    own = {"name": "resource", "resource": measured(patient, "8867-4", 190, "/min")}
    assert call(client, f"{patient}/$triage", own)["acuity"] == [3]


def test_at_a_kiosk_values_of_two_people_are_refused(fhir_server_app: Any) -> None:
    came = [{**person(), "id": "one"}, measured("Patient/one", "8867-4", 70, "/min")]
    both = [*came, measured("Patient/two", "8480-6", 80, "mm[Hg]")]
    for resources, status in ((came, 200), (both, 400)):
        parts = [{"name": "resource", "resource": each} for each in resources]
        answer = fhir_server_app.client.post("/fhir/$triage", json={"resourceType": "Parameters", "parameter": parts})
        assert answer.status_code == status, answer.text


@pytest.mark.parametrize(
    ("other", "state", "said"),
    [
        ({"_8867_4": (70, None)}, "unit", "no unit"),
        ({"_8867_4": (70, "mg/dL")}, "unit", "cannot be turned into /min"),
        ({"_8867_4": (900, "/min")}, "implausible", "900"),
    ],
)
def test_nonsense_is_named_and_not_used(fhir_server_app: Any, other: dict[str, Any], state: str, said: str) -> None:
    client = fhir_server_app.client
    patient = store(client, person())
    store_all(client, vitals(patient, **other))
    found = call(client, f"{patient}/$triage")
    assert "acuity" not in found
    (missing,) = found["missing"]
    assert (missing["name"], missing["state"]) == ("heart_rate", state)
    assert said in missing["because"]


def test_contradictory_values_are_named(fhir_server_app: Any) -> None:
    client = fhir_server_app.client
    patient = store(client, person())
    signs = vitals(patient)
    other = {**signs[4], "valueQuantity": {**signs[4]["valueQuantity"], "value": 150}}
    store_all(client, [*signs, other])
    (missing,) = call(client, f"{patient}/$triage")["missing"]
    assert (missing["name"], missing["state"]) == ("heart_rate", "contradictory")


def test_stale_vital_signs_do_not_count(fhir_server_app: Any) -> None:
    client = fhir_server_app.client
    patient = store(client, person())
    store_all(client, vitals(patient, hours=30))
    assert {each["state"] for each in call(client, f"{patient}/$triage")["missing"]} == {"stale"}


def test_fahrenheit_is_converted(fhir_server_app: Any) -> None:
    client = fhir_server_app.client
    patient = store(client, person())
    store_all(client, vitals(patient, _8310_5=(103.0, "[degF]")))
    found = call(client, f"{patient}/$triage")
    assert found["acuity"] == [4]
    assert any("Body temperature" in each for each in found["change"])


def test_an_unknown_patient_is_not_found(fhir_server_app: Any) -> None:
    answer = fhir_server_app.client.post("/fhir/Patient/nobody/$triage", json={"resourceType": "Parameters"})
    assert answer.status_code == 404
    assert answer.json()["resourceType"] == "OperationOutcome"


def test_triage_is_stored_in_one_transaction_with_its_provenance(fhir_server_app: Any) -> None:
    client = fhir_server_app.client
    patient = store(client, person())
    store_all(client, vitals(patient))
    for _ in range(2):
        found = call(client, f"{patient}/$triage", {"name": "persist", "valueBoolean": True})
    names = [f"{each['resourceType']}/{each['id']}" for name in ("guidance", "risk", "flag") for each in found[name]]
    for name in names:
        stored = client.get(f"/fhir/{name}").json()
        assert stored["meta"]["security"][0]["code"] == "AIAST"
    told = client.get(f"/fhir/Provenance?target={names[1]}").json()["entry"][0]["resource"]
    assert [each["reference"] for each in told["target"]] == names
    assert told["agent"][0]["who"]["reference"].startswith("Device/")
    assert len(told["entity"]) == 8
    assert client.get("/fhir/Device?_summary=count").json()["total"] == 1


def test_nothing_is_stored_unless_asked_and_a_get_stores_nothing(fhir_server_app: Any) -> None:
    client = fhir_server_app.client
    patient = store(client, person())
    assert client.get(f"/fhir/{patient}/$triage").status_code == 200
    assert client.get(f"/fhir/{patient}/$triage?persist=true").status_code == 405
    assert client.get("/fhir/Flag?_summary=count").json()["total"] == 0


def test_outputs_are_valid_resources(fhir_server_app: Any) -> None:
    client = fhir_server_app.client
    patient = store(client, person())
    store_all(client, vitals(patient, _8867_4=(70, None)))
    found = call(client, f"{patient}/$triage", CHEST_PAIN)
    for name in ("guidance", "risk", "flag"):
        resource = found[name][0]
        answer = client.post(f"/fhir/{resource['resourceType']}/$validate", json=resource).json()
        faults = [each["diagnostics"] for each in answer["issue"] if each["severity"] in ("error", "fatal", "warning")]
        assert [each for each in faults if "loinc.org" not in each and "dom-6" not in each] == []


def test_an_encounter_is_triaged_with_its_reason(fhir_server_app: Any) -> None:
    client = fhir_server_app.client
    patient = store(client, person())
    store_all(client, vitals(patient))
    encounter = {
        "resourceType": "Encounter",
        "status": "arrived",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "EMER"},
        "subject": {"reference": patient},
        "reasonCode": [{"coding": [{"system": SNOMED, "code": "29857009"}]}],
    }
    name = store(client, encounter)
    found = call(client, f"{name}/$triage")
    assert found["acuity"] == [2]
    assert found["flag"][0]["encounter"]["reference"] == name


def test_a_kiosk_sends_a_bundle(fhir_server_app: Any) -> None:
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": each} for each in (person(), *vitals("", _8480_6=(88, "mm[Hg]")))],
    }
    answer = fhir_server_app.client.post("/fhir/$triage", json=bundle)
    assert answer.status_code == 200, answer.text
    found = outputs(answer.json())
    assert found["acuity"] == [3]
    refused = fhir_server_app.client.post("/fhir/$triage", json={"resourceType": "Parameters"})
    assert refused.status_code == 400


@pytest.mark.parametrize(
    "resource",
    [
        {"resourceType": "Patient", "birthDate": 7},
        {"resourceType": "Bundle", "type": "collection", "entry": [5]},
        {
            "resourceType": "Bundle",
            "type": "collection",
            "entry": [{"resource": {"resourceType": "Patient", "name": 1}}],
        },
        {"resourceType": "Observation", "status": "final", "code": [1], "component": 3},
    ],
)
def test_a_kiosk_that_sends_what_has_no_form_is_told_where(fhir_server_app: Any, resource: dict[str, Any]) -> None:
    answer = fhir_server_app.client.post("/fhir/$triage", json=resource)
    assert answer.status_code in (400, 422), answer.text
    assert answer.json()["issue"][0]["expression"]


def test_what_is_not_known_is_refused_with_its_name(fhir_server_app: Any) -> None:
    client = fhir_server_app.client
    patient = store(client, person())
    answer = client.get(f"/fhir/{patient}/$triage?symptom=mild-ennui")
    assert answer.status_code == 400
    assert "mild-ennui" in answer.json()["issue"][0]["diagnostics"]


def test_red_flags_and_scores_stay_when_models_are_off(fhir_server_with: Any) -> None:
    client = fhir_server_with(plugins={"fhir_ai": {"models": False}}).client
    patient = store(client, person())
    store_all(client, vitals(patient))
    assert call(client, f"{patient}/$triage")["acuity"] == [5]
    assert call(client, f"{patient}/$triage", CHEST_PAIN)["acuity"] == [2]

"""`Patient/$risk-assess` computes the scores that hold, says why the others do not, and guesses nothing."""

import math
from typing import Any

import pytest
from fhir_ai.models import MODELS

from tests.plugins.fhir_ai.patients import (
    call,
    condition,
    measured,
    observed,
    person,
    store,
    store_all,
    vitals,
)

ICD10 = "http://hl7.org/fhir/sid/icd-10"


def _model(name: str) -> dict[str, Any]:
    return {"name": "model", "valueCode": name}


def _by_model(found: dict[str, list[Any]]) -> dict[str, Any]:
    return {each["method"]["coding"][0]["code"]: each for each in found.get("risk", [])}


def _left(found: dict[str, list[Any]]) -> dict[str, Any]:
    return {each["model"]: each for each in found.get("not-computed", [])}


def test_a_probability_is_a_percentage_as_published(fhir_server_app: Any) -> None:
    """Framingham 2008's own example: a woman of 61, total cholesterol 180, HDL 47, 124 mmHg, smoker: 10.48%."""
    client = fhir_server_app.client
    patient = store(client, person(61))
    smokes = {"coding": [{"system": "http://snomed.info/sct", "code": "449868002"}]}
    store_all(
        client,
        [
            measured(patient, "2093-3", 180, "mg/dL"),
            measured(patient, "2085-9", 47, "mg/dL"),
            measured(patient, "8480-6", 124, "mm[Hg]"),
            {**observed(patient, "72166-2"), "valueCodeableConcept": smokes},
        ],
    )
    found = call(client, f"{patient}/$risk-assess", _model("framingham_2008"))
    (risk,) = found["risk"]
    (prediction,) = risk["prediction"]
    assert prediction["probabilityDecimal"] == pytest.approx(10.48, abs=0.05)
    assert prediction["whenRange"]["high"]["value"] == 10
    assert len(risk["basis"]) == 5
    assert risk["meta"]["security"][0]["code"] == "AIAST"
    assert any("counted as no" in each["text"] for each in risk["note"])
    again = client.post("/fhir/RiskAssessment/$validate", json=risk).json()
    faults = [each["diagnostics"] for each in again["issue"] if each["severity"] in ("error", "fatal")]
    assert faults == []


def test_molar_units_are_converted_by_ucum_and_molar_mass(fhir_server_app: Any) -> None:
    client = fhir_server_app.client
    values = {}
    for code, value, unit in (("2160-0", 1.0, "mg/dL"), ("14682-9", 88.4, "umol/L")):
        patient = store(client, person(60, "male"))
        store(client, measured(patient, code, value, unit))
        (risk,) = call(client, f"{patient}/$risk-assess", _model("ckd_epi_2021"))["risk"]
        values[unit] = risk["prediction"][0]["rationale"].split(":")[0]
    assert float(values["mg/dL"]) == pytest.approx(float(values["umol/L"]), rel=1e-3)


@pytest.mark.parametrize(
    ("value", "unit", "state"),
    [(80, None, "unit"), (80, "mg/dL", "implausible"), (80, "kg", "unit"), (-1, "mg/dL", "implausible")],
)
def test_creatinine_that_makes_no_sense_is_named(
    fhir_server_app: Any, value: float, unit: str | None, state: str
) -> None:
    client = fhir_server_app.client
    patient = store(client, person(60, "male"))
    store_all(client, [measured(patient, "2160-0", 1, "mg/dL", 30), measured(patient, "2160-0", value, unit)])
    found = call(client, f"{patient}/$risk-assess", _model("ckd_epi_2021"))
    assert "risk" not in found
    left = _left(found)["ckd_epi_2021"]
    assert left["code"] == "missing"
    assert left["input"] == {"name": "creatinine", "state": state}


def test_an_ifcc_hba1c_is_not_read_as_a_percentage(fhir_server_app: Any) -> None:
    client = fhir_server_app.client
    patient = store(client, person(60, "male"))
    store(client, measured(patient, "59261-8", 53, "mmol/mol"))
    (risk,) = call(client, f"{patient}/$risk-assess", _model("diabetes_stage"))["risk"]
    assert any("hba1c = 7.0" in each["text"] for each in risk["note"])


def test_no_data_is_no_risk_but_a_reason_for_each_score(fhir_server_app: Any) -> None:
    client = fhir_server_app.client
    patient = store(client, person(60, "male"))
    found = call(client, f"{patient}/$risk-assess")
    left = _left(found)
    assert left["news2"]["code"] == "missing"
    assert left["mewc"]["code"] == "not-applicable"
    assert left["full_piers"]["code"] == "off"
    assert all(each["because"] for each in left.values())


def test_scores_do_not_hold_for_a_child(fhir_server_app: Any) -> None:
    client = fhir_server_app.client
    patient = store(client, person(8))
    store_all(client, vitals(patient))
    assert _left(call(client, f"{patient}/$risk-assess"))["news2"]["code"] == "not-applicable"


def test_diagnoses_and_age_make_points(fhir_server_app: Any) -> None:
    client = fhir_server_app.client
    patient = store(client, person(76))
    store_all(client, [condition(patient, ICD10, "I48.0"), condition(patient, ICD10, "I10")])
    found = call(client, f"{patient}/$risk-assess", _model("cha2ds2_vasc"))
    (risk,) = found["risk"]
    assert risk["prediction"][0]["rationale"].startswith("4 points")


def test_what_the_caller_states_goes_before_the_record(fhir_server_app: Any) -> None:
    client = fhir_server_app.client
    patient = store(client, person(60, "male"))
    quantity = {"value": 88.4, "system": "http://unitsofmeasure.org", "code": "umol/L"}
    stated = {
        "name": "input",
        "part": [{"name": "name", "valueCode": "creatinine"}, {"name": "value", "valueQuantity": quantity}],
    }
    assert "risk" in call(client, f"{patient}/$risk-assess", _model("ckd_epi_2021"), stated)


def test_horizon_chooses(fhir_server_app: Any) -> None:
    client = fhir_server_app.client
    patient = store(client, person(60, "male"))
    found = call(client, f"{patient}/$risk-assess", {"name": "horizon", "valueDecimal": 3650})
    assert "framingham_2008" in _left(found)
    assert "news2" not in _left(found)


def test_unknown_models_and_horizons_are_refused(fhir_server_app: Any) -> None:
    client = fhir_server_app.client
    patient = store(client, person())
    for query, said in (("model=frax", "frax"), ("model=frax", "thyroid-panel"), ("horizon=0", "above zero")):
        answer = client.get(f"/fhir/{patient}/$risk-assess?{query}")
        assert answer.status_code == 400
        assert said in answer.json()["issue"][0]["diagnostics"]


def test_what_is_about_another_time_is_said_and_not_left_out_in_silence(fhir_server_app: Any) -> None:
    client = fhir_server_app.client
    patient = store(client, person())
    found = call(client, f"{patient}/$risk-assess?model=lace&horizon=3650")
    assert found["note"] == ["lace is about 30 days, not 3650: it was not asked."]
    found = call(client, f"{patient}/$risk-assess?horizon=77777")
    assert found["note"] == ["No score or model is about 77777 days."]


def test_assessments_are_stored_with_their_provenance(fhir_server_app: Any) -> None:
    client = fhir_server_app.client
    patient = store(client, person())
    store_all(client, vitals(patient))
    found = call(client, f"{patient}/$risk-assess", {"name": "persist", "valueBoolean": True})
    count = len(found["risk"])
    assert count >= 2
    assert client.get(f"/fhir/RiskAssessment?patient={patient}&_summary=count").json()["total"] == count
    assert client.get(f"/fhir/Provenance?target=RiskAssessment/{found['risk'][0]['id']}").json()["total"] == 1


def test_scores_stay_and_say_so_when_models_are_off(fhir_server_with: Any) -> None:
    client = fhir_server_with(plugins={"fhir_ai": {"models": False}}).client
    patient = store(client, person())
    store_all(client, vitals(patient))
    found = call(client, f"{patient}/$risk-assess")
    assert "news2" in _by_model(found)
    assert "switched off" in found["note"][0]


def _stated(name: str, **value: Any) -> dict[str, Any]:
    return {"name": "input", "part": [{"name": "name", "valueCode": name}, {"name": "value", **value}]}


def _ward(client: Any) -> str:
    """Store somebody in hospital with what the model of SUPPORT2 asks for."""
    patient = store(client, person(70, "male"))
    stay = {
        "resourceType": "Encounter",
        "status": "in-progress",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
        "subject": {"reference": patient},
    }
    store(client, stay)
    gcs = {**observed(patient, "9269-2"), "valueInteger": 15}
    labs = (("8478-0", 75, "mm[Hg]"), ("2951-2", 138, "mmol/L"), ("14682-9", 110, "umol/L"), ("6690-2", 9, "10*9/L"))
    store_all(client, [*vitals(patient), gcs, *(measured(patient, *each) for each in labs)])
    return patient


def test_a_model_is_asked_within_its_cohort_alone(fhir_server_app: Any) -> None:
    client = fhir_server_app.client
    patient = _ward(client)
    outside = call(client, f"{patient}/$risk-assess", _model("support2-30d"))
    assert _left(outside)["support2-30d"]["code"] == "not-applicable"
    found = call(client, f"{patient}/$risk-assess", _model("support2-30d"), _stated("disease_group", valueCode="chf"))
    (risk,) = found["risk"]
    (prediction,) = risk["prediction"]
    added = [
        next(part["valueDecimal"] for part in each["extension"] if part["url"] == "points")
        for each in prediction["extension"]
        if each["url"].endswith("risk-contribution")
    ]
    assert len(added) > 20
    assert prediction["probabilityDecimal"] == pytest.approx(100 / (1 + math.exp(-sum(added))), abs=0.006)
    flagged = prediction["probabilityDecimal"] >= 100 * MODELS["support2-30d"].manifest.threshold
    assert prediction["qualitativeRisk"]["text"] == f"{'above' if flagged else 'below'} the threshold"
    assert prediction["whenRange"]["high"]["value"] == 30
    assert "conformal set" in prediction["rationale"]
    assert "sha256" in risk["method"]["text"]
    assert any("learned model" in each["text"] for each in risk["note"])


def test_a_model_of_panels_answers_where_it_is_named(fhir_server_app: Any) -> None:
    client = fhir_server_app.client
    usual, ill = store(client, person(50)), store(client, person(50))
    for patient, tsh, t4 in ((usual, 1.4, 104), (ill, 60, 20)):
        store_all(client, [measured(patient, "3016-3", tsh, "m[IU]/L"), measured(patient, "14921-1", t4, "nmol/L")])
    chances = {}
    for patient in (usual, ill):
        assert "thyroid-panel" not in _left(call(client, f"{patient}/$risk-assess"))
        (risk,) = call(client, f"{patient}/$risk-assess", _model("thyroid-panel"))["risk"]
        chances[patient] = risk["prediction"][0]["probabilityDecimal"]
        assert "conformal set" in risk["prediction"][0]["rationale"]
    assert chances[usual] < 5 < 50 < chances[ill]


def test_the_switch_turns_models_off(fhir_server_with: Any) -> None:
    client = fhir_server_with(plugins={"fhir_ai": {"models": False}}).client
    patient = _ward(client)
    parts = (_model("support2-30d"), _model("news2"), _stated("disease_group", valueCode="chf"))
    found = call(client, f"{patient}/$risk-assess", *parts)
    assert _left(found)["support2-30d"]["code"] == "off"
    assert "news2" in _by_model(found)


def test_ten_thousand_observations_are_no_hindrance(fhir_server_app: Any) -> None:
    client = fhir_server_app.client
    patient = store(client, person())
    old = [measured(patient, "8867-4", 60 + n % 40, "/min", 2 + n / 300) for n in range(10_000)]
    store_all(client, [*old, *vitals(patient)])
    found = call(client, f"{patient}/$triage")
    assert found["acuity"] == [5]
    risks = call(client, f"{patient}/$risk-assess", _model("news2"))
    assert "note" not in risks  # the newest of each code is what counts, and it was found
    assert "news2" in _by_model(risks)


def _extensions(risk: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = [each for each in risk["prediction"][0]["extension"] if each["url"].endswith(name)]
    return [{part["url"]: list(part.values())[1] for part in each["extension"]} for each in found]


def test_contributions_are_there_for_programs_and_add_up(fhir_server_app: Any) -> None:
    client = fhir_server_app.client
    patient = store(client, person(76))
    store_all(client, [condition(patient, ICD10, "I48.0"), condition(patient, ICD10, "I10")])
    (risk,) = call(client, f"{patient}/$risk-assess", _model("cha2ds2_vasc"))["risk"]
    parts = _extensions(risk, "/risk-contribution")
    assert sum(each["points"] for each in parts) == 4
    assert {"input": "hypertension", "value": True, "points": 1, "link": "identity"} in parts
    assert not _extensions(risk, "/risk-conformal-set")


def test_a_model_says_which_outcomes_it_leaves_open(fhir_server_app: Any) -> None:
    client = fhir_server_app.client
    patient = store(client, person(64, "male"))
    encounter = {"resourceType": "Encounter", "status": "in-progress", "subject": {"reference": patient}}
    store(client, {**encounter, "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"}})
    given = {
        "systolic": (110, "mm[Hg]"), "mean_arterial_pressure": (75, "mm[Hg]"), "heart_rate": (105, "/min"),
        "respiratory_rate": (24, "/min"), "temperature": (38.1, "Cel"), "sodium": (137, "mmol/L"),
        "creatinine": (1.4, "mg/dL"), "wbc": (12, "10*3/uL"),
    }  # fmt: skip
    system = "http://unitsofmeasure.org"
    parts = [
        _stated(name, valueQuantity={"value": value, "system": system, "code": unit})
        for name, (value, unit) in given.items()
    ]
    parts += [_stated("gcs", valueInteger=15), _stated("disease_group", valueCode="arf-mosf-sepsis")]
    found = call(client, f"{patient}/$risk-assess", _model("support2-30d"), *parts)
    (risk,) = found["risk"]
    assert [each["outcome"] for each in _extensions(risk, "/risk-conformal-set")] == ["survives"]


def test_a_medicine_without_atc_is_known_by_its_ingredient(fhir_server_app: Any) -> None:
    client = fhir_server_app.client
    patient = store(client, person(60))
    coding = {"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "314076"}
    order = {
        "resourceType": "MedicationRequest",
        "status": "active",
        "intent": "order",
        "subject": {"reference": patient},
    }
    medicine = {"coding": [{**coding, "display": "lisinopril 10 MG Oral Tablet"}]}
    reference = store(client, {**order, "medicationCodeableConcept": medicine})
    store_all(client, [measured(patient, code, value, unit) for code, value, unit in (
        ("8480-6", 150, "mm[Hg]"), ("2093-3", 200, "mg/dL"), ("2085-9", 50, "mg/dL"),
    )])  # fmt: skip
    found = call(
        client, f"{patient}/$risk-assess", _model("framingham_2008"), _stated("current_smoker", valueBoolean=False)
    )
    (risk,) = found["risk"]
    assert reference in [each["reference"] for each in risk["basis"]]
    assert {"input": "bp_treated", "value": True} in [
        {name: each[name] for name in ("input", "value") if name in each} for each in _extensions(risk, "-contribution")
    ]


@pytest.mark.parametrize("code", ["3150-0", "3150-6"])
def test_inspired_oxygen_counts_as_oxygen(fhir_server_app: Any, code: str) -> None:
    client = fhir_server_app.client
    patient = store(client, person(60))
    store_all(client, [*vitals(patient, _3151_8=None), measured(patient, code, 40, "%")])
    (risk,) = call(client, f"{patient}/$risk-assess", _model("news2"))["risk"]
    assert risk["prediction"][0]["rationale"].startswith("2 points")

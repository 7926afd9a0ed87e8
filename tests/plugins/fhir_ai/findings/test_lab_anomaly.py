"""`$lab-anomaly` names what stands out of a result, by which check, and what could not be checked."""

from typing import Any

import pytest

from fhir_server.testing.server import TestServer
from tests.plugins.fhir_ai.patients import measured, outputs, person, store, store_all


def stored(server: TestServer, resource: dict[str, Any]) -> str:
    return store(server.client, {**resource, "category": [{"coding": [LAB]}]})


LAB = {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}


def judged(server: TestServer, path: str, *parts: dict[str, Any]) -> dict[str, list[Any]]:
    body = {"resourceType": "Parameters", "parameter": list(parts)}
    answer = server.client.post(f"/fhir/{path}/$lab-anomaly", json=body)
    assert answer.status_code == 200, answer.text
    return outputs(answer.json()) if answer.json().get("parameter") else {}


def checks(found: dict[str, list[Any]]) -> list[tuple[str, str]]:
    return [(each["check"], each["severity"]) for each in found.get("finding", [])]


@pytest.fixture
def patient(server: TestServer) -> str:
    return store(server.client, person(60, "male"))


def test_a_value_beyond_the_critical_limit_is_high(server: TestServer, patient: str) -> None:
    found = judged(server, stored(server, measured(patient, "2823-3", 6.9, "mmol/L")))
    assert checks(found) == [("critical", "high"), ("reference-range", "low")]
    (issue,) = found["issue"]
    assert (issue["severity"], issue["status"], issue["meta"]["security"][0]["code"]) == (
        "high",
        "preliminary",
        "AIAST",
    )
    faults = server.client.post("/fhir/DetectedIssue/$validate", json=issue).json()["issue"]
    assert [each for each in faults if each["severity"] in ("error", "fatal")] == []


def test_its_own_reference_range_goes_before_the_table(server: TestServer, patient: str) -> None:
    own = {"low": {"value": 3.5, "unit": "mmol/L"}, "high": {"value": 5.1, "unit": "mmol/L"}}
    inside = stored(server, {**measured(patient, "2823-3", 5.0, "mmol/L"), "referenceRange": [own]})
    assert checks(judged(server, inside)) == []
    outside = stored(server, {**measured(patient, "2823-3", 5.2, "mmol/L", 2000), "referenceRange": [own]})
    (finding,) = judged(server, outside)["finding"]
    assert "its own reference range 3.5 to 5.1" in finding["because"]


def test_reference_ranges_of_other_people_are_passed_over(server: TestServer, patient: str) -> None:
    women = {"coding": [{"system": "http://snomed.info/sct", "code": "248152002"}]}
    child = {"low": _years(1), "high": _years(16)}
    ranges = [
        {"high": {"value": 5, "unit": "g/dL"}, "appliesTo": [women]},
        {"high": {"value": 5, "unit": "g/dL"}, "age": child},
        {"low": {"value": 13, "unit": "g/dL"}, "high": {"value": 17, "unit": "g/dL"}},
    ]
    found = judged(server, stored(server, {**measured(patient, "718-7", 15, "g/dL"), "referenceRange": ranges}))
    assert checks(found) == []


def _years(value: float) -> dict[str, Any]:
    return {"value": value, "system": "http://unitsofmeasure.org", "code": "a"}


@pytest.mark.parametrize(
    ("years", "gender", "outside"), [(30, "female", True), (30, "male", False), (8, "female", False)]
)
def test_intervals_are_by_age_and_sex(server: TestServer, years: float, gender: str, outside: bool) -> None:
    """Creatinine of 95 umol/L: NORIP has 50 to 90 for women, 60 to 100 for men, and none for children."""
    patient = store(server.client, person(years, gender))
    found = judged(server, stored(server, measured(patient, "2160-0", 95 / 88.4, "mg/dL")))
    assert (("reference-range", "low") in checks(found)) is outside
    assert any(each["check"] == "reference-range" for each in found.get("not-checked", [])) is (years < 18)


def test_a_change_beyond_the_reference_change_value_is_told(server: TestServer, patient: str) -> None:
    before = stored(server, measured(patient, "2951-2", 139, "mmol/L", 48))
    found = judged(server, stored(server, measured(patient, "2951-2", 144, "mmol/L", 1)))
    (finding,) = found["finding"]
    assert (finding["check"], finding["severity"]) == ("delta", "moderate")
    assert finding["reference"] == {"reference": before}
    assert "Cotlove" in finding["source"]
    assert "+4% in 1.96 days" in finding["because"]


def test_small_changes_and_old_results_are_no_delta(server: TestServer, patient: str) -> None:
    stored(server, measured(patient, "1742-6", 20, "U/L", 24 * 200))
    found = judged(server, stored(server, measured(patient, "1742-6", 60, "U/L", 30)))
    assert checks(found) == []
    assert "delta" in {each["check"] for each in found["not-checked"]}
    assert checks(judged(server, stored(server, measured(patient, "1742-6", 65, "U/L", 1)))) == []


@pytest.mark.parametrize(
    ("value", "unit", "check", "hint"),
    [(80, None, "unit", "umol/L"), (80, "mg/dL", "implausible", "umol/L"), (80, "kg", "unit", "umol/L"),
     (-1, "mg/dL", "implausible", "implausible")],
)  # fmt: skip
def test_nonsense_of_units_is_named_with_what_it_could_be(
    server: TestServer, patient: str, value: float, unit: str | None, check: str, hint: str
) -> None:
    found = judged(server, stored(server, measured(patient, "2160-0", value, unit)))
    (finding,) = found["finding"]
    assert (finding["check"], finding["severity"]) == (check, "moderate")
    assert hint in finding["because"]


def test_a_bound_is_not_taken_for_a_value(server: TestServer, patient: str) -> None:
    below = measured(patient, "3016-3", 0.45, "m[IU]/L")
    below["valueQuantity"]["comparator"] = "<"
    assert checks(judged(server, stored(server, below))) == [("reference-range", "low")]
    over = measured(patient, "3016-3", 2, "m[IU]/L", 500)
    over["valueQuantity"]["comparator"] = ">"
    assert checks(judged(server, stored(server, over))) == []


def test_panic_flags_of_the_laboratory_are_high(server: TestServer, patient: str) -> None:
    flag = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation", "code": "HH"}]}
    found = judged(server, stored(server, {**measured(patient, "1988-5", 380, "mg/L"), "interpretation": [flag]}))
    assert checks(found) == [("interpretation", "high")]


def test_series_of_a_person_are_held_to_westgards_rules_from_twelve_results_on(
    server: TestServer, patient: str
) -> None:
    values = [5.0, 5.1, 4.9, 5.05, 4.95, 5.0, 5.1, 4.9, 5.0, 5.05, 4.95, 5.0]
    store_all(server.client, [measured(patient, "22664-7", v, "mmol/L", 24 * (n + 2)) for n, v in enumerate(values)])
    found = judged(server, stored(server, measured(patient, "22664-7", 5.6, "mmol/L", 1)))
    assert [each["because"].split(": ")[-1].split(",")[0] for each in found["finding"]] == ["1_3s"]
    few = judged(server, stored(server, measured(patient, "2885-2", 70, "g/L", 1)))
    assert any("need 12 earlier results" in each["because"] for each in few["not-checked"])


def control(values: list[float]) -> list[dict[str, Any]]:
    results = [measured("", "2951-2", value, "mmol/L", 100 - n) for n, value in enumerate(values)]
    return [{"name": "resource", "resource": each} for each in results]


def test_control_results_are_held_to_the_laboratorys_mean_and_deviation(server: TestServer) -> None:
    limits = [{"name": "mean", "valueDecimal": 140}, {"name": "sd", "valueDecimal": 2}]
    found = judged(server, "Observation", *control([140, 147, 140, 144.5, 144.5, 135]), *limits)
    rules = [each["because"].split(": ")[1].split(",")[0] for each in found["finding"]]
    assert sorted(rules) == ["1_3s", "2_2s", "R_4s"]
    assert checks(found)[0] == ("westgard", "high")


def test_what_comes_with_the_call_is_judged_and_not_stored(server: TestServer) -> None:
    before = server.client.get("/fhir/Observation?_summary=count").json()["total"]
    results = [measured("", "718-7", 15, "g/dL", 48), measured("", "718-7", 9, "g/dL", 1)]
    found = judged(
        server, "Observation", *({"name": "resource", "resource": each} for each in [person(40, "male"), *results])
    )
    assert {each["check"] for each in found["finding"]} == {"delta", "reference-range"}
    assert server.client.get("/fhir/Observation?_summary=count").json()["total"] == before


TWO_PEOPLE = ("Patient/one", "Patient/two")


@pytest.mark.parametrize(
    ("parts", "place"),
    [
        ([], "resource"),
        ([{"name": "resource", "resource": measured(who, "718-7", 9, "g/dL", 1)} for who in TWO_PEOPLE], "resource"),
        ([{"name": "persist", "valueBoolean": True}, *control([140])], "persist"),
        ([{"name": "mean", "valueDecimal": 140}, *control([140])], "sd"),
        ([{"name": "mean", "valueDecimal": 140}, {"name": "sd", "valueDecimal": 0}, *control([140])], "sd"),
    ],
)
def test_bad_calls_are_refused_with_the_place(server: TestServer, parts: list[dict[str, Any]], place: str) -> None:
    answer = server.client.post(
        "/fhir/Observation/$lab-anomaly", json={"resourceType": "Parameters", "parameter": parts}
    )
    assert answer.status_code == 400, answer.text
    assert place in answer.json()["issue"][0]["expression"]


def test_what_is_no_known_analyte_is_said_to_be_none(server: TestServer, patient: str) -> None:
    found = judged(server, store(server.client, measured(patient, "8867-4", 70, "/min")))
    assert "no analyte that is known here" in found["note"][0]
    assert server.client.get("/fhir/Observation/nothing/$lab-anomaly").status_code == 404


def test_stored_anomalies_are_stored_once_for_each_version(server: TestServer, patient: str) -> None:
    persist = {"name": "persist", "valueBoolean": True}
    result = stored(server, measured(patient, "2951-2", 118, "mmol/L", 500))
    (first,) = judged(server, result, persist)["issue"]
    (again,) = judged(server, result, persist)["issue"]
    assert again["id"] == first["id"]
    assert first["author"]["reference"].startswith("Device/")
    resource = server.client.get(f"/fhir/{result}").json()
    corrected = {**resource, "status": "corrected", "valueQuantity": {**resource["valueQuantity"], "value": 138}}
    assert server.client.put(f"/fhir/{result}", json=corrected).status_code == 200
    assert "issue" not in judged(server, result, persist)
    assert server.client.get(f"/fhir/DetectedIssue/{first['id']}").json()["status"] == "cancelled"
    found = server.client.get(f"/fhir/Provenance?target=DetectedIssue/{first['id']}").json()
    assert found["total"] == 1


def test_models_of_the_registry_say_why_they_were_not_asked(server: TestServer, patient: str) -> None:
    found = judged(server, stored(server, measured(patient, "3016-3", 2, "m[IU]/L", 3000)))
    said = [each["because"] for each in found["not-checked"] if each["check"] == "panel"]
    assert len(said) == 2
    assert any("Total thyroxine" in each or "T4" in each for each in said)

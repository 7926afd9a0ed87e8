"""`$diagnose-support` ranks what findings speak for, with the evidence, and puts red flags first."""

from typing import Any

import pytest

from fhir_server.testing.server import TestServer
from tests.plugins.fhir_ai.patients import ago, call, condition, measured, observed, outputs, person, store, store_all

ICD10 = "http://hl7.org/fhir/sid/icd-10"
SNOMED = "http://snomed.info/sct"
INPUTS = "http://fhir-server.org/CodeSystem/score-input"


def there(*keys: str) -> list[dict[str, Any]]:
    return [{"name": "symptom", "valueString": key} for key in keys]


def gone(*keys: str) -> list[dict[str, Any]]:
    return [{"name": "absent", "valueString": key} for key in keys]


def diagnose(server: TestServer, patient: str, *parts: dict[str, Any]) -> dict[str, Any]:
    """Call it; candidates by name, in their order."""
    answer = server.client.post(
        f"/fhir/{patient}/$diagnose-support", json={"resourceType": "Parameters", "parameter": list(parts)}
    )
    assert answer.status_code == 200, answer.text
    body = answer.json()
    found: dict[str, Any] = outputs({"parameter": [each for each in body["parameter"] if each["name"] != "candidate"]})
    found["candidates"] = {
        each["part"][0]["valueCode"]: each["part"] for each in body["parameter"] if each["name"] == "candidate"
    }
    return found


def part(parts: list[dict[str, Any]], name: str) -> Any:
    each = next(each for each in parts if each["name"] == name)
    return next(value for key, value in each.items() if key != "name")


def rows(parts: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [
        {inner["name"]: next(v for k, v in inner.items() if k != "name") for inner in each["part"]}
        for each in parts
        if each["name"] == name
    ]


@pytest.fixture
def patient(server: TestServer) -> str:
    return store(server.client, person(60, "male"))


def test_ratios_of_findings_multiply_and_each_names_its_source(server: TestServer, patient: str) -> None:
    found = diagnose(server, patient, *there("dyspnoea", "nocturnal-dyspnoea", "raised-jvp"), *gone("wheezing"))
    failure = found["candidates"]["heart-failure"]
    # Wang 2005: no history 0.45, nocturnal dyspnoea 2.6, raised JVP 5.1, no wheezing 1.3
    assert part(failure, "ratio") == pytest.approx(0.45 * 2.6 * 5.1 * 1.3, rel=0.05)
    assert part(failure, "support") == "supported"
    speaks = rows(failure, "for")
    assert [each["ratio"] for each in speaks] == [5.1, 2.6, 1.3]
    assert all("https://doi.org/" in each["source"] for each in speaks)
    against = rows(failure, "against")
    assert "Heart failure: not recorded, counted as no" in against[0]["finding"]
    assert "not a diagnosis" in found["disclaimer"][0]


def test_the_strongest_of_findings_that_hang_together_counts_alone(server: TestServer, patient: str) -> None:
    found = diagnose(server, patient, *there("dyspnoea", "raised-jvp", "leg-oedema", "crackles"))
    speaks = rows(found["candidates"]["heart-failure"], "for")
    assert [(each["ratio"], each["counted"]) for each in speaks] == [(5.1, True), (2.8, False), (2.3, False)]


def test_red_flags_come_first_and_nothing_lowers_them(server: TestServer, patient: str) -> None:
    against = gone("pain-in-both-arms", "st-depression-on-ecg", "ischaemia-on-ecg")
    found = diagnose(server, patient, *there("chest-pain", "pain-on-palpation", "pleuritic-pain"), *against)
    assert part(found["candidates"]["acute-coronary-syndrome"], "support") == "less-likely"
    assert [(each["name"], each["acuity"]) for each in found["red-flag"]] == [("chest-pain", 2)]
    assert list(found)[:2] == ["disclaimer", "red-flag"]
    assert found["guidance"][0]["reasonCode"][0]["text"] == "red flag: chest-pain"


def test_findings_of_the_record_count_with_their_references(server: TestServer) -> None:
    patient = store(server.client, person(30))
    yes = {"coding": [{"system": SNOMED, "code": "52101004"}]}
    frequent = store(
        server.client,
        {**observed(patient, "x"), "code": {"coding": [{"system": SNOMED, "code": "162116003"}]},
         "valueCodeableConcept": yes},
    )  # fmt: skip
    no = store(
        server.client,
        {**observed(patient, "x"), "code": {"coding": [{"system": INPUTS, "code": "vaginal-discharge"}]},
         "valueBoolean": False},
    )  # fmt: skip
    dysuria = store(server.client, condition(patient, ICD10, "R30.0"))
    found = diagnose(server, patient)
    infection = found["candidates"]["urinary-tract-infection"]
    assert part(infection, "ratio") == pytest.approx(1.5 * 1.8 * 3.1, rel=0.05)
    held = {each["reference"]["reference"] for each in rows(infection, "for")}
    assert held == {frequent, dysuria, no}
    assert {each["reference"] for each in found["risk"][0]["basis"]} >= held


def test_what_was_refuted_speaks_against_and_what_is_old_says_nothing(server: TestServer) -> None:
    patient = store(server.client, person(30))
    refuted = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-ver-status", "code": "refuted"}]}
    gone_ = {**condition(patient, ICD10, "R30.0"), "verificationStatus": refuted}
    del gone_["clinicalStatus"]
    store_all(server.client, [gone_, condition(patient, ICD10, "R31", 24 * 30)])
    found = diagnose(server, patient, *there("urinary-frequency"))
    infection = found["candidates"]["urinary-tract-infection"]
    assert [each["ratio"] for each in rows(infection, "against")] == [0.5]
    assert [each["ratio"] for each in rows(infection, "for")] == [1.8]


def test_criteria_that_are_met_rank_first(server: TestServer) -> None:
    patient = store(server.client, person(40, "male"))
    store_all(
        server.client,
        [measured(patient, "2160-0", 0.9, "mg/dL", 30), measured(patient, "14682-9", 133, "umol/L", 1)],
    )
    found = diagnose(server, patient, *there("dyspnoea", "raised-jvp"))
    first = next(iter(found["candidates"].values()))
    assert (part(first, "name"), part(first, "support")) == ("acute-kidney-injury", "criteria-met")
    (criterion,) = rows(first, "criterion")
    assert (criterion["state"], criterion["kind"]) == ("met", "definition")
    assert criterion["finding"] == "Creatinine in serum 0.9, then 1.504"


def test_kidney_disease_needs_three_months(server: TestServer) -> None:
    once = store(server.client, person(70))
    store(server.client, measured(once, "98979-8", 45, "mL/min/{1.73_m2}", 5))
    twice = store(server.client, person(70))
    store_all(
        server.client,
        [
            measured(twice, "98979-8", 45, "mL/min/{1.73_m2}", 5),
            measured(twice, "98979-8", 50, "mL/min/{1.73_m2}", 2400),
        ],
    )
    (unsure,) = rows(diagnose(server, once)["candidates"]["chronic-kidney-disease"], "criterion")
    (sure,) = rows(diagnose(server, twice)["candidates"]["chronic-kidney-disease"], "criterion")
    assert (unsure["state"], sure["state"]) == ("unknown", "met")


def test_it_names_the_findings_that_would_change_the_ranking(server: TestServer) -> None:
    patient = store(server.client, person(35))
    store(server.client, measured(patient, "718-7", 9.5, "g/dL", 24))
    found = diagnose(server, patient, *there("cough"))
    change = next(each for each in found["change"] if each["candidate"] == "iron-deficiency-anaemia")
    assert change["finding"].startswith("Ferritin")
    assert change["rank-if-present"] <= change["rank"]
    assert found["guidance"][0]["status"] == "data-requested"
    needed = [each["codeFilter"][0]["code"][0]["code"] for each in found["guidance"][0]["dataRequirement"]]
    assert "2276-4" in needed


def test_values_without_a_unit_are_named_and_not_used(server: TestServer) -> None:
    patient = store(server.client, person(35))
    store_all(server.client, [measured(patient, "718-7", 9.5, "g/dL"), measured(patient, "2276-4", 8, None)])
    found = diagnose(server, patient)
    assert {each["name"]: each["state"] for each in found["unusable"]} == {"ferritin": "unit"}
    assert part(found["candidates"]["iron-deficiency-anaemia"], "ratio") == 1


def test_a_sign_said_both_ways_at_once_is_not_used(server: TestServer) -> None:
    patient = store(server.client, person(35))
    at = {"coding": [{"system": INPUTS, "code": "cough"}]}
    both = [{**observed(patient, "x", 2), "code": at, "valueBoolean": each} for each in (True, False)]
    store_all(server.client, both)
    found = diagnose(server, patient)
    assert [(each["name"], each["state"]) for each in found["unusable"]] == [("cough", "contradictory")]
    assert found["candidates"] == {}
    assert found["guidance"][0]["status"] == "data-required"


def test_nothing_known_is_data_required_and_makes_no_risk(server: TestServer, patient: str) -> None:
    found = diagnose(server, patient)
    assert found["guidance"][0]["status"] == "data-required"
    assert "risk" not in found


def test_sex_and_age_bound_what_is_considered(server: TestServer, patient: str) -> None:
    assert "urinary-tract-infection" not in diagnose(server, patient, *there("dysuria"))["candidates"]
    child = store(server.client, person(8))
    assert "heart-failure" not in diagnose(server, child, *there("dyspnoea"))["candidates"]


def test_it_is_stored_in_one_transaction_with_device_and_provenance(server: TestServer, patient: str) -> None:
    persist = {"name": "persist", "valueBoolean": True}
    found = diagnose(server, patient, *there("dyspnoea", "raised-jvp"), persist)
    guidance, risk = found["guidance"][0], found["risk"][0]
    for each in (guidance, risk):
        assert each["meta"]["security"][0]["code"] == "AIAST"
        assert each["performer"]["reference"].startswith("Device/")
        stored = server.client.get(f"/fhir/{each['resourceType']}/{each['id']}").json()
        faults = server.client.post(f"/fhir/{each['resourceType']}/$validate", json=stored).json()["issue"]
        assert [issue for issue in faults if issue["severity"] in ("error", "fatal")] == []
    bundle = server.client.get(f"/fhir/Provenance?target=RiskAssessment/{risk['id']}").json()
    (provenance,) = [entry["resource"] for entry in bundle["entry"]]
    assert {each["reference"].split("/")[0] for each in provenance["target"]} == {"GuidanceResponse", "RiskAssessment"}


@pytest.mark.parametrize(
    ("parts", "status", "place"),
    [
        (there("feels-odd"), 400, "symptom"),
        (there("cough") + gone("cough"), 400, "absent"),
        ([{"name": "input", "part": [{"name": "name", "valueCode": "shoe"}, {"name": "value", "valueBoolean": True}]}],
         400, "input.name"),
    ],
)  # fmt: skip
def test_bad_calls_are_refused_with_the_place(
    server: TestServer, patient: str, parts: list[dict[str, Any]], status: int, place: str
) -> None:
    answer = server.client.post(
        f"/fhir/{patient}/$diagnose-support", json={"resourceType": "Parameters", "parameter": parts}
    )
    assert answer.status_code == status, answer.text
    assert place in answer.json()["issue"][0]["expression"]


def test_an_unknown_patient_is_404(server: TestServer) -> None:
    assert server.client.get("/fhir/Patient/nobody/$diagnose-support").status_code == 404


def test_many_observations_do_not_hide_the_newest(server: TestServer) -> None:
    patient = store(server.client, person(35))
    many = [measured(patient, "718-7", 9 + n % 3, "g/dL", 2 + n / 10) for n in range(1500)]
    store_all(server.client, many)
    store(server.client, {**measured(patient, "2276-4", 9, "ng/mL"), "effectiveDateTime": ago(1)})
    found = call(server.client, f"{patient}/$diagnose-support")
    assert found["candidate"][0]["support"] == "supported"

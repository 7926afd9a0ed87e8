"""The public vectors of scores: what other implementations and the papers' own examples give."""

import json
from typing import Any

import pytest
from fhir_ai.scores import SCORES
from fhir_ai.scores.kidney import kfre4
from fhir_ai.scores.prevent import coefficients, prevent

from tests.plugins.fhir_ai.scores.translations import CLINCALC, Case
from tests.shared_data import shared_data

VECTORS: dict[str, list[dict[str, Any]]] = json.loads((shared_data("ai") / "score-vectors.json").read_text())
PUBLISHED = json.loads((shared_data("ai") / "prevent-coefficients.json").read_text())
BY_STEPS = {"fib4": 0.0051}
SETS_OF_POINTS = [
    (ours, theirs, number)
    for ours, (theirs, _) in CLINCALC.items()
    if theirs in VECTORS and ours != "charlson"
    for number in range(len(VECTORS[theirs]))
]


@pytest.mark.parametrize(("ours", "theirs", "number"), SETS_OF_POINTS)
def test_score_of_points_is_that_of_the_vector(ours: str, theirs: str, number: int) -> None:
    vector = VECTORS[theirs][number]
    values = CLINCALC[ours][1](_with_grades(vector["inp"]))
    assert SCORES[ours].compute(values).value == pytest.approx(vector["out"], abs=BY_STEPS.get(ours, 1e-9))


def _with_grades(case: Case) -> Case:
    grades = {"grade1-2": "grade1-to2", "grade3-4": "grade3-to4"}
    grade = case.get("encephalopathy")
    return {**case, "encephalopathy": grades.get(str(grade), grade)}


@pytest.mark.parametrize("vector", VECTORS["charlson"], ids=lambda vector: f"age-{vector['inp']['age']}")
def test_charlson_is_that_of_the_vector_with_and_without_age(vector: dict[str, Any]) -> None:
    name = "charlson_age" if vector["inp"]["include_age_adjustment"] else "charlson"
    assert SCORES[name].compute(CLINCALC["charlson"][1](vector["inp"])).value == vector["out"]


def _lipid_case(case: Case) -> dict[str, Any]:
    return {
        "age": case["age"],
        "sex": case["sex"],
        "race": case.get("race", "white"),
        "total_cholesterol": case["tc"],
        "hdl_cholesterol": case["hdl"],
        "systolic": case["sbp"],
        "bp_treated": bool(case["treated"]),
        "current_smoker": bool(case["smoker"]),
        "diabetes": bool(case["diabetes"]),
    }


@pytest.mark.parametrize(("name", "key"), [("pooled_cohort_2013", "PCE2013"), ("framingham_2008", "Framingham2008")])
def test_cardiovascular_equation_gives_the_risk_of_the_vector(name: str, key: str) -> None:
    for vector in VECTORS[key]:
        result = SCORES[name].compute(_lipid_case(vector["inp"]))
        assert result.value == pytest.approx(vector["out"], abs=0.00005)


@pytest.mark.parametrize("vector", VECTORS["PREVENT_base"], ids=lambda vector: f"age-{vector['inp']['age']}")
def test_prevent_base_model_gives_all_ten_risks_of_the_vector(vector: dict[str, Any]) -> None:
    case = vector["inp"]
    values = {
        **_lipid_case({**case, "treated": case["bp_tx"], "smoker": case["smk"], "diabetes": case["dm"]}),
        "statin": bool(case["statin"]),
        "egfr": case["egfr"],
        "bmi": case["bmi"],
    }
    for key, expected in vector["out"].items():
        outcome, horizon = key.split("_")
        assert prevent(values, outcome, int(horizon.rstrip("y"))).value == pytest.approx(expected, abs=0.00005)


def test_prevent_coefficients_are_the_published_ones() -> None:
    models = {"base": "base", "acr": "uacr", "hba1c": "hba1c", "sdi": "sdi", "full": "full"}
    expected = {
        f"{models[key.split('_')[0]]}/{key.split('_')[1]}/{who.split('_')[1]}/{_sex(who)}": {
            term: value for term, value in terms.items() if value
        }
        for key, sets in PUBLISHED.items()
        for who, terms in sets.items()
    }
    assert coefficients() == expected
    assert len(expected) == 100


def _sex(who: str) -> str:
    return "female" if who.startswith("women") else "male"


def test_kidney_failure_risk_is_that_of_the_vectors() -> None:
    for vector in VECTORS["KFRE4"]:
        case = vector["inp"]
        values = {
            "age": case["age"],
            "sex": "male" if case["male"] else "female",
            "egfr": case["egfr"],
            "uacr": case["uacr_mg_g"],
            "region": "north_america" if case["north_america"] else "other",
        }
        assert kfre4(values, case["years"]).value == pytest.approx(vector["out"], abs=0.000005)


def test_filtration_rate_is_that_of_the_vectors() -> None:
    for vector in VECTORS["CKD-EPI2021"]:
        case = vector["inp"]
        values = {"creatinine": case["scr"], "age": case["age"], "sex": "female" if case["female"] else "male"}
        assert SCORES["ckd_epi_2021"].compute(values).value == pytest.approx(vector["out"], abs=0.005)


def test_meld_3_is_that_of_the_vector() -> None:
    for vector in VECTORS["MELD3"]:
        case = vector["inp"]
        values = {
            "bilirubin": case["bili"],
            "sodium": case["na"],
            "inr": case["inr"],
            "creatinine": case["cr"],
            "albumin": case["alb"],
            "sex": "female",
            "dialysis": False,
        }
        result = SCORES["meld_3"].compute(values)
        raw = sum(part.points for part in result.contributions if part.input != "(rounding)")
        assert (result.value, raw) == (vector["out"], pytest.approx(vector["raw"], abs=0.0005))


def test_full_piers_is_that_of_the_vectors() -> None:
    for vector in VECTORS["fullPIERS"]:
        case = vector["inp"]
        values = {
            "gestational_age": case["ga_wk"],
            "chest_pain_or_dyspnoea": bool(case["chest_pain_dyspnoea"]),
            "creatinine": case["creat_umol"] / 88.42,
            "platelets": case["plt"],
            "ast": case["ast"],
            "spo2": case["spo2"],
        }
        assert SCORES["full_piers"].compute(values).value == pytest.approx(vector["out"], abs=0.00005)


def test_mini_piers_is_that_of_the_vectors() -> None:
    for vector in VECTORS["miniPIERS"]:
        case = vector["inp"]
        values = {
            "parous": bool(case["multip"]),
            "gestational_age": case["ga_wk"],
            "systolic": case["sbp"],
            "dipstick": case["dip"],
            "bleeding_with_pain": bool(case["bleed_pain"]),
            "headache_or_visual": bool(case["headache"]),
            "chest_pain_or_dyspnoea": bool(case["chest"]),
        }
        assert SCORES["mini_piers"].compute(values).value == pytest.approx(vector["out"], abs=0.00005)

"""Vectors derived from the papers: their tables, limits and worked examples, each with its citation."""

import math
from typing import Any

import pytest
from fhir_ai.scores import SCORES
from fhir_ai.scores.prevent import model_of, prevent

from tests.plugins.fhir_ai.scores.patients import known

HEALTHY_VITALS: dict[str, Any] = {
    "respiratory_rate": 16,
    "spo2": 97,
    "spo2_scale": "1",
    "on_oxygen": False,
    "systolic": 120,
    "heart_rate": 70,
    "consciousness": "alert",
    "temperature": 37.0,
}

# Royal College of Physicians, NEWS2 (2017), chart 1: the scoring system
NEWS2_TABLE = [
    ("respiratory_rate", {8: 3, 9: 1, 11: 1, 12: 0, 20: 0, 21: 2, 24: 2, 25: 3}),
    ("spo2", {91: 3, 92: 2, 93: 2, 94: 1, 95: 1, 96: 0}),
    ("systolic", {90: 3, 91: 2, 100: 2, 101: 1, 110: 1, 111: 0, 219: 0, 220: 3}),
    ("heart_rate", {40: 3, 41: 1, 50: 1, 51: 0, 90: 0, 91: 1, 110: 1, 111: 2, 130: 2, 131: 3}),
    ("temperature", {35.0: 3, 35.1: 1, 36.0: 1, 36.1: 0, 38.0: 0, 38.1: 1, 39.0: 1, 39.1: 2}),
    ("consciousness", {"alert": 0, "confusion": 3, "voice": 3, "pain": 3, "unresponsive": 3}),
]


@pytest.mark.parametrize(("name", "table"), NEWS2_TABLE)
def test_news2_gives_the_points_of_the_chart(name: str, table: dict[Any, int]) -> None:
    found = {value: SCORES["news2"].compute({**HEALTHY_VITALS, name: value}).value for value in table}
    assert found == table


def test_news2_scale_2_is_for_a_target_of_88_to_92() -> None:
    air = {83: 3, 84: 2, 85: 2, 86: 1, 87: 1, 88: 0, 92: 0, 93: 0, 97: 0, 100: 0}
    oxygen = {83: 3, 85: 2, 87: 1, 88: 0, 92: 0, 93: 1, 94: 1, 95: 2, 96: 2, 97: 3, 100: 3}
    scale = {**HEALTHY_VITALS, "spo2_scale": "2"}
    assert {value: SCORES["news2"].compute({**scale, "spo2": value}).value for value in air} == air
    given = {**scale, "on_oxygen": True}
    assert {value: SCORES["news2"].compute({**given, "spo2": value}).value - 2 for value in oxygen} == oxygen


def test_news2_reads_fahrenheit_that_was_converted_as_the_chart_would() -> None:
    for fahrenheit, points in ((95.0, 3), (96.8, 1), (100.4, 0), (102.2, 1)):
        celsius = (fahrenheit - 32) * 5 / 9
        assert SCORES["news2"].compute({**HEALTHY_VITALS, "temperature": celsius}).value == points


def test_news2_bands_are_those_of_the_college() -> None:
    single = SCORES["news2"].compute({**HEALTHY_VITALS, "respiratory_rate": 25})
    assert (single.value, single.band) == (3, "low-medium")
    assert SCORES["news2"].compute(HEALTHY_VITALS).band == "low"
    vitals = {**HEALTHY_VITALS, "respiratory_rate": 24, "spo2": 92, "systolic": 98, "heart_rate": 112}
    worst = SCORES["news2"].compute({**vitals, "temperature": 38.6})
    assert (worst.value, worst.band) == (9, "high")
    medium = SCORES["news2"].compute({**HEALTHY_VITALS, "respiratory_rate": 22, "spo2": 93, "heart_rate": 95})
    assert (medium.value, medium.band) == (5, "medium")


# Seymour 2016, JAMA 315:762: respiratory rate >= 22, systolic <= 100, Glasgow coma scale < 15
def test_qsofa_limits_are_those_of_the_paper() -> None:
    calm = {"respiratory_rate": 21, "systolic": 101, "gcs": 15}
    found = [
        SCORES["qsofa"].compute({**calm, **change}).value
        for change in ({}, {"respiratory_rate": 22}, {"systolic": 100}, {"gcs": 14})
    ]
    assert found == [0, 1, 1, 1]
    by_acvpu = {"respiratory_rate": 22, "systolic": 100, "consciousness": "confusion"}
    assert SCORES["qsofa"].compute(by_acvpu).band == "positive"


# Bone 1992, Chest 101:1644, definition of the response: a limit itself does not count
def test_sirs_limits_are_those_of_the_conference() -> None:
    calm = {"temperature": 38.0, "heart_rate": 90, "respiratory_rate": 20, "wbc": 12.0, "paco2": 32, "bands": 10}
    over = {"temperature": 38.1, "heart_rate": 91, "respiratory_rate": 21, "wbc": 12.1}
    low = {"temperature": 35.9, "wbc": 3.9, "paco2": 31.9, "bands": 10.1}
    assert SCORES["sirs"].compute(calm).value == 0
    assert SCORES["sirs"].compute({**calm, **over}).value == 4
    for name, value in low.items():
        assert SCORES["sirs"].compute({**calm, name: value}).value == 1, name
    assert SCORES["sirs"].compute({**calm, **over, **low}).value == 4


# Vincent 1996, Intensive Care Med 22:707, table 3
def test_sofa_gives_the_points_of_its_table() -> None:
    well = known(
        pao2_fio2=450,
        platelets=200,
        bilirubin=0.8,
        creatinine=0.9,
        urine_24h=1500,
        dopamine=0.0,
        dobutamine=0.0,
        epinephrine=0.0,
        norepinephrine=0.0,
    )
    table: list[tuple[dict[str, Any], int]] = [
        ({"pao2_fio2": 399}, 1),
        ({"pao2_fio2": 299}, 2),
        ({"pao2_fio2": 199}, 2),
        ({"pao2_fio2": 99}, 2),
        ({"pao2_fio2": 199, "respiratory_support": True}, 3),
        ({"pao2_fio2": 99, "respiratory_support": True}, 4),
        ({"platelets": 149}, 1),
        ({"platelets": 99}, 2),
        ({"platelets": 49}, 3),
        ({"platelets": 19}, 4),
        ({"bilirubin": 1.2}, 1),
        ({"bilirubin": 2.0}, 2),
        ({"bilirubin": 6.0}, 3),
        ({"bilirubin": 12.1}, 4),
        ({"mean_arterial_pressure": 69}, 1),
        ({"dopamine": 5}, 2),
        ({"dobutamine": 1}, 2),
        ({"dopamine": 5.1}, 3),
        ({"epinephrine": 0.1}, 3),
        ({"norepinephrine": 0.1}, 3),
        ({"dopamine": 15.1}, 4),
        ({"epinephrine": 0.11}, 4),
        ({"norepinephrine": 0.11}, 4),
        ({"gcs": 14}, 1),
        ({"gcs": 12}, 2),
        ({"gcs": 9}, 3),
        ({"gcs": 5}, 4),
        ({"creatinine": 1.2}, 1),
        ({"creatinine": 2.0}, 2),
        ({"creatinine": 3.5}, 3),
        ({"creatinine": 5.1}, 4),
        ({"urine_24h": 499}, 3),
        ({"urine_24h": 199}, 4),
        ({"urine_24h": 199, "creatinine": 2.0}, 4),
    ]
    assert SCORES["sofa"].compute(well).value == 0
    for change, expected in table:
        assert SCORES["sofa"].compute({**well, **change}).value == expected, change


# Lim 2003, Thorax 58:377
def test_curb65_limits_and_strata_are_those_of_the_paper() -> None:
    calm = {"confusion": False, "urea": 7.0, "respiratory_rate": 29, "systolic": 90, "diastolic": 61, "age": 64}
    changes = [
        {"confusion": True},
        {"urea": 7.1},
        {"respiratory_rate": 30},
        {"systolic": 89},
        {"diastolic": 60},
        {"age": 65},
        {"systolic": 89, "diastolic": 60},
    ]
    assert SCORES["curb65"].compute(calm).value == 0
    assert all(SCORES["curb65"].compute({**calm, **change}).value == 1 for change in changes)
    assert SCORES["curb65"].compute({**calm, "urea": 8, "age": 80, "systolic": 80}).band == "high"


# Wells 2000, table 2: weights; over 4 likely. Wells 2003, table 1: ten items; 2 and more likely
def test_wells_rules_have_the_weights_of_the_papers() -> None:
    nothing = known(heart_rate=100)
    weights = {
        "signs_of_dvt": 3,
        "pe_most_likely": 3,
        "immobilised_or_surgery": 1.5,
        "previous_pe_or_dvt": 1.5,
        "haemoptysis": 1,
        "active_cancer": 1,
    }
    for name, weight in weights.items():
        assert SCORES["wells_pe"].compute({**nothing, name: True}).value == weight
    everything = SCORES["wells_pe"].compute({**nothing, **dict.fromkeys(weights, True), "heart_rate": 101})
    assert (everything.value, everything.band) == (12.5, "likely")
    four = SCORES["wells_pe"].compute({**nothing, "signs_of_dvt": True, "haemoptysis": True})
    assert (four.value, four.band) == (4, "unlikely")
    assert SCORES["wells_dvt"].compute({**nothing, "alternative_to_dvt": True}).value == -2


# Lip 2010, table 2; Pisters 2010, table 5
def test_stroke_and_bleeding_scores_have_the_weights_of_the_papers() -> None:
    nothing = known(age=64, systolic=160, sex="male")
    assert SCORES["cha2ds2_vasc"].compute(nothing).value == 0
    assert [SCORES["cha2ds2_vasc"].compute({**nothing, "age": age}).value for age in (65, 74, 75)] == [1, 1, 2]
    worst = {
        "heart_failure": True,
        "hypertension": True,
        "diabetes": True,
        "stroke_tia_embolism": True,
        "vascular_disease": True,
        "age": 80,
        "sex": "female",
    }
    assert SCORES["cha2ds2_vasc"].compute({**nothing, **worst}).value == 9
    bleeding = [
        "abnormal_renal",
        "abnormal_liver",
        "stroke",
        "bleeding_history",
        "labile_inr",
        "antiplatelet_or_nsaid",
        "alcohol_excess",
    ]
    assert SCORES["has_bled"].compute(nothing).value == 0
    all_nine = {**nothing, **dict.fromkeys(bleeding, True), "age": 66, "systolic": 161}
    assert SCORES["has_bled"].compute(all_nine).value == 9


# Kamath 2001 with UNOS's bounds: 6.43 + 9.57 ln 1.9 + 3.78 ln 4.2 + 11.2 ln 1.2 = 20.04; OPTN policy 9.1.D for sodium:
# MELD(i) 20, sodium 130: 20 + 1.32 x 7 - 0.033 x 20 x 7 = 24.62
def test_meld_and_meld_na_follow_the_policy_step_by_step() -> None:
    values = known(creatinine=1.9, bilirubin=4.2, inr=1.2, sodium=130)
    raw = 6.43 + 9.57 * math.log(1.9) + 3.78 * math.log(4.2) + 11.2 * math.log(1.2)
    assert round(raw, 2) == 20.04
    assert SCORES["meld"].compute(values).value == 20
    assert SCORES["meld_na"].compute(values).value == 25
    assert SCORES["meld_na"].compute({**values, "sodium": 120}).value == 28  # 125: 20 + 15.84 - 7.92 = 27.92
    assert SCORES["meld_na"].compute({**values, "sodium": 145}).value == 20


def test_meld_na_leaves_a_score_of_11_and_less_as_it_is() -> None:
    values = known(creatinine=1.0, bilirubin=3.2, inr=1.0, sodium=125)
    assert SCORES["meld"].compute(values).value == 11
    assert SCORES["meld_na"].compute(values).value == 11


def test_meld_is_never_under_6_nor_over_40() -> None:
    for name in ("meld", "meld_na", "meld_3"):
        best = known(creatinine=0.4, bilirubin=0.3, inr=0.8, albumin=5, sodium=140, sex="male")
        worst = known(creatinine=9, bilirubin=40, inr=9, albumin=1, sodium=110, sex="female")
        assert SCORES[name].compute(best).value == 6
        assert SCORES[name].compute(worst).value == 40


# Pugh 1973, table: points of each measurement
def test_child_pugh_limits_are_those_of_the_table() -> None:
    best = known(bilirubin=1.9, albumin=3.6, inr=1.69, ascites="none", encephalopathy="none")
    for name, table in {
        "bilirubin": {1.9: 5, 2.0: 6, 3.0: 6, 3.1: 7},
        "albumin": {3.6: 5, 3.5: 6, 2.8: 6, 2.7: 7},
        "inr": {1.69: 5, 1.7: 6, 2.3: 6, 2.31: 7},
        "ascites": {"none": 5, "mild": 6, "moderate_severe": 7},
        "encephalopathy": {"none": 5, "grade_1_2": 6, "grade_3_4": 7},
    }.items():
        assert {value: SCORES["child_pugh"].compute({**best, name: value}).value for value in table} == table
    assert [
        SCORES["child_pugh"].compute({**best, **change}).band
        for change in ({}, {"inr": 2, "albumin": 3}, {"inr": 3, "albumin": 2, "ascites": "mild"})
    ] == ["A", "B", "C"]


# Sterling 2006: age x AST / (platelets x sqrt ALT)
def test_fib4_is_its_formula_and_bands_depend_on_age() -> None:
    values = known(age=60, ast=80, alt=64, platelets=150)
    assert SCORES["fib4"].compute(values).value == pytest.approx(60 * 80 / (150 * 8))
    mid = known(ast=40, alt=36, platelets=250)
    assert SCORES["fib4"].compute({**mid, "age": 64}).band == "indeterminate"
    assert SCORES["fib4"].compute({**mid, "age": 66}).band == "low"


# KDIGO 2012, table 5: categories of the filtration rate
def test_filtration_rate_has_the_categories_of_kdigo() -> None:
    rates = {
        creatinine: SCORES["ckd_epi_2021"].compute(known(creatinine=creatinine, age=50, sex="male"))
        for creatinine in (0.9, 1.2, 1.5, 2.0, 3.0, 6.0)
    }
    assert [result.band for result in rates.values()] == ["G1", "G2", "G3a", "G3b", "G4", "G5"]


# Tangri 2016, JAMA 315:164, supplement: at the cohort's means the risk is 1 - S0; sex is a proportion there
@pytest.mark.parametrize(
    ("name", "region", "baseline", "male"),
    [
        ("kfre4_2y", "north_america", 0.9750, 0.2467),
        ("kfre4_5y", "north_america", 0.9240, 0.2467),
        ("kfre4_2y", "other", 0.9832, 0.2467),
        ("kfre4_5y", "other", 0.9365, 0.2467),
        ("kfre8_2y", "north_america", 0.9780, 0.1602),
        ("kfre8_5y", "north_america", 0.9301, 0.1602),
        ("kfre8_2y", "other", 0.9827, 0.1602),
        ("kfre8_5y", "other", 0.9245, 0.1602),
    ],
)
def test_kidney_failure_risk_at_the_means_is_the_baseline(name: str, region: str, baseline: float, male: float) -> None:
    mean = known(
        age=70.36,
        egfr=36.11,
        uacr=math.exp(5.137),
        albumin=3.997,
        phosphate=3.916,
        bicarbonate=25.57,
        calcium=9.355,
        region=region,
        sex="male",
    )
    expected = 1 - baseline ** math.exp(male * (1 - 0.5642))
    assert SCORES[name].compute(mean).value == pytest.approx(expected, rel=1e-9)


# D'Agostino 2008, Circulation 117:743, the two worked examples after table 2
def test_framingham_gives_the_worked_examples_of_the_paper() -> None:
    woman = known(sex="female", age=61, total_cholesterol=180, hdl_cholesterol=47, systolic=124, current_smoker=True)
    man = known(
        sex="male", age=53, total_cholesterol=161, hdl_cholesterol=55, systolic=125, bp_treated=True, diabetes=True
    )
    assert round(SCORES["framingham_2008"].compute(woman).value * 100, 2) == 10.48
    assert round(SCORES["framingham_2008"].compute(man).value * 100, 2) == 15.62


# Goff 2014, table A: 55 years, cholesterol 213, HDL 50, systolic 120 untreated, no smoker, no diabetes
@pytest.mark.parametrize(
    ("sex", "race", "printed"),
    [("female", "white", 2.1), ("female", "black", 3.0), ("male", "white", 5.3), ("male", "black", 6.1)],
)
def test_pooled_cohort_equations_give_the_example_of_the_guideline(sex: str, race: str, printed: float) -> None:
    case = known(sex=sex, race=race, age=55, total_cholesterol=213, hdl_cholesterol=50, systolic=120)
    assert SCORES["pooled_cohort_2013"].compute(case).value * 100 == pytest.approx(printed, abs=0.1)


def test_pooled_cohort_equations_take_the_white_equation_for_others() -> None:
    white, other = (SCORES["pooled_cohort_2013"].compute(known(race=race)).value for race in ("white", "other"))
    assert white == other


# preventr 0.12 (R, MIT), tests/testthat/test-prevent_equations.R: all five models, both sexes, both horizons
PREVENT_CASE = known(
    age=50, systolic=160, bp_treated=True, total_cholesterol=200, hdl_cholesterol=45, diabetes=True, egfr=90, bmi=35
)
OPTIONAL: dict[str, dict[str, float]] = {
    "base": {},
    "hba1c": {"hba1c": 9.2},
    "uacr": {"uacr": 92},
    "sdi": {"sdi_decile": 2},
    "full": {"hba1c": 9.2, "uacr": 92, "sdi_decile": 2},
}
PREVENT = {
    ("female", "base"): ("0.147 0.092 0.081 0.044 0.054", "0.530 0.354 0.390 0.198 0.221"),
    ("female", "hba1c"): ("0.165 0.103 0.107 0.055 0.053", "0.541 0.356 0.449 0.219 0.200"),
    ("female", "uacr"): ("0.181 0.111 0.105 0.055 0.065", "0.565 0.381 0.437 0.220 0.241"),
    ("female", "sdi"): ("0.127 0.080 0.070 0.038 0.047", "0.485 0.322 0.358 0.179 0.202"),
    ("female", "full"): ("0.174 0.105 0.114 0.056 0.056", "0.534 0.348 0.443 0.213 0.204"),
    ("male", "base"): ("0.163 0.102 0.106 0.056 0.052", "0.514 0.349 0.424 0.216 0.197"),
    ("male", "hba1c"): ("0.187 0.112 0.130 0.063 0.056", "0.524 0.340 0.457 0.211 0.188"),
    ("male", "uacr"): ("0.195 0.123 0.130 0.066 0.063", "0.535 0.368 0.448 0.227 0.213"),
    ("male", "sdi"): ("0.143 0.088 0.089 0.049 0.043", "0.480 0.317 0.384 0.199 0.171"),
    ("male", "full"): ("0.191 0.112 0.131 0.068 0.052", "0.513 0.326 0.438 0.216 0.167"),
}


@pytest.mark.parametrize(("sex", "model"), PREVENT)
def test_prevent_gives_the_ten_risks_of_each_model(sex: str, model: str) -> None:
    case = {name: value for name, value in PREVENT_CASE.items() if name not in ("uacr", "hba1c", "sdi_decile")}
    case |= {"sex": sex, **OPTIONAL[model]}
    assert model_of(case) == model
    for years, line in zip((10, 30), PREVENT[sex, model], strict=True):
        found = [f"{prevent(case, outcome, years).value:.3f}" for outcome in ("cvd", "ascvd", "hf", "chd", "stroke")]
        assert " ".join(found) == line


def test_prevent_takes_the_full_model_with_two_optional_inputs() -> None:
    case = {name: value for name, value in PREVENT_CASE.items() if name != "sdi_decile"}
    assert model_of(case) == "full"
    assert "full model" in prevent(case, "cvd", 10).meaning


# Granger 2003, Arch Intern Med 163:2345, figure 4: Killip II, systolic 99, rate 100, 65 years, creatinine 1, ST
# deviation and enzymes: 20 + 53 + 15 + 58 + 7 + 0 + 28 + 14
def test_grace_gives_the_terms_of_the_nomogram() -> None:
    case = known(
        killip="2", systolic=99, heart_rate=100, age=65, creatinine=1.0, st_deviation=True, elevated_troponin=True
    )
    result = SCORES["grace"].compute(case)
    assert [part.points for part in result.contributions] == [20, 53, 15, 58, 7, 0, 28, 14]
    assert (result.value, result.band) == (195, "high")
    worst = known(
        killip="4",
        systolic=70,
        heart_rate=210,
        age=95,
        creatinine=5,
        cardiac_arrest=True,
        st_deviation=True,
        elevated_troponin=True,
    )
    assert SCORES["grace"].compute(worst).value == 372


# Charlson 1987, table 3 (weights) and 1994 (decades of age, survival 0.983^exp(0.9 x index))
def test_charlson_has_the_weights_and_the_survival_of_the_papers() -> None:
    nothing = known(age=45)
    weights = {
        "myocardial_infarction": 1,
        "dementia": 1,
        "diabetes": 1,
        "hemiplegia": 2,
        "renal_disease": 2,
        "diabetes_with_damage": 2,
        "solid_tumour": 2,
        "leukaemia": 2,
        "lymphoma": 2,
        "severe_liver_disease": 3,
        "metastatic_tumour": 6,
        "aids": 6,
    }
    for name, weight in weights.items():
        assert SCORES["charlson"].compute({**nothing, name: True}).value == weight
    assert SCORES["charlson"].compute({**nothing, "diabetes": True, "diabetes_with_damage": True}).value == 2
    survival = {1: "96%", 2: "90%", 3: "77%", 4: "53%", 5: "21%"}
    for index, alive in survival.items():
        assert alive in SCORES["charlson_age"].compute(known(age=45 + 10 * index)).meaning
    decades = [SCORES["charlson_age"].compute(known(age=age)).value for age in (49, 50, 59, 60, 79, 80, 90)]
    assert decades == [0, 1, 1, 2, 3, 4, 5]


# van Walraven 2010, CMAJ 182:551, figure 1: the index
def test_lace_gives_the_points_of_the_index() -> None:
    nothing = known(stay=0, emergency_visits=0)
    days = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 6: 4, 7: 5, 13: 5, 14: 7, 60: 7}
    assert {stay: SCORES["lace"].compute({**nothing, "stay": stay}).value for stay in days} == days
    assert SCORES["lace"].compute({**nothing, "acute_admission": True}).value == 3
    comorbidity: list[tuple[tuple[str, ...], int]] = [
        (("myocardial_infarction",), 1),
        (("heart_failure",), 2),
        (("dementia",), 3),
        (("aids",), 5),
        (("metastatic_tumour",), 5),
        (("heart_failure", "dementia"), 5),
        (("leukaemia", "lymphoma"), 2),
        (("diabetes", "diabetes_with_damage"), 2),
    ]
    for names, points in comorbidity:
        assert SCORES["lace"].compute({**nothing, **dict.fromkeys(names, True)}).value == pytest.approx(points), names
    assert [SCORES["lace"].compute({**nothing, "emergency_visits": n}).value for n in (1, 4, 9)] == [1, 4, 4]
    worst = SCORES["lace"].compute(known(stay=20, acute_admission=True, aids=True, emergency_visits=5))
    assert (worst.value, worst.band) == (19, "high")


# American Diabetes Association, Standards of Care 2024, tables 2.1 and 2.2
def test_diabetes_stage_has_the_limits_of_the_standards() -> None:
    def stage(**tests: float | bool) -> tuple[float, str]:
        result = SCORES["diabetes_stage"].compute(tests)
        return result.value, result.band

    assert [stage(hba1c=value)[0] for value in (5.6, 5.7, 6.4, 6.5)] == [0, 1, 1, 2]
    assert [stage(fasting_glucose=value)[0] for value in (99, 100, 125, 126)] == [0, 1, 1, 2]
    assert [stage(glucose_2h=value)[0] for value in (139, 140, 199, 200)] == [0, 1, 1, 2]
    assert stage(hba1c=7.0) == (2, "diabetes range")
    assert stage(hba1c=7.0, fasting_glucose=140) == (2, "diabetes")
    assert stage(random_glucose=210, hyperglycaemia_symptoms=True) == (2, "diabetes")
    assert stage(hba1c=5.0, random_glucose=210, hyperglycaemia_symptoms=False) == (0, "normal")


# Kroenke 2001 and Spitzer 2006: strata of the totals
def test_questionnaires_have_the_strata_of_the_papers() -> None:
    def band(name: str, items: int, total: int) -> str:
        answers = [3] * (total // 3) + [total % 3] * bool(total % 3)
        answers += [0] * (items - len(answers))
        return SCORES[name].compute({f"{name}_{n}": value for n, value in enumerate(answers, 1)}).band

    assert [band("phq9", 9, total) for total in (4, 5, 9, 10, 14, 15, 19, 20, 27)] == [
        "minimal",
        "mild",
        "mild",
        "moderate",
        "moderate",
        "moderately severe",
        "moderately severe",
        "severe",
        "severe",
    ]
    assert [band("gad7", 7, total) for total in (4, 5, 9, 10, 14, 15, 21)] == [
        "minimal",
        "mild",
        "mild",
        "moderate",
        "moderate",
        "severe",
        "severe",
    ]


def test_phq9_says_when_the_item_about_self_harm_is_positive() -> None:
    answers = {f"phq9_{n}": 0 for n in range(1, 10)}
    assert "self-harm" not in SCORES["phq9"].compute(answers).meaning
    assert "ask about self-harm now" in SCORES["phq9"].compute({**answers, "phq9_9": 1}).meaning


# Mhyre 2014, Obstet Gynecol 124:782, box 1
def test_maternal_early_warning_criteria_are_those_of_the_box() -> None:
    well = known(
        pregnant=True, systolic=120, diastolic=75, heart_rate=80, respiratory_rate=16, spo2=98, urine_hourly=60
    )
    limits = {
        "systolic": (90, 160, 89, 161),
        "diastolic": (40, 100, 101),
        "heart_rate": (50, 120, 49, 121),
        "respiratory_rate": (10, 30, 9, 31),
        "spo2": (95, 94),
        "urine_hourly": (35, 34),
    }
    outside = {
        "systolic": (89, 161),
        "diastolic": (101,),
        "heart_rate": (49, 121),
        "respiratory_rate": (9, 31),
        "spo2": (94,),
        "urine_hourly": (34,),
    }
    for name, values in limits.items():
        for value in values:
            expected = int(value in outside[name])
            assert SCORES["mewc"].compute({**well, name: value}).value == expected, (name, value)
    assert SCORES["mewc"].compute({**well, "agitation_or_confusion": True}).band == "trigger"
    assert SCORES["mewc"].compute({**well, "non_remitting_headache": True}).band == "none"
    eclamptic = {**well, "non_remitting_headache": True, "preeclampsia": True}
    assert SCORES["mewc"].compute(eclamptic).band == "trigger"


# Shields 2016, Am J Obstet Gynecol 214:527.e1, abstract
def test_maternal_early_warning_trigger_is_one_severe_or_two_other_values() -> None:
    well = known(
        pregnant=True,
        systolic=120,
        diastolic=75,
        heart_rate=80,
        respiratory_rate=16,
        spo2=98,
        temperature=37,
        fetal_heart_rate=140,
        mean_arterial_pressure=90,
    )
    severe: list[dict[str, Any]] = [
        {"heart_rate": 131},
        {"respiratory_rate": 31},
        {"mean_arterial_pressure": 54},
        {"spo2": 89},
        {"nurse_concern": True},
    ]
    other: list[dict[str, Any]] = [
        {"heart_rate": 111},
        {"heart_rate": 49},
        {"respiratory_rate": 25},
        {"respiratory_rate": 9},
        {"spo2": 92},
        {"temperature": 38.1},
        {"temperature": 35.9},
        {"systolic": 161},
        {"systolic": 84},
        {"diastolic": 111},
        {"diastolic": 44},
        {"fetal_heart_rate": 161},
        {"consciousness": "voice"},
        {"disproportionate_pain": True},
        {"systolic": 170, "diastolic": 115},
    ]
    limits: list[dict[str, Any]] = [
        {"heart_rate": 110},
        {"respiratory_rate": 24},
        {"spo2": 93},
        {"temperature": 38.0},
        {"systolic": 160},
        {"diastolic": 110},
        {"fetal_heart_rate": 160},
    ]
    for change in severe:
        assert SCORES["mewt"].compute({**well, **change}).band == "trigger", change
    for change in (*other, *limits):
        assert SCORES["mewt"].compute({**well, **change}).band == "none", change
    assert SCORES["mewt"].compute({**well, "heart_rate": 111, "temperature": 38.1}).band == "trigger"


# USPSTF 2021, JAMA 326:1186, table: high risk, one is enough; moderate risk, two
def test_aspirin_is_recommended_for_one_high_or_two_moderate_factors() -> None:
    nothing = known(pregnant=True, age=25, bmi=24)
    high = (
        "preeclampsia_before",
        "multifetal",
        "chronic_hypertension",
        "pregestational_diabetes",
        "renal_disease",
        "autoimmune_disease",
    )
    moderate: list[dict[str, Any]] = [
        {"nulliparous": True},
        {"preeclampsia_in_family": True},
        {"social_risk": True},
        {"in_vitro": True},
        {"adverse_pregnancy_before": True},
        {"age": 35},
        {"bmi": 30.1},
    ]
    assert SCORES["uspstf_aspirin"].compute(nothing).band == "not recommended"
    for name in high:
        assert SCORES["uspstf_aspirin"].compute({**nothing, name: True}).band == "recommended"
    for change in moderate:
        assert SCORES["uspstf_aspirin"].compute({**nothing, **change}).band == "consider", change
    assert SCORES["uspstf_aspirin"].compute({**nothing, "nulliparous": True, "age": 35}).band == "recommended"
    assert SCORES["uspstf_aspirin"].compute({**nothing, "age": 34, "bmi": 30.0}).value == 0


def test_piers_formulas_are_clamped_to_the_ranges_of_the_studies() -> None:
    ill = known(gestational_age=30, chest_pain_or_dyspnoea=True, creatinine=120 / 88.42, platelets=50, ast=400, spo2=93)
    assert round(SCORES["full_piers"].compute(ill).value * 100, 1) == 77.5
    far = SCORES["full_piers"].compute({**ill, "platelets": 3000, "spo2": 40, "ast": 9000})
    edge = SCORES["full_piers"].compute({**ill, "platelets": 450, "spo2": 90, "ast": 500})
    assert far.value == edge.value

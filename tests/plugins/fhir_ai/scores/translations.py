"""From the input names of other calculators to ours, so that the same case runs on both."""

from collections.abc import Callable, Mapping
from typing import Any

Case = Mapping[str, Any]

CHARLSON = {
    "aids": "aids",
    "cerebrovascular_disease": "cerebrovascular_disease",
    "congestive_heart_failure": "heart_failure",
    "connective_tissue_disease": "connective_tissue_disease",
    "copd": "chronic_pulmonary_disease",
    "dementia": "dementia",
    "diabetes_complicated": "diabetes_with_damage",
    "diabetes_uncomplicated": "diabetes",
    "hemiplegia_paraplegia": "hemiplegia",
    "leukaemia": "leukaemia",
    "liver_disease_moderate_severe": "severe_liver_disease",
    "lymphoma": "lymphoma",
    "metastatic_solid_tumour": "metastatic_tumour",
    "mild_liver_disease": "mild_liver_disease",
    "myocardial_infarction": "myocardial_infarction",
    "peptic_ulcer_disease": "peptic_ulcer",
    "peripheral_vascular_disease": "peripheral_vascular_disease",
    "renal_disease_moderate_severe": "renal_disease",
    "solid_tumour_non_metastatic": "solid_tumour",
}
WELLS_PE = {
    "clinical_signs_of_dvt": "signs_of_dvt",
    "haemoptysis": "haemoptysis",
    "immobilisation_or_surgery": "immobilised_or_surgery",
    "malignancy": "active_cancer",
    "pe_most_likely_diagnosis": "pe_most_likely",
    "previous_dvt_or_pe": "previous_pe_or_dvt",
}
WELLS_DVT = {
    "active_cancer": "active_cancer",
    "alternative_diagnosis_as_likely": "alternative_to_dvt",
    "bedridden_or_major_surgery": "bedridden_or_major_surgery",
    "calf_swelling_over_3cm": "calf_swelling",
    "collateral_superficial_veins": "collateral_veins",
    "entire_leg_swollen": "entire_leg_swollen",
    "localised_tenderness": "tender_deep_veins",
    "paralysis_paresis_immobilisation": "paralysis_or_plaster",
    "pitting_oedema": "pitting_oedema",
    "previously_documented_dvt": "previous_dvt",
}
HAS_BLED = {
    "abnormal_liver_function": "abnormal_liver",
    "abnormal_renal_function": "abnormal_renal",
    "alcohol_excess": "alcohol_excess",
    "bleeding_history": "bleeding_history",
    "drugs_antiplatelet_nsaid": "antiplatelet_or_nsaid",
    "labile_inr": "labile_inr",
    "stroke": "stroke",
}
PRESSORS: Mapping[str, tuple[float, float]] = {
    "map-at-least70": (80, 0),
    "map-below70": (60, 0),
    "dopamine-low": (80, 5),
    "moderate-vasopressors": (80, 15),
    "high-vasopressors": (80, 16),
}
LIPIDS = {"total_cholesterol_mg_dl": "total_cholesterol", "hdl_cholesterol_mg_dl": "hdl_cholesterol"}


def renamed(case: Case, names: Mapping[str, str]) -> dict[str, Any]:
    """The values of a case under our names."""
    return {ours: case[theirs] for theirs, ours in names.items()}


def news2(case: Case) -> dict[str, Any]:
    names = {"pulse": "heart_rate", "systolic_bp": "systolic", "spo2": "spo2", "respiratory_rate": "respiratory_rate"}
    alert = "alert" if case["consciousness"] == "alert" else "confusion"
    rest = {name: case[name] for name in ("on_oxygen", "temperature", "spo2_scale")}
    return {**renamed(case, names), **rest, "consciousness": alert}


def qsofa(case: Case) -> dict[str, Any]:
    names = {"respiratory_rate": "respiratory_rate", "systolic_bp": "systolic"}
    return {**renamed(case, names), "gcs": 14 if case["altered_mentation"] else 15}


def curb65(case: Case) -> dict[str, Any]:
    names = {"systolic_bp": "systolic", "diastolic_bp": "diastolic", "urea_mmol_l": "urea"}
    return {**renamed(case, names), **{name: case[name] for name in ("age", "confusion", "respiratory_rate")}}


def sofa(case: Case) -> dict[str, Any]:
    pressure, dopamine = PRESSORS[case["cardiovascular"]]
    same = ("bilirubin", "creatinine", "gcs", "pao2_fio2", "platelets", "respiratory_support")
    drugs = {"dopamine": dopamine, "dobutamine": 0, "epinephrine": 0, "norepinephrine": 0}
    return {**{name: case[name] for name in same}, **drugs, "mean_arterial_pressure": pressure}


def cha2ds2_vasc(case: Case) -> dict[str, Any]:
    names = {"congestive_heart_failure": "heart_failure", "stroke_tia_thromboembolism": "stroke_tia_embolism"}
    same = ("age", "sex", "diabetes", "hypertension", "vascular_disease")
    return {**renamed(case, names), **{name: case[name] for name in same}}


def has_bled(case: Case) -> dict[str, Any]:
    systolic, age = 170 if case["hypertension_uncontrolled"] else 120, 70 if case["elderly_over_65"] else 50
    return {**renamed(case, HAS_BLED), "systolic": systolic, "age": age}


def child_pugh(case: Case) -> dict[str, Any]:
    grades = {"none": "none", "grade1-to2": "grade_1_2", "grade3-to4": "grade_3_4"}
    same = {name: case[name] for name in ("albumin", "bilirubin", "inr")}
    ascites = case["ascites"].replace("-", "_")
    return {**same, "ascites": ascites, "encephalopathy": grades[case["encephalopathy"]]}


def findrisc(case: Case) -> dict[str, Any]:
    names = {
        "antihypertensive_medication": "bp_treated",
        "daily_vegetables_fruit": "daily_vegetables",
        "family_history": "diabetes_in_family",
        "high_blood_glucose_history": "high_glucose_before",
        "waist_cm": "waist",
    }
    same = ("age", "sex", "bmi", "physically_active")
    return {**renamed(case, names), **{name: case[name] for name in same}}


def wells_pe(case: Case) -> dict[str, Any]:
    return {**renamed(case, WELLS_PE), "heart_rate": 110 if case["heart_rate_over_100"] else 80}


def wells_dvt(case: Case) -> dict[str, Any]:
    return renamed(case, WELLS_DVT)


def charlson(case: Case) -> dict[str, Any]:
    return {**renamed(case, CHARLSON), "age": case["age"]}


def same(case: Case) -> dict[str, Any]:
    return dict(case)


def meld(case: Case) -> dict[str, Any]:
    return {**case, "dialysis": case["dialysis_twice_past_week"]}


def meld_3(case: Case) -> dict[str, Any]:
    sex = "female" if case["female_for_adult_meld"] else "male"
    dialysis = case["qualifying_dialysis_in_prior_7_days"]
    return {**case, "sex": sex, "dialysis": dialysis, "sodium": case["sodium_mmol_l"]}


def grace(case: Case) -> dict[str, Any]:
    names = {
        "cardiac_arrest_at_admission": "cardiac_arrest",
        "elevated_cardiac_enzymes": "elevated_troponin",
        "st_segment_deviation": "st_deviation",
        "systolic_bp": "systolic",
    }
    same = {name: case[name] for name in ("age", "creatinine", "heart_rate")}
    return {**renamed(case, names), **same, "killip": str(case["killip_class"])}


def pooled_cohort(case: Case) -> dict[str, Any]:
    names = {**LIPIDS, "systolic_bp_mm_hg": "systolic", "treated_bp": "bp_treated"}
    same = ("age", "sex", "race", "current_smoker", "diabetes")
    return {**renamed(case, names), **{name: case[name] for name in same}}


CLINCALC: Mapping[str, tuple[str, Callable[[Case], dict[str, Any]]]] = {
    "news2": ("news2", news2),
    "qsofa": ("qsofa", qsofa),
    "curb65": ("curb65", curb65),
    "sofa": ("sofa", sofa),
    "cha2ds2_vasc": ("cha2ds2vasc", cha2ds2_vasc),
    "has_bled": ("hasbled", has_bled),
    "child_pugh": ("child_pugh", child_pugh),
    "findrisc": ("findrisc", findrisc),
    "wells_pe": ("wells_pe", wells_pe),
    "wells_dvt": ("wells_dvt", wells_dvt),
    "charlson": ("charlson", charlson),
    "fib4": ("fib4", same),
    "meld": ("meld", meld),
    "meld_3": ("meld_3", meld_3),
    "grace": ("grace", grace),
    "ckd_epi_2021": ("egfr", same),
    "pooled_cohort_2013": ("ascvd", pooled_cohort),
}

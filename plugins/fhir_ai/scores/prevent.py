"""PREVENT(TM) equations of the American Heart Association, 2023: an unofficial implementation."""

import json
import math
from collections.abc import Mapping
from functools import cache, partial
from importlib.resources import files

from fhir_ai.scores.score import Contribution, Input, Result, Score, Value, Values
from fhir_ai.scores.terms import CONSTANT, Strata, logistic, number, within, yes
from fhir_ai.scores.vocabulary import ask, may

SOURCE = (
    "Khan SS et al. Development and Validation of the American Heart Association's PREVENT Equations. "
    "Circulation 2024;149:430-449. https://doi.org/10.1161/CIRCULATIONAHA.123.067626"
)
OUTCOMES = {
    "cvd": "cardiovascular disease (atherosclerotic or heart failure)",
    "ascvd": "atherosclerotic cardiovascular disease",
    "hf": "heart failure",
    "chd": "coronary heart disease",
    "stroke": "stroke",
}
OPTIONAL = {"uacr": "uacr", "hba1c": "hba1c", "sdi_decile": "sdi"}
"""Inputs that choose the model: with one of them its own, with two or three the full one."""

_MMOL_PER_MG = 0.02586
_STRATA: Strata = (
    (0.0499999, "low", "under 5%"),
    (0.0749999, "borderline", "5% to under 7.5%"),
    (0.1999999, "intermediate", "7.5% to under 20%"),
    (1, "high", "20% or more"),
)


@cache
def coefficients() -> Mapping[str, Mapping[str, float]]:
    """The published coefficients: `model/years/outcome/sex` to term to value (100 sets)."""
    text = files("fhir_ai.scores").joinpath("prevent-coefficients.json").read_text()
    sets: Mapping[str, Mapping[str, float]] = json.loads(text)["sets"]
    return sets


def model_of(values: Values) -> str:
    """The model for the optional inputs that are there, chosen as the authors' calculator does."""
    present = [model for name, model in OPTIONAL.items() if name in values]
    if not present:
        return "base"
    return present[0] if len(present) == 1 else "full"


def _age_terms(values: Values) -> dict[str, dict[str, float]]:
    age = (number(values, "age") - 55) / 10
    non_hdl, hdl = _lipids(values)
    high = (max(number(values, "systolic"), 110) - 130) / 20
    smoker, diabetes = float(yes(values, "current_smoker")), float(yes(values, "diabetes"))
    slow = (min(number(values, "egfr"), 60) - 60) / -15
    heavy = (max(number(values, "bmi"), 30) - 30) / 5 if "bmi" in values else 0.0
    return {
        "age": {"age_per_10_years": age, "age_per_10_years_squared": age * age},
        "total_cholesterol": {
            "non_hdl_c_per_1_mmol_l": non_hdl,
            "age_per_10yr_x_non_hdl_c_per_1_mmol_l": age * non_hdl,
        },
        "hdl_cholesterol": {"hdl_c_per_0.3_mmol_l": hdl, "age_per_10yr_x_hdl_c_per_0.3_mml_l": age * hdl},
        "systolic": {
            "sbp_lt110_per_20_mmhg": (min(number(values, "systolic"), 110) - 110) / 20,
            "sbp_gteq110_per_20_mmhg": high,
            "age_per_10yr_x_sbp_gteq110_mm_hg_per_20_mmhg": age * high,
        },
        "current_smoker": {"current_smoking": smoker, "age_per_10yr_x_current_smoking": age * smoker},
        "diabetes": {"diabetes": diabetes, "age_per_10yr_x_diabetes": age * diabetes},
        "egfr": {
            "egfr_lt60_per_15_ml": slow,
            "egfr_gteq60_per_15_ml": (max(number(values, "egfr"), 60) - 90) / -15,
            "age_per_10yr_x_egfr_lt60_per_15_ml": age * slow,
        },
        "bmi": {
            "bmi_lt30_per_5_kg_m2": (min(number(values, "bmi"), 30) - 25) / 5 if "bmi" in values else 0.0,
            "bmi_gt30_per_5_kg_m2": heavy,
            "age_per_10yr_x_bmi_gteq30_per_5_kg_m2": age * heavy,
        },
    }


def _lipids(values: Values) -> tuple[float, float]:
    total, hdl = number(values, "total_cholesterol"), number(values, "hdl_cholesterol")
    return (total - hdl) * _MMOL_PER_MG - 3.5, (hdl * _MMOL_PER_MG - 1.3) / 0.3


def _treatment_terms(values: Values) -> dict[str, dict[str, float]]:
    treated, statin = float(yes(values, "bp_treated")), float(yes(values, "statin"))
    high = (max(number(values, "systolic"), 110) - 130) / 20
    return {
        "bp_treated": {
            "anti_hypertensive_use": treated,
            "treated_sbp_gteq110_mm_hg_per_20_mm_hg": treated * high,
        },
        "statin": {"statin_use": statin, "treated_non_hdl_c": statin * _lipids(values)[0]},
    }


def _optional_terms(values: Values) -> dict[str, dict[str, float]]:
    """Terms of the optional inputs; each model but the base has a term for one that is missing."""
    terms = {"uacr": {"miss_ln_acr": 1.0}, "hba1c": {"miss_hba1c": 1.0}, "sdi_decile": {"miss_sdi": 1.0}}
    if "uacr" in values:
        terms["uacr"] = {"ln_acr": math.log(number(values, "uacr"))}
    if "hba1c" in values:
        with_diabetes = (
            "hba1c_minus_5.3_x_diabetes" if yes(values, "diabetes") else "hba1c_minus_5.3_x_1_minus_diabetes"
        )
        terms["hba1c"] = {with_diabetes: number(values, "hba1c") - 5.3}
    if "sdi_decile" in values:
        decile = number(values, "sdi_decile")
        middle, most = float(4 <= decile < 7), float(decile >= 7)
        terms["sdi_decile"] = {"sdi_decile_between_4_and_6": middle, "sdi_decile_between_7_and_10": most}
    return terms


def prevent(values: Values, outcome: str, years: int, model: str | None = None) -> Result:
    """Risk of an outcome within 10 or 30 years by logistic regression; no race in it.

    Inputs: age 30-79 (30-59 for 30 years), sex, total_cholesterol and hdl_cholesterol mg/dL, systolic mm[Hg], egfr
    mL/min/1.73 m2, diabetes, current_smoker, bp_treated, statin, bmi kg/m2 (heart failure only); optional uacr mg/g,
    hba1c %, sdi_decile 1-10, which choose the model: base, uacr, hba1c, sdi, full. An interaction with age counts with
    the other input. Bands (5, 7.5, 20%) are those of the ACC/AHA guidelines, for `cvd` and `ascvd` in 10 years.
    Source: see SOURCE; coefficients are those of its supplement.
    """
    chosen = model or model_of(values)
    weights = coefficients()[f"{chosen}/{years}/{outcome}/{values['sex']}"]
    groups = {**_age_terms(values), **_treatment_terms(values), **_optional_terms(values)}
    terms = [
        Contribution(name, _value(values, name), math.fsum(weights.get(key, 0.0) * x for key, x in group.items()))
        for name, group in groups.items()
        if any(key in weights for key in group)
    ]
    terms.append(Contribution(CONSTANT, None, weights["const"], f"{chosen} model, {values['sex']}"))
    banded = _STRATA if years == 10 and outcome in ("cvd", "ascvd") else ()
    return logistic(terms, f"{OUTCOMES[outcome]} within {years} years ({chosen} model)", banded)


def _value(values: Values, name: str) -> Value | None:
    return values.get(name)


def _inputs(outcome: str) -> tuple[Input, ...]:
    bmi = ask("bmi") if outcome == "hf" else ()
    return (
        *ask("age sex total_cholesterol hdl_cholesterol"),
        *ask("systolic", within=8760),
        *ask("egfr diabetes current_smoker bp_treated statin cardiovascular_disease"),
        *bmi,
        *may("uacr hba1c sdi_decile"),
    )


def _equation(outcome: str, years: int) -> Score:
    return Score(
        name=f"prevent_{outcome}_{years}y",
        title=f"PREVENT(TM) equations (unofficial implementation): {OUTCOMES[outcome]}, {years} years",
        inputs=_inputs(outcome),
        compute=partial(prevent, outcome=outcome, years=years),
        source=SOURCE,
        outcome=OUTCOMES[outcome],
        horizon=years * 365.25,
        limits=f"{'30 to 79' if years == 10 else '30 to 59'} years, without cardiovascular disease; "
        "cholesterol 130-320, HDL 20-100, systolic 90-200, eGFR 15-140, BMI 18.5 to under 40",
        applies=within(
            ("age", 30, 79 if years == 10 else 59),
            ("total_cholesterol", 130, 320),
            ("hdl_cholesterol", 20, 100),
            ("systolic", 90, 200),
            ("egfr", 15, 140),
            ("bmi", 18.5, math.inf),
            ("hba1c", 3, 15),
            ("uacr", 0.1, 25000),
            under={"bmi": 40},
            unless={"cardiovascular_disease": "the source is of people without cardiovascular disease"},
        ),
    )


PREVENT = tuple(_equation(outcome, years) for years in (10, 30) for outcome in OUTCOMES)

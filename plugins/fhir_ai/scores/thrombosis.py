"""Thrombosis and bleeding: Wells for pulmonary embolism and deep vein thrombosis, CHA2DS2-VASc, HAS-BLED."""

import math

from fhir_ai.scores.score import Result, Score, Values
from fhir_ai.scores.terms import Strata, at_most, below, checklist, number, only_with, points, when, within
from fhir_ai.scores.vocabulary import WEEK, ask

_ADULT = within(("age", 18, math.inf))
_FIBRILLATION = only_with(("atrial_fibrillation",), "atrial fibrillation", _ADULT)

_PE_STRATA: Strata = (
    (4, "unlikely", "pulmonary embolism unlikely (two-level rule): D-dimer decides on imaging"),
    (math.inf, "likely", "pulmonary embolism likely (two-level rule): imaging"),
)
_PE_WEIGHTS = {
    "signs_of_dvt": 3,
    "pe_most_likely": 3,
    "immobilised_or_surgery": 1.5,
    "previous_pe_or_dvt": 1.5,
    "haemoptysis": 1,
    "active_cancer": 1,
}


def wells_pe(values: Values) -> Result:
    """Wells rule of pulmonary embolism, 0 to 12.5; over 4 is likely.

    Inputs: heart_rate /min (over 100: 1.5) and six yes/no.
    Source: Wells PS et al. Thromb Haemost 2000;83:416-420. https://doi.org/10.1055/s-0037-1613830
    """
    rate = when(values, "heart_rate", number(values, "heart_rate") > 100, 1.5, "over 100")
    return points([*checklist(values, _PE_WEIGHTS), rate], _PE_STRATA)


WELLS_PE = Score(
    name="wells_pe",
    title="Wells score, pulmonary embolism",
    inputs=(*ask("age"), *ask("heart_rate", within=24), *ask(" ".join(_PE_WEIGHTS))),
    compute=wells_pe,
    source="Wells PS et al. Thromb Haemost 2000;83:416-420. https://doi.org/10.1055/s-0037-1613830",
    outcome="pulmonary embolism now",
    limits="adults with suspected pulmonary embolism",
    applies=_ADULT,
)

_DVT_STRATA: Strata = (
    (1, "unlikely", "deep vein thrombosis unlikely: D-dimer decides on ultrasound"),
    (math.inf, "likely", "deep vein thrombosis likely: ultrasound"),
)
_DVT_WEIGHTS = {
    "active_cancer": 1,
    "paralysis_or_plaster": 1,
    "bedridden_or_major_surgery": 1,
    "tender_deep_veins": 1,
    "entire_leg_swollen": 1,
    "calf_swelling": 1,
    "pitting_oedema": 1,
    "collateral_veins": 1,
    "previous_dvt": 1,
    "alternative_to_dvt": -2,
}


def wells_dvt(values: Values) -> Result:
    """Wells rule of deep vein thrombosis, -2 to 9; 2 or more is likely.

    Inputs: ten yes/no. Source: Wells PS et al. N Engl J Med 2003;349:1227-1235.
    https://doi.org/10.1056/NEJMoa023153
    """
    return points(checklist(values, _DVT_WEIGHTS), _DVT_STRATA)


WELLS_DVT = Score(
    name="wells_dvt",
    title="Wells score, deep vein thrombosis",
    inputs=ask("age " + " ".join(_DVT_WEIGHTS)),
    compute=wells_dvt,
    source="Wells PS et al. N Engl J Med 2003;349:1227-1235. https://doi.org/10.1056/NEJMoa023153",
    outcome="deep vein thrombosis now",
    limits="adult outpatients with suspected deep vein thrombosis",
    applies=_ADULT,
)

_STROKE_STRATA: Strata = (
    (0, "low", "no stroke risk factor"),
    (1, "moderate", "one point"),
    (9, "high", "two points or more"),
)
_STROKE_WEIGHTS = {
    "heart_failure": 1,
    "hypertension": 1,
    "diabetes": 1,
    "stroke_tia_embolism": 2,
    "vascular_disease": 1,
}


def cha2ds2_vasc(values: Values) -> Result:
    """CHA2DS2-VASc, 0 to 9.

    Inputs: age (65-74: 1, 75 and more: 2), sex (female: 1), five yes/no. The 2024 ESC guideline leaves sex out
    (CHA2DS2-VA): that is this total without the contribution of sex.
    Source: Lip GYH et al. Chest 2010;137:263-272. https://doi.org/10.1378/chest.09-1584
    """
    parts = [
        *checklist(values, _STROKE_WEIGHTS),
        below(values, "age", ((65, 0), (75, 1)), 2),
        when(values, "sex", values["sex"] == "female", 1, "female"),
    ]
    return points(parts, _STROKE_STRATA)


CHA2DS2_VASC = Score(
    name="cha2ds2_vasc",
    title="CHA2DS2-VASc",
    inputs=ask("atrial_fibrillation age sex " + " ".join(_STROKE_WEIGHTS)),
    compute=cha2ds2_vasc,
    source="Lip GYH et al. Chest 2010;137:263-272. https://doi.org/10.1378/chest.09-1584",
    outcome="stroke or systemic embolism",
    horizon=365,
    limits="adults with non-valvular atrial fibrillation",
    applies=_FIBRILLATION,
)

_BLEED_STRATA: Strata = (
    (2, "low", "no high risk of bleeding"),
    (9, "high", "high risk of major bleeding on anticoagulation: correct what can be corrected, review often"),
)
_BLEED_WEIGHTS = {
    "abnormal_renal": 1,
    "abnormal_liver": 1,
    "stroke": 1,
    "bleeding_history": 1,
    "labile_inr": 1,
    "antiplatelet_or_nsaid": 1,
    "alcohol_excess": 1,
}


def has_bled(values: Values) -> Result:
    """HAS-BLED, 0 to 9.

    Inputs: systolic mm[Hg] (over 160: 1), age (over 65: 1), seven yes/no.
    Source: Pisters R et al. Chest 2010;138:1093-1100. https://doi.org/10.1378/chest.10-0134
    """
    parts = [
        at_most(values, "systolic", ((160, 0),), 1),
        at_most(values, "age", ((65, 0),), 1),
        *checklist(values, _BLEED_WEIGHTS),
    ]
    return points(parts, _BLEED_STRATA)


HAS_BLED = Score(
    name="has_bled",
    title="HAS-BLED",
    inputs=(*ask("atrial_fibrillation age"), *ask("systolic", within=13 * WEEK), *ask(" ".join(_BLEED_WEIGHTS))),
    compute=has_bled,
    source="Pisters R et al. Chest 2010;138:1093-1100. https://doi.org/10.1378/chest.10-0134",
    outcome="major bleeding on anticoagulation",
    horizon=365,
    limits="adults with atrial fibrillation",
    applies=_FIBRILLATION,
)

THROMBOSIS = (WELLS_PE, WELLS_DVT, CHA2DS2_VASC, HAS_BLED)

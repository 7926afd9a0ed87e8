"""Cardiovascular risk: Framingham 2008, Pooled Cohort Equations 2013, GRACE."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from fhir_ai.scores.score import Contribution, Result, Score, Values
from fhir_ai.scores.terms import Strata, below, checklist, coded, number, points, survival, term, within, yes
from fhir_ai.scores.vocabulary import ask

_TEN_YEARS = 3652.5
_NO_DISEASE = {"cardiovascular_disease": "the source is of people without cardiovascular disease"}


@dataclass(frozen=True, slots=True)
class _Framingham:
    age: float
    total: float
    hdl: float
    untreated: float
    treated: float
    smoker: float
    diabetes: float
    baseline: float
    mean: float


_FRAMINGHAM = {
    "female": _Framingham(2.32888, 1.20904, -0.70833, 2.76157, 2.82263, 0.52873, 0.69154, 0.95012, 26.1931),
    "male": _Framingham(3.06117, 1.12370, -0.93263, 1.93303, 1.99881, 0.65451, 0.57367, 0.88936, 23.9802),
}
_FRAMINGHAM_STRATA: Strata = (
    (0.0999999, "low", "under 10%"),
    (0.1999999, "intermediate", "10% to under 20%"),
    (1, "high", "20% or more"),
)


def framingham_2008(values: Values) -> Result:
    """Framingham general cardiovascular risk in 10 years, with laboratory values.

    1 - S0^exp(sum - mean) of natural logarithms. Inputs: age 30-74, sex, total_cholesterol and hdl_cholesterol mg/dL,
    systolic mm[Hg], bp_treated, current_smoker, diabetes.
    Source: D'Agostino RB et al. Circulation 2008;117:743-753. https://doi.org/10.1161/CIRCULATIONAHA.107.699579
    """
    of = _FRAMINGHAM[str(values["sex"])]
    pressure = of.treated if yes(values, "bp_treated") else of.untreated
    parts = [
        term(values, "age", of.age * math.log(number(values, "age"))),
        term(values, "total_cholesterol", of.total * math.log(number(values, "total_cholesterol"))),
        term(values, "hdl_cholesterol", of.hdl * math.log(number(values, "hdl_cholesterol"))),
        term(values, "systolic", of.untreated * math.log(number(values, "systolic"))),
        term(values, "bp_treated", (pressure - of.untreated) * math.log(number(values, "systolic"))),
        term(values, "current_smoker", of.smoker * yes(values, "current_smoker")),
        term(values, "diabetes", of.diabetes * yes(values, "diabetes")),
    ]
    return survival(parts, of.baseline, of.mean, "a cardiovascular event within 10 years", _FRAMINGHAM_STRATA)


FRAMINGHAM_2008 = Score(
    name="framingham_2008",
    title="Framingham general cardiovascular risk 2008",
    inputs=(
        *ask("age sex total_cholesterol hdl_cholesterol"),
        *ask("systolic", within=8760),
        *ask("bp_treated current_smoker diabetes cardiovascular_disease"),
    ),
    compute=framingham_2008,
    source="D'Agostino RB et al. Circulation 2008;117:743-753. https://doi.org/10.1161/CIRCULATIONAHA.107.699579",
    outcome="coronary death, infarction, insufficiency, angina, stroke, TIA, claudication or heart failure",
    horizon=_TEN_YEARS,
    limits="30 to 74 years, without cardiovascular disease",
    applies=within(("age", 30, 74), unless=_NO_DISEASE),
)


@dataclass(frozen=True, slots=True)
class _Pooled:
    """Coefficients of natural logarithms; each second one is times ln age."""

    age: tuple[float, float]
    total: tuple[float, float]
    hdl: tuple[float, float]
    treated: tuple[float, float]
    untreated: tuple[float, float]
    smoker: tuple[float, float]
    diabetes: float
    mean: float
    baseline: float


_POOLED: Mapping[tuple[str, str], _Pooled] = {
    ("female", "white"): _Pooled(
        (-29.799, 4.884),
        (13.540, -3.114),
        (-13.578, 3.149),
        (2.019, 0),
        (1.957, 0),
        (7.574, -1.665),
        0.661,
        -29.18,
        0.9665,
    ),
    ("female", "black"): _Pooled(
        (17.114, 0),
        (0.940, 0),
        (-18.920, 4.475),
        (29.291, -6.432),
        (27.820, -6.087),
        (0.691, 0),
        0.874,
        86.61,
        0.9533,
    ),
    ("male", "white"): _Pooled(
        (12.344, 0), (11.853, -2.664), (-7.990, 1.769), (1.797, 0), (1.764, 0), (7.837, -1.795), 0.658, 61.18, 0.9144
    ),
    ("male", "black"): _Pooled(
        (2.469, 0), (0.302, 0), (-0.307, 0), (1.916, 0), (1.809, 0), (0.549, 0), 0.645, 19.54, 0.8954
    ),
}
_POOLED_STRATA: Strata = (
    (0.0499999, "low", "under 5%"),
    (0.0749999, "borderline", "5% to under 7.5%"),
    (0.1999999, "intermediate", "7.5% to under 20%"),
    (1, "high", "20% or more"),
)


def pooled_cohort_2013(values: Values) -> Result:
    """Pooled Cohort Equations: first atherosclerotic event in 10 years.

    1 - S0^exp(sum - mean). Inputs: age 40-79, sex, race (`other` takes the white equation, as the guideline advises,
    which may over- or underestimate), total_cholesterol and hdl_cholesterol mg/dL, systolic mm[Hg], bp_treated,
    current_smoker, diabetes. A term times ln age counts with the other input. Bands: ACC/AHA guideline 2019.
    Source: Goff DC et al. Circulation 2014;129(suppl 2):S49-S73. https://doi.org/10.1161/01.cir.0000437741.48606.98
    """
    of = _POOLED[str(values["sex"]), "black" if values["race"] == "black" else "white"]
    age = math.log(number(values, "age"))
    pressure = math.log(number(values, "systolic"))
    treated, untreated = _times(of.treated, age), _times(of.untreated, age)
    parts = [
        term(values, "age", _times(of.age, age) * age),
        term(values, "total_cholesterol", _times(of.total, age) * math.log(number(values, "total_cholesterol"))),
        term(values, "hdl_cholesterol", _times(of.hdl, age) * math.log(number(values, "hdl_cholesterol"))),
        term(values, "systolic", untreated * pressure),
        term(values, "bp_treated", (treated - untreated) * pressure * yes(values, "bp_treated")),
        term(values, "current_smoker", _times(of.smoker, age) * yes(values, "current_smoker")),
        term(values, "diabetes", of.diabetes * yes(values, "diabetes")),
    ]
    return survival(parts, of.baseline, of.mean, "a first atherosclerotic event within 10 years", _POOLED_STRATA)


def _times(pair: tuple[float, float], age: float) -> float:
    return pair[0] + pair[1] * age


POOLED_COHORT_2013 = Score(
    name="pooled_cohort_2013",
    title="Pooled Cohort Equations 2013",
    inputs=(
        *ask("age sex race total_cholesterol hdl_cholesterol"),
        *ask("systolic", within=8760),
        *ask("bp_treated current_smoker diabetes cardiovascular_disease"),
    ),
    compute=pooled_cohort_2013,
    source="Goff DC et al. Circulation 2014;129(suppl 2):S49-S73. https://doi.org/10.1161/01.cir.0000437741.48606.98",
    outcome="coronary death, myocardial infarction or stroke",
    horizon=_TEN_YEARS,
    limits="40 to 79 years, without cardiovascular disease; cholesterol 130-320, HDL 20-100, systolic 90-200",
    applies=within(
        ("age", 40, 79),
        ("total_cholesterol", 130, 320),
        ("hdl_cholesterol", 20, 100),
        ("systolic", 90, 200),
        unless=_NO_DISEASE,
    ),
)

_GRACE_STRATA: Strata = (
    (108, "low", "under 1% die in hospital (non-ST-elevation)"),
    (140, "intermediate", "1% to 3% die in hospital (non-ST-elevation)"),
    (math.inf, "high", "over 3% die in hospital (non-ST-elevation)"),
)


def grace(values: Values) -> Result:
    """GRACE 1.0 of acute coronary syndrome at admission, 1 to 372 points, death in hospital.

    Inputs: killip 1-4, systolic mm[Hg], heart_rate /min, age, creatinine mg/dL, cardiac_arrest, st_deviation,
    elevated_troponin. Points of the printed nomogram, by steps.
    Source: Granger CB et al. Arch Intern Med 2003;163:2345-2353. https://doi.org/10.1001/archinte.163.19.2345
    """
    pressure = ((80, 58), (100, 53), (120, 43), (140, 34), (160, 24), (200, 10))
    rate = ((50, 0), (70, 3), (90, 9), (110, 15), (150, 24), (200, 38))
    age = ((30, 0), (40, 8), (50, 25), (60, 41), (70, 58), (80, 75), (90, 91))
    creatinine = ((0.4, 1), (0.8, 4), (1.2, 7), (1.6, 10), (2, 13), (4, 21))
    parts: list[Contribution] = [
        coded(values, "killip", {"1": 0, "2": 20, "3": 39, "4": 59}),
        below(values, "systolic", pressure, 0),
        below(values, "heart_rate", rate, 46),
        below(values, "age", age, 100),
        below(values, "creatinine", creatinine, 28),
        *checklist(values, {"cardiac_arrest": 39, "st_deviation": 28, "elevated_troponin": 14}),
    ]
    return points(parts, _GRACE_STRATA)


GRACE = Score(
    name="grace",
    title="GRACE 1.0, death in hospital",
    inputs=ask(
        "age killip systolic heart_rate creatinine cardiac_arrest st_deviation elevated_troponin",
        within=24,
    ),
    compute=grace,
    source="Granger CB et al. Arch Intern Med 2003;163:2345-2353. https://doi.org/10.1001/archinte.163.19.2345",
    outcome="death in hospital",
    limits="adults with acute coronary syndrome, at admission",
    applies=within(("age", 18, math.inf)),
)

CARDIOVASCULAR = (FRAMINGHAM_2008, POOLED_COHORT_2013, GRACE)

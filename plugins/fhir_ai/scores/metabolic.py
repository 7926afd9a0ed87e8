"""Metabolism: FINDRISC and the stages of glucose and HbA1c."""

import math

from fhir_ai.scores.score import Contribution, Implausible, Result, Score, Values
from fhir_ai.scores.terms import Strata, at_most, below, checklist, coded, number, points, when, within, yes
from fhir_ai.scores.vocabulary import ask, may

_FINDRISC_STRATA: Strata = (
    (6, "low", "about 1 in 100 develops type 2 diabetes within 10 years"),
    (11, "slightly elevated", "about 1 in 25"),
    (14, "moderate", "about 1 in 6"),
    (20, "high", "about 1 in 3"),
    (math.inf, "very high", "about 1 in 2"),
)


def findrisc(values: Values) -> Result:
    """Finnish Diabetes Risk Score, 0 to 26: the form of the Finnish Diabetes Association.

    Inputs: age, sex, bmi kg/m2 (25-30, over 30), waist cm (men 94-102, over 102; women 80-88, over 88),
    physically_active, daily_vegetables, bp_treated, high_glucose_before, diabetes_in_family. The paper of 2003 had no
    family history and no points over 64 years; we follow the form, which is the one in use.
    Source: Lindstrom J, Tuomilehto J. Diabetes Care 2003;26:725-731. https://doi.org/10.2337/diacare.26.3.725
    """
    low, high = (94, 102) if values["sex"] == "male" else (80, 88)
    waist = number(values, "waist")
    parts = [
        below(values, "age", ((45, 0), (55, 2), (65, 3)), 4),
        _thirty(values),
        Contribution("waist", waist, 0 if waist < low else 3 if waist <= high else 4),
        when(values, "physically_active", not yes(values, "physically_active"), 2, "not daily"),
        when(values, "daily_vegetables", not yes(values, "daily_vegetables"), 1, "not daily"),
        *checklist(values, {"bp_treated": 2, "high_glucose_before": 5}),
        coded(values, "diabetes_in_family", {"none": 0, "second_degree": 3, "first_degree": 5}),
    ]
    return points(parts, _FINDRISC_STRATA)


def _thirty(values: Values) -> Contribution:
    """Body mass index: under 25, 25 to 30, over 30."""
    if number(values, "bmi") < 25:
        return below(values, "bmi", ((25, 0),), 1)
    return at_most(values, "bmi", ((30, 1),), 3)


FINDRISC = Score(
    name="findrisc",
    title="FINDRISC",
    inputs=ask(
        "age sex bmi waist physically_active daily_vegetables bp_treated high_glucose_before "
        "diabetes_in_family diabetes",
        within=8760,
    ),
    compute=findrisc,
    source="Lindstrom J, Tuomilehto J. Diabetes Care 2003;26:725-731. https://doi.org/10.2337/diacare.26.3.725",
    outcome="type 2 diabetes",
    horizon=3652.5,
    limits="adults without diabetes",
    applies=within(("age", 18, math.inf), unless={"diabetes": "diabetes is known"}),
)

_TESTS = {"hba1c": (5.7, 6.5), "fasting_glucose": (100, 126), "glucose_2h": (140, 200)}
"""Each test with the lower limits of prediabetes and of diabetes."""


def diabetes_stage(values: Values) -> Result:
    """Stage by glucose and HbA1c: 0 normal, 1 prediabetes, 2 diabetes range.

    Inputs, one at least: hba1c % (5.7, 6.5), fasting_glucose (100, 126) and glucose_2h (140, 200) mg/dL, random_glucose
    mg/dL (200, with hyperglycaemia_symptoms). A diagnosis needs two abnormal tests, or a random glucose with symptoms:
    `diabetes` says so, `diabetes range` has one. The highest test is the stage and carries the contribution.
    Source: American Diabetes Association. Standards of Care: Diagnosis and Classification of Diabetes. Diabetes Care
    2024;47(suppl 1):S20-S42. https://doi.org/10.2337/dc24-S002
    """
    stages = {name: _stage(number(values, name), *limits) for name, limits in _TESTS.items() if name in values}
    crisis = number(values, "random_glucose") >= 200 if "random_glucose" in values else False
    symptomatic = crisis and yes(values, "hyperglycaemia_symptoms")
    if symptomatic:
        stages["random_glucose"] = 2
    if not stages:
        raise Implausible("hba1c", "HbA1c, fasting glucose and glucose after 2 hours are all missing")
    highest = max(stages, key=lambda name: stages[name])
    sure = symptomatic or sum(stage == 2 for stage in stages.values()) > 1
    parts = tuple(Contribution(name, values[name], stage if name == highest else 0) for name, stage in stages.items())
    return Result(stages[highest], "class", *_named(stages[highest], sure), parts)


def _stage(value: float, prediabetes: float, diabetes: float) -> int:
    return (value >= prediabetes) + (value >= diabetes)


def _named(stage: int, sure: bool) -> tuple[str, str]:
    if stage == 2 and sure:
        return "diabetes", "meets the criteria of diabetes"
    names = (
        ("normal", "no test in the range of prediabetes"),
        ("prediabetes", "in the range of prediabetes"),
        ("diabetes range", "one test in the range of diabetes: repeat it, or add another test"),
    )
    return names[stage]


DIABETES_STAGE = Score(
    name="diabetes_stage",
    title="Stage by glucose and HbA1c",
    inputs=(
        *ask("age"),
        *may("hba1c fasting_glucose glucose_2h random_glucose hyperglycaemia_symptoms"),
        *ask("pregnant"),
    ),
    compute=diabetes_stage,
    source="American Diabetes Association. Standards of Care 2024, section 2. https://doi.org/10.2337/dc24-S002",
    outcome="stage of glucose metabolism now",
    limits="adults, not in pregnancy",
    applies=within(("age", 18, math.inf), unless={"pregnant": "gestational diabetes has other limits"}),
)

METABOLIC = (FINDRISC, DIABETES_STAGE)

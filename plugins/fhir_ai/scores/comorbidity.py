"""Comorbidity and readmission: Charlson, LACE."""

import math
from collections.abc import Sequence

from fhir_ai.scores.score import Contribution, Result, Score, Values
from fhir_ai.scores.terms import Strata, at_most, below, checklist, number, points, when, within, yes
from fhir_ai.scores.vocabulary import ask

_ADULT = within(("age", 18, math.inf))

_WEIGHTS = {
    "myocardial_infarction": 1,
    "heart_failure": 1,
    "peripheral_vascular_disease": 1,
    "cerebrovascular_disease": 1,
    "dementia": 1,
    "chronic_pulmonary_disease": 1,
    "connective_tissue_disease": 1,
    "peptic_ulcer": 1,
    "mild_liver_disease": 1,
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
_INCLUDED = {
    "mild_liver_disease": "severe_liver_disease",
    "diabetes": "diabetes_with_damage",
    "solid_tumour": "metastatic_tumour",
}
"""A milder form does not count beside its severe one."""
_CHARLSON_STRATA: Strata = (
    (0, "0", "12% died within a year in the derivation cohort"),
    (2, "1-2", "26% died within a year in the derivation cohort"),
    (4, "3-4", "52% died within a year in the derivation cohort"),
    (math.inf, "5 or more", "85% died within a year in the derivation cohort"),
)


def _comorbidities(values: Values) -> list[Contribution]:
    counted = {name: value for name, value in values.items() if not yes(values, _INCLUDED.get(name, ""))}
    return checklist({**values, **dict.fromkeys(set(_INCLUDED) - set(counted), False)}, _WEIGHTS)


def charlson(values: Values) -> Result:
    """Charlson comorbidity index, 0 to 33, without age.

    Inputs: nineteen yes/no. A milder form does not count beside its severe one (liver, diabetes, tumour).
    Source: Charlson ME et al. J Chronic Dis 1987;40:373-383. https://doi.org/10.1016/0021-9681(87)90171-8
    """
    return points(_comorbidities(values), _CHARLSON_STRATA)


def charlson_age(values: Values) -> Result:
    """Charlson index with age: one point for each decade from 50 on (50-59: 1, 60-69: 2 ...).

    The paper has a point for each decade over 40 without an end; calculators that stop at 4 points (80 years) differ.
    Source: Charlson M et al. J Clin Epidemiol 1994;47:1245-1251. https://doi.org/10.1016/0895-4356(94)90129-5
    """
    decades = max(0, math.floor((number(values, "age") - 40) / 10))
    age = Contribution("age", values["age"], decades, "decades over 40")
    total = math.fsum([*(part.points for part in _comorbidities(values)), decades])
    alive = 0.983 ** math.exp(0.9 * total)
    meaning = f"estimated to be alive after 10 years: {alive:.0%} (0.983^exp(0.9 x total))"
    return points([*_comorbidities(values), age], ((math.inf, "", meaning),))


CHARLSON = Score(
    name="charlson",
    title="Charlson comorbidity index",
    inputs=ask("age " + " ".join(_WEIGHTS)),
    compute=charlson,
    source="Charlson ME et al. J Chronic Dis 1987;40:373-383. https://doi.org/10.1016/0021-9681(87)90171-8",
    outcome="death within a year",
    horizon=365,
    limits="adults; the mortality figures are of inpatients in 1984",
    applies=_ADULT,
)
CHARLSON_AGE = Score(
    name="charlson_age",
    title="Charlson comorbidity index with age",
    inputs=ask("age " + " ".join(_WEIGHTS)),
    compute=charlson_age,
    source="Charlson M et al. J Clin Epidemiol 1994;47:1245-1251. https://doi.org/10.1016/0895-4356(94)90129-5",
    outcome="death within 10 years",
    horizon=3652.5,
    limits="adults",
    applies=_ADULT,
)

_LACE_WEIGHTS = {
    "myocardial_infarction": 1,
    "cerebrovascular_disease": 1,
    "peripheral_vascular_disease": 1,
    "diabetes": 1,
    "heart_failure": 2,
    "diabetes_with_damage": 2,
    "chronic_pulmonary_disease": 2,
    "mild_liver_disease": 2,
    "solid_tumour": 2,
    "leukaemia": 2,
    "lymphoma": 2,
    "dementia": 3,
    "connective_tissue_disease": 3,
    "aids": 4,
    "severe_liver_disease": 4,
    "renal_disease": 4,
    "metastatic_tumour": 6,
}
_LACE_STRATA: Strata = (
    (4, "low", "expected risk of 2.0% at 0 points, rising with each point"),
    (9, "moderate", "between low and high"),
    (19, "high", "10 or more is the usual threshold of high risk; expected 43.7% at 19 points"),
)


def lace(values: Values) -> Result:
    """LACE index of death or unplanned readmission within 30 days of discharge, 0 to 19.

    Inputs: stay in days (L), acute_admission (A), comorbidities (C: 0-3 as they are, 4 and more count 5) by the weights
    of Schneeweiss that the paper uses (not Charlson's own), emergency_visits in 6 months (E, at most 4). A tumour of
    whatever kind counts once. What C adds is shared among the comorbidities in proportion to their weights.
    Source: van Walraven C et al. CMAJ 2010;182:551-557. https://doi.org/10.1503/cmaj.091117
    """
    parts = [
        below(values, "stay", ((1, 0), (2, 1), (3, 2), (4, 3), (7, 4), (14, 5)), 7),
        when(values, "acute_admission", yes(values, "acute_admission"), 3, "emergent"),
        *_shared(_lace_comorbidities(values)),
        at_most(values, "emergency_visits", ((0, 0), (1, 1), (2, 2), (3, 3)), 4),
    ]
    return points(parts, _LACE_STRATA)


def _lace_comorbidities(values: Values) -> list[Contribution]:
    hidden = {milder for milder, severe in _INCLUDED.items() if yes(values, severe)}
    tumours = [name for name in ("solid_tumour", "leukaemia", "lymphoma") if yes(values, name) and name not in hidden]
    hidden.update(tumours[1:])
    return checklist({**values, **dict.fromkeys(hidden, False)}, _LACE_WEIGHTS)


def _shared(parts: Sequence[Contribution]) -> list[Contribution]:
    weight = math.fsum(part.points for part in parts)
    if weight < 4:
        return list(parts)
    return [Contribution(part.input, part.value, part.points * 5 / weight, part.because) for part in parts]


LACE = Score(
    name="lace",
    title="LACE index",
    inputs=ask("age stay acute_admission emergency_visits " + " ".join(_LACE_WEIGHTS)),
    compute=lace,
    source="van Walraven C et al. CMAJ 2010;182:551-557. https://doi.org/10.1503/cmaj.091117",
    outcome="death or unplanned readmission within 30 days of discharge",
    horizon=30,
    limits="adult medical and surgical inpatients discharged to the community; not for psychiatry or nursing homes",
    applies=_ADULT,
)

COMORBIDITY = (CHARLSON, CHARLSON_AGE, LACE)

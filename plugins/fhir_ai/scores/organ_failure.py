"""Organ failure: SOFA."""

from fhir_ai.scores.score import Contribution, Result, Score, Values
from fhir_ai.scores.terms import Strata, at_most, below, number, points, when, within, yes
from fhir_ai.scores.vocabulary import ask, may

_STRATA: Strata = (
    (1, "0-1", "little or no organ dysfunction"),
    (24, "2 or more", "organ dysfunction; a rise of 2 or more by infection is sepsis (Sepsis-3)"),
)


def sofa(values: Values) -> Result:
    """Sequential Organ Failure Assessment, 0 to 24, of the values given (the worst of 24 hours, as the source has it).

    Inputs: pao2_fio2 mm[Hg] and respiratory_support (3 and 4 points are only with it), platelets 10*3/uL, bilirubin
    mg/dL, mean_arterial_pressure mm[Hg], vasopressors ug/kg/min, gcs, creatinine mg/dL or urine_24h mL.
    The printed table leaves gaps (bilirubin 6.0-11.9 and >12.0, creatinine 3.5-4.9 and >5.0): 12.0 and 5.0 count 4.
    Source: Vincent JL et al. Intensive Care Med 1996;22:707-710. https://doi.org/10.1007/BF01709751
    """
    parts = [
        _respiration(values),
        below(values, "platelets", ((20, 4), (50, 3), (100, 2), (150, 1)), 0),
        below(values, "bilirubin", ((1.2, 0), (2, 1), (6, 2), (12, 3)), 4),
        *_circulation(values),
        below(values, "gcs", ((6, 4), (10, 3), (13, 2), (15, 1)), 0),
        *_kidneys(values),
    ]
    return points(parts, _STRATA)


def _respiration(values: Values) -> Contribution:
    supported = yes(values, "respiratory_support")
    steps = ((100, 4), (200, 3), (300, 2), (400, 1)) if supported else ((300, 2), (400, 1))
    return below(values, "pao2_fio2", steps, 0)


def _circulation(values: Values) -> list[Contribution]:
    """The points of the strongest support; the others are named with none."""
    scored = [
        below(values, "mean_arterial_pressure", ((70, 1),), 0),
        when(values, "dobutamine", number(values, "dobutamine") > 0, 2, "any dose"),
        at_most(values, "dopamine", ((0, 0), (5, 2), (15, 3)), 4),
        at_most(values, "epinephrine", ((0, 0), (0.1, 3)), 4),
        at_most(values, "norepinephrine", ((0, 0), (0.1, 3)), 4),
    ]
    return _strongest(scored)


def _kidneys(values: Values) -> list[Contribution]:
    scored = [below(values, "creatinine", ((1.2, 0), (2, 1), (3.5, 2), (5, 3)), 4)]
    if "urine_24h" in values:
        scored.append(below(values, "urine_24h", ((200, 4), (500, 3)), 0))
    return _strongest(scored)


def _strongest(scored: list[Contribution]) -> list[Contribution]:
    best = max(scored, key=lambda each: each.points)
    return [each if each is best else Contribution(each.input, each.value, 0) for each in scored]


SOFA = Score(
    name="sofa",
    title="SOFA",
    inputs=(
        *ask("age pao2_fio2 respiratory_support platelets bilirubin mean_arterial_pressure gcs creatinine", within=24),
        *may("dopamine dobutamine epinephrine norepinephrine", within=24, default=0.0),
        *may("urine_24h", within=24),
    ),
    compute=sofa,
    source="Vincent JL et al. Intensive Care Med 1996;22:707-710. https://doi.org/10.1007/BF01709751",
    outcome="organ dysfunction",
    limits="adults, in intensive care or for suspected sepsis; the newest values stand for the worst of the day",
    applies=within(("age", 18, float("inf"))),
)

ORGAN_FAILURE = (SOFA,)

"""Mental health: totals of PHQ-9 and GAD-7."""

import math

from fhir_ai.scores.score import Contribution, Result, Score, Values
from fhir_ai.scores.terms import Strata, number, points, within
from fhir_ai.scores.vocabulary import ask

_PHQ9_ITEMS = " ".join(f"phq9_{n}" for n in range(1, 10))
_GAD7_ITEMS = " ".join(f"gad7_{n}" for n in range(1, 8))
_PHQ9_STRATA: Strata = (
    (4, "minimal", "minimal depressive symptoms"),
    (9, "mild", "mild depressive symptoms"),
    (14, "moderate", "moderate depressive symptoms"),
    (19, "moderately severe", "moderately severe depressive symptoms"),
    (27, "severe", "severe depressive symptoms"),
)
_GAD7_STRATA: Strata = (
    (4, "minimal", "minimal anxiety"),
    (9, "mild", "mild anxiety"),
    (14, "moderate", "moderate anxiety"),
    (21, "severe", "severe anxiety"),
)


def _items(values: Values, names: str) -> list[Contribution]:
    return [Contribution(name, values[name], number(values, name)) for name in names.split()]


def phq9(values: Values) -> Result:
    """Total of PHQ-9, 0 to 27, of nine items of 0 to 3 about the last two weeks; 10 or more is the usual threshold.

    An answer over 0 to item 9 (thoughts of death or self-harm) is said whatever the total.
    Source: Kroenke K et al. J Gen Intern Med 2001;16:606-613. https://doi.org/10.1046/j.1525-1497.2001.016009606.x
    """
    result = points(_items(values, _PHQ9_ITEMS), _PHQ9_STRATA)
    if number(values, "phq9_9") == 0:
        return result
    said = f"{result.meaning}; item 9 is positive: ask about self-harm now"
    return Result(result.value, "points", result.band, said, result.contributions)


def gad7(values: Values) -> Result:
    """Total of GAD-7, 0 to 21, of seven items of 0 to 3 about the last two weeks; 10 or more is the usual threshold.

    Source: Spitzer RL et al. Arch Intern Med 2006;166:1092-1097. https://doi.org/10.1001/archinte.166.10.1092
    """
    return points(_items(values, _GAD7_ITEMS), _GAD7_STRATA)


PHQ9 = Score(
    name="phq9",
    title="PHQ-9",
    inputs=ask(f"age {_PHQ9_ITEMS}"),
    compute=phq9,
    source="Kroenke K et al. J Gen Intern Med 2001;16:606-613. https://doi.org/10.1046/j.1525-1497.2001.016009606.x",
    outcome="depressive symptoms now",
    limits="adults; adolescents have a version of their own",
    applies=within(("age", 18, math.inf)),
)
GAD7 = Score(
    name="gad7",
    title="GAD-7",
    inputs=ask(f"age {_GAD7_ITEMS}"),
    compute=gad7,
    source="Spitzer RL et al. Arch Intern Med 2006;166:1092-1097. https://doi.org/10.1001/archinte.166.10.1092",
    outcome="anxiety now",
    limits="adults",
    applies=within(("age", 18, math.inf)),
)

MENTAL = (PHQ9, GAD7)

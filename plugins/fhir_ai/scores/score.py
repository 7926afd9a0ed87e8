"""Score: a published formula as a pure function, with what it needs, for whom it holds, and where it comes from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Number = float
Value = float | bool | str
Values = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Input:
    """One thing that a score needs.

    name: as the function takes it. unit: UCUM, of what the function takes; empty for yes/no and codes.
    kind: a number, a yes/no, or one of `codes`. low, high: plausible limits; outside them it is refused, never clamped
    unless the source says so. window: hours for which a value counts as present; 0: for ever (sex, diagnoses).
    required: without it there is no result; else `default` is what the source says of a missing one.
    """

    name: str
    title: str
    unit: str = ""
    kind: Literal["number", "boolean", "code"] = "number"
    codes: tuple[str, ...] = ()
    low: float = float("-inf")
    high: float = float("inf")
    window: float = 24.0
    required: bool = True
    default: Value | None = None


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one input added: points, or a term of the linear predictor."""

    input: str
    value: Value | None
    points: float
    because: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What a score comes to.

    value: the total, or the probability (0 to 1) where the score is one. kind says which. band: the source's own name
    of the stratum, `low`, `high` ... meaning: one sentence of the source's meaning in our words. link: what turns the
    sum of the contributions into the value: nothing, exp (log), 1/(1+exp(-x)) (logit), 1-exp(-exp(x)) (cloglog, the
    form of a Cox model with its baseline survival in the constant).
    """

    value: float
    kind: Literal["points", "probability", "class"]
    band: str = ""
    meaning: str = ""
    contributions: Sequence[Contribution] = field(default_factory=tuple)
    link: Literal["identity", "log", "logit", "cloglog"] = "identity"


@dataclass(frozen=True, slots=True)
class Score:
    """One published score.

    name: as in `model=news2`. applies: why it does not hold for these values (age, sex, setting), or nothing.
    compute: takes values that were checked against `inputs`, in their units. source: citation with DOI or URL.
    horizon: days that a probability is about; 0 where it is of the present. enabled: off by default where the
    formula is known at second hand only.
    """

    name: str
    title: str
    inputs: tuple[Input, ...]
    compute: Callable[[Values], Result]
    source: str
    outcome: str = ""
    horizon: float = 0
    limits: str = ""
    applies: Callable[[Values], str | None] = lambda values: None
    enabled: bool = True


_LESS = (("hdl_cholesterol", "total_cholesterol"), ("diastolic", "systolic"))
"""Pairs of which the first is always less: values that contradict each other are refused, not computed with."""


class Implausible(ValueError):
    """An input outside its plausible limits, one that contradicts another, or one that is missing; `input` names it."""

    def __init__(self, input_: str, said: str) -> None:
        super().__init__(said)
        self.input = input_


def run(score: Score, values: Values) -> Result:
    """Compute a score from values in the units of its inputs.

    Raises:
        Implausible: an input is missing, is no value of it, or contradicts another.
        ValueError: the score does not hold for these values.
    """
    checked: dict[str, Value] = {}
    for each in score.inputs:
        value = values.get(each.name, each.default)
        if value is None:
            if each.required:
                raise Implausible(each.name, f"{each.title} is missing")
            continue
        checked[each.name] = _checked(each, value)
    _refuse_contradictions(checked)
    reason = score.applies(checked)
    if reason:
        raise ValueError(f"{score.title} does not hold here: {reason}")
    return score.compute(checked)


def _refuse_contradictions(values: Values) -> None:
    for less, more in _LESS:
        if less in values and more in values and float(values[less]) >= float(values[more]):
            raise Implausible(less, f"{less} is {values[less]:g} and {more} {values[more]:g}: one of them is wrong")


def _checked(wanted: Input, value: Value) -> Value:
    if wanted.kind == "boolean":
        if not isinstance(value, bool):
            raise Implausible(wanted.name, f"{wanted.title} is yes or no")
    elif wanted.kind == "code":
        if value not in wanted.codes:
            raise Implausible(wanted.name, f"{wanted.title} is one of {', '.join(wanted.codes)}")
    elif isinstance(value, bool | str) or not wanted.low <= value <= wanted.high:
        unit = f" {wanted.unit}" if wanted.unit else ""
        raise Implausible(wanted.name, f"{wanted.title} is {wanted.low:g} to {wanted.high:g}{unit}")
    return value

"""Terms: what scores are made of: points by limits, points by yes and no, terms of a linear predictor, totals."""

import math
from collections.abc import Callable, Mapping, Sequence

from fhir_ai.scores.score import Contribution, Result, Value, Values

Steps = Sequence[tuple[float, float]]
"""Limits, ascending, each with the points of the values up to it (or below it)."""
Strata = Sequence[tuple[float, str, str]]
"""The greatest total of a stratum, ascending, with its name and its meaning; the last is infinite."""

CONSTANT = "(constant)"
ROUNDING = "(rounding)"


def number(values: Values, name: str) -> float:
    """A number among the values, which were checked to be there."""
    return float(values[name])


def yes(values: Values, name: str) -> bool:
    """Whether a yes/no among the values is a yes; one that is not there is not."""
    return values.get(name) is True


def code(values: Values, name: str) -> str:
    """A code among the values."""
    return str(values[name])


def at_most(values: Values, name: str, steps: Steps, over: float) -> Contribution:
    """Points of the first limit that the value does not exceed; `over` beyond the last."""
    value = number(values, name)
    before = "lowest"
    for limit, points in steps:
        if value <= limit:
            return Contribution(name, value, points, f"{before} to {limit:g}")
        before = f"over {limit:g}"
    return Contribution(name, value, over, before)


def below(values: Values, name: str, steps: Steps, beyond: float) -> Contribution:
    """Points of the first limit that the value is less than; `beyond` from the last on."""
    value = number(values, name)
    before = "lowest"
    for limit, points in steps:
        if value < limit:
            return Contribution(name, value, points, f"{before} to under {limit:g}")
        before = f"{limit:g} or more"
    return Contribution(name, value, beyond, before)


def when(values: Values, name: str, hit: bool, points: float, because: str) -> Contribution:
    """Points if a condition on an input holds."""
    return Contribution(name, values.get(name), points if hit else 0, because if hit else "")


def checklist(values: Values, weights: Mapping[str, float]) -> list[Contribution]:
    """Points for each yes."""
    return [when(values, name, yes(values, name), points, "present") for name, points in weights.items()]


def coded(values: Values, name: str, points: Mapping[str, float]) -> Contribution:
    """Points of a code."""
    value = code(values, name)
    return Contribution(name, value, points[value], value)


def stratum(total: float, strata: Strata) -> tuple[str, str]:
    """The name and the meaning of the stratum that a total falls into."""
    for limit, name, meaning in strata:
        if total <= limit:
            return name, meaning
    return strata[-1][1], strata[-1][2]


def points(contributions: Sequence[Contribution], strata: Strata) -> Result:
    """A sum of points."""
    total = math.fsum(each.points for each in contributions)
    band, meaning = stratum(total, strata)
    return Result(total, "points", band, meaning, tuple(contributions))


def logistic(terms: Sequence[Contribution], meaning: str, strata: Strata = ()) -> Result:
    """A probability by logistic regression; the terms hold the constant too."""
    linear = math.fsum(each.points for each in terms)
    risk = 1 / (1 + math.exp(-linear)) if linear > -700 else 0.0
    return Result(risk, "probability", *_said(risk, meaning, strata), tuple(terms), "logit")


def survival(terms: Sequence[Contribution], baseline: float, mean: float, meaning: str, strata: Strata = ()) -> Result:
    """A probability by a Cox model: 1 - S0^exp(sum - mean), its constant written as -mean + ln(-ln S0)."""
    constant = Contribution(CONSTANT, None, math.log(-math.log(baseline)) - mean, f"baseline survival {baseline:g}")
    linear = math.fsum([*(each.points for each in terms), constant.points])
    risk = -math.expm1(-math.exp(min(linear, 700)))
    return Result(risk, "probability", *_said(risk, meaning, strata), (*terms, constant), "cloglog")


def _said(risk: float, meaning: str, strata: Strata) -> tuple[str, str]:
    band, said = stratum(risk, strata) if strata else ("", "")
    return band, f"{meaning}; {said}" if said else meaning


def term(values: Values, name: str, points: float, because: str = "") -> Contribution:
    """A term of a linear predictor that an input makes."""
    return Contribution(name, values.get(name), points, because)


Limit = tuple[str, float, float]


def within(
    *limits: Limit, under: Mapping[str, float] | None = None, unless: Mapping[str, str] | None = None
) -> Callable[[Values], str | None]:
    """A check of `applies`.

    limits: the least and the greatest of a number, both allowed; age counts in completed years. under: a number that
    must stay below its limit. unless: findings that exclude, with the reason.
    """
    caps, refusals = under or {}, unless or {}

    def check(values: Values) -> str | None:
        for name, low, high in limits:
            value = values.get(name)
            if isinstance(value, bool | str) or value is None:
                continue
            if not low <= (math.floor(value) if name == "age" else value) <= high:
                return f"{name} is {value:g}; the source's is {_range(low, high)}"
        for name, cap in caps.items():
            if name in values and number(values, name) >= cap:
                return f"{name} is {number(values, name):g}; the source's is under {cap:g}"
        return next((reason for name, reason in refusals.items() if yes(values, name)), None)

    return check


def only_with(names: Sequence[str], what: str, also: Callable[[Values], str | None]) -> Callable[[Values], str | None]:
    """A check of `applies` of a score that is about people with a condition: one of these must be recorded."""

    def check(values: Values) -> str | None:
        if any(yes(values, name) for name in names):
            return also(values)
        return f"it is about people with {what}, and none is recorded"

    return check


def _range(low: float, high: float) -> str:
    if math.isinf(high):
        return f"{low:g} or more"
    return f"{low:g} to {high:g}"


def half_up(value: float, digits: int = 0) -> float:
    """Round to digits, halves up, as charts and the sources do it (Python's own round goes to the even digit)."""
    scale = 10.0**digits
    return math.floor(value * scale + 0.5 + 1e-9) / scale


def rounded(values: Values, name: str, digits: int = 0) -> Mapping[str, Value]:
    """The values with one of them at the precision that the chart has."""
    return {**values, name: half_up(number(values, name), digits)}


def together(contributions: Sequence[Contribution], total: float, because: str) -> tuple[Contribution, ...]:
    """Contributions and what rounding or a cap added, so that they add up to the published total."""
    raw = math.fsum(each.points for each in contributions)
    return (*contributions, Contribution(ROUNDING, None, total - raw, because))

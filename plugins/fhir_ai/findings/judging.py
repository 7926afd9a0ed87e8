"""Judging: whether what a rule asks about holds: yes, no, or nobody knows. What is not known is never guessed."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import singledispatch

from fhir_ai.findings.gathering import Facts
from fhir_ai.findings.table import (
    AllOf,
    AnyOf,
    Asked,
    Known,
    Lasting,
    Measure,
    Rise,
    ScoreIs,
    Sex,
    SomeOf,
    measures,
    signs,
)
from fhir_ai.inputs.finder import Found
from fhir_ai.inputs.tables import DIAGNOSES
from fhir_ai.operations.computing import Computed
from fhir_ai.scores import SCORES
from fhir_ai.scores.vocabulary import VOCABULARY

_HOUR = 3_600_000
_LACKING = 6


@dataclass(frozen=True, slots=True)
class Judged:
    """The answer to what is asked: yes, no or None; what it rests on, and how that is said."""

    holds: bool | None
    references: tuple[str, ...] = ()
    said: str = ""


@singledispatch
def judge(asked: Asked, facts: Facts) -> Judged:
    """Answer what is asked."""
    raise TypeError(f"{asked!r} is nothing that can be asked")


@judge.register
def _(asked: str, facts: Facts) -> Judged:
    sign = facts.signs.get(asked)
    title = signs()[asked].title
    if sign is None:
        return Judged(None, (), title)
    return Judged(sign.present, _some(sign.reference), title if sign.present else f"{title}: not there")


@judge.register
def _(asked: Measure, facts: Facts) -> Judged:
    found = facts.finder.find(measures()[asked.measure])
    if not isinstance(found.value, int | float):
        return Judged(None, (), f"{found.title} {asked.said()}")
    return Judged(asked.hold(found.value), _some(found.reference), _told(found))


@judge.register
def _(asked: ScoreIs, facts: Facts) -> Judged:
    score = facts.score(asked.score)
    if not isinstance(score, Computed):
        lacking = ", ".join(each.title for each in score.inputs[:_LACKING])
        return Judged(None, (), f"{SCORES[asked.score].title}{f' (missing: {lacking})' if lacking else ''}")
    result = score.result
    holds = asked.hold(result.value) and asked.band in (None, result.band)
    used = tuple(each.reference for each in score.found.values() if each.reference and each.value is not None)
    return Judged(holds, used, f"{score.score.title} {result.value:g} ({result.band})")


@judge.register
def _(asked: Rise, facts: Facts) -> Judged:
    values = facts.finder.series(measures()[asked.rise])
    now = facts.finder.find(measures()[asked.rise])
    if not values or now.state != "found":
        return Judged(None, (), f"rise of {measures()[asked.rise].title}")
    last = values[0]
    before = [each for each in values[1:] if 0 < last.at - each.at <= asked.within_hours * _HOUR]
    if not before:
        return Judged(None, (), f"{last.title}: no earlier value within {asked.within_hours:g} hours")
    least = min(before, key=_number)
    high, low = _number(last), _number(least)
    rose = (asked.by is not None and high - low >= asked.by) or (asked.times is not None and high >= asked.times * low)
    return Judged(rose, _some(last.reference, least.reference), f"{last.title} {low:.4g}, then {high:.4g}")


@judge.register
def _(asked: Lasting, facts: Facts) -> Judged:
    wanted = measures()[asked.lasting]
    values = facts.finder.series(wanted)
    within = [each for each in values if asked.hold(_number(each))]
    if not values:
        return Judged(None, (), f"{wanted.title} {asked.said()}")
    if not within or values[0] is not within[0]:
        return Judged(False, _some(values[0].reference), _told(values[0]))
    old = [each for each in within if within[0].at - each.at >= asked.days * 24 * _HOUR]
    if not old:
        return Judged(None, _some(within[0].reference), f"{_told(within[0])}; no value {asked.days:g} days before")
    said = f"{_told(old[0])}, and {_number(within[0]):.4g} {asked.days:g} days and more later"
    return Judged(True, _some(within[0].reference, old[0].reference), said)


@judge.register
def _(asked: Known, facts: Facts) -> Judged:
    found = facts.finder.find(VOCABULARY[asked.diagnosis])
    recorded = found.value is True
    if found.value is None:
        return Judged(None, (), f"{found.title}: {found.because}")
    said = found.title if recorded else f"{found.title}: not recorded, counted as no"
    if asked.diagnosis not in DIAGNOSES:
        return Judged(None, (), found.title)
    return Judged(recorded, _some(found.reference), said)


@judge.register
def _(asked: Sex, facts: Facts) -> Judged:
    gender = facts.record.patient.get("gender")
    return Judged(gender == asked.sex if gender in ("female", "male") else None, (), str(gender or "sex"))


@judge.register
def _(asked: AnyOf, facts: Facts) -> Judged:
    return some([judge(each, facts) for each in asked.any], 1)


@judge.register
def _(asked: AllOf, facts: Facts) -> Judged:
    return some([judge(each, facts) for each in asked.all], len(asked.all))


@judge.register
def _(asked: SomeOf, facts: Facts) -> Judged:
    return some([judge(each, facts) for each in asked.of], asked.at_least)


def some(judged: list[Judged], needed: int) -> Judged:
    """Return whether so many hold; what is not known may still decide it."""
    true = [each for each in judged if each.holds is True]
    unknown = [each for each in judged if each.holds is None]
    if len(true) >= needed:
        return Judged(True, _all(true), _words(true))
    if len(true) + len(unknown) >= needed:
        return Judged(None, _all(true), _words(unknown))
    false = [each for each in judged if each.holds is False]
    return Judged(False, _all(false), _words(false))


def _words(judged: Iterable[Judged]) -> str:
    return "; ".join(dict.fromkeys(each.said for each in judged))


def _all(judged: Iterable[Judged]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(reference for each in judged for reference in each.references))


def _some(*references: str) -> tuple[str, ...]:
    return tuple(each for each in references if each)


def _told(found: Found) -> str:
    unit = measures()[found.name].unit
    return f"{found.title} {_number(found):.4g} {unit}".strip()


def _number(found: Found) -> float:
    return float(found.value) if isinstance(found.value, int | float) else 0.0

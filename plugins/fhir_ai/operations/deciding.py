"""Deciding: an acuity of 1 to 5 from red flags, NEWS2 bands and the criteria of pregnancy, with every rule that fired.

A rule only ever makes a case more urgent; no model has a say here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from fhir_ai.inputs import Finder, Found
from fhir_ai.scores import SCORES
from fhir_ai.scores.red_flags import Findings, red_flags
from fhir_ai.scores.score import Contribution, Input, Result, Score, Value
from fhir_ai.scores.vocabulary import VOCABULARY

ADULT: Final = 16
VITALS: Final = ("respiratory_rate", "spo2", "on_oxygen", "systolic", "heart_rate", "consciousness", "temperature")
_MATERNAL: Final = ("preeclampsia", "agitation_or_confusion", "non_remitting_headache", "shortness_of_breath")
TRIAGE_INPUTS: Final = (
    *VITALS, "diastolic", "mean_arterial_pressure", "spo2_scale", "pregnant", "age", "sex", *_MATERNAL,
)  # fmt: skip
_NORMAL: Final[Mapping[str, Value]] = {
    "respiratory_rate": 16.0, "spo2": 98.0, "on_oxygen": False, "systolic": 120.0, "heart_rate": 70.0,
    "consciousness": "alert", "temperature": 37.0,
}  # fmt: skip
"""Values that have no points: with them the sum is the least that NEWS2 can be, whatever is missing."""
_NEWS2: Final = SCORES["news2"].source
_MOST_POINTS: Final[Mapping[str, int]] = {"on_oxygen": 2}


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that fired. acuity: that it gives; None where it only says what does not hold."""

    name: str
    acuity: int | None
    because: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What triage comes to. acuity: None where data are missing. complete: no missing value could change it."""

    acuity: int | None
    complete: bool
    rules: tuple[Rule, ...]
    missing: tuple[Found, ...]
    found: Mapping[str, Found]
    changes: tuple[str, ...] = ()
    news2: Result | None = None
    notes: tuple[str, ...] = field(default_factory=tuple)


def decide(finder: Finder, codes: frozenset[str], keys: frozenset[str]) -> Decision:
    """Decide from what was found: codes are `system|code`, keys those of our symptoms."""
    found = {name: finder.find(_wanted(name)) for name in TRIAGE_INPUTS}
    values = {name: each.value for name, each in found.items() if each.value is not None}
    found["systolic"] = _unopposed(found["systolic"], found["diastolic"])
    age, pregnant = values.get("age"), values.get("pregnant") is True
    rules = list(_flags(values, codes, keys))
    news2: Result | None = None
    if not isinstance(age, float) and not isinstance(age, int):
        rules.append(Rule("age-unknown", None, "without an age NEWS2 gives no acuity; it holds from 16 years"))
    elif age < ADULT:
        rules.append(
            Rule("under-16", None, "NEWS2 holds from 16 years; red flags and danger signs alone decide", _NEWS2)
        )
    elif not pregnant:
        news2 = _news2(values)
        rules += _bands(news2, found)
    if pregnant:
        rules += _pregnancy(values, found, isinstance(age, float) and age >= ADULT)
    return _decision(rules, found, news2)


def _decision(rules: list[Rule], found: Mapping[str, Found], news2: Result | None) -> Decision:
    asked = (*VITALS, *(("diastolic",) if found["pregnant"].value is True else ()), "age")
    missing = tuple(found[name] for name in asked if found[name].value is None)
    given = [rule.acuity for rule in rules if rule.acuity is not None]
    least = min(given, default=None)
    judged = any(rule.name.startswith(("news2-", "pregnancy-complete")) for rule in rules)
    whole = judged and not missing
    acuity = least if whole or (least is not None and least <= 3) else None
    notes = [
        f"{each.title}: {each.because}" for each in found.values() if each.state not in ("found", "missing", "assumed")
    ]
    if found["pregnant"].value is True and found["sex"].value == "male":
        notes.append(
            "Pregnancy and the gender male are both recorded: one may be wrong; the criteria of pregnancy were applied"
        )
    changes = _changes(news2, missing, acuity) if news2 else [f"{each.title}: {each.because}" for each in missing]
    return Decision(
        acuity, whole or acuity == 1, tuple(rules), missing, found, tuple(changes), news2, tuple(notes)
    )  # fmt: skip


def _unopposed(systolic: Found, diastolic: Found) -> Found:
    """Count a pressure that is not above the diastolic as contradictory: it still makes urgent, but never reassures."""
    above, below = systolic.value, diastolic.value
    if not isinstance(above, float) or not isinstance(below, float) or above > below:
        return systolic
    said = f"{above:g} is not above the diastolic pressure {below:g}; measure both anew"
    return replace(systolic, state="contradictory", value=None, because=said)


def _wanted(name: str) -> Input:
    score = SCORES["news2"]
    return next((each for each in score.inputs if each.name == name), VOCABULARY[name])


def _flags(values: Mapping[str, Value], codes: frozenset[str], keys: frozenset[str]) -> list[Rule]:
    age = values.get("age")
    vitals = {n: v for n, v in values.items() if isinstance(v, float) and n != "age"}
    findings = Findings(
        age_years=age if isinstance(age, float | int) else None, sex=str(values.get("sex", "")),
        pregnant=values.get("pregnant") is True, codes=codes, keys=keys, vitals=vitals,
    )  # fmt: skip
    return [Rule(f"red-flag-{each.name}", each.acuity, each.because, each.source) for each in red_flags(findings)]


def _news2(values: Mapping[str, Value]) -> Result:
    """Compute NEWS2 with points for what was measured alone: the least it can be."""
    calm = 90.0 if values.get("spo2_scale") == "2" else 98.0
    return SCORES["news2"].compute({"spo2_scale": "1", **_NORMAL, "spo2": calm, **values})


def acuity_of(result: Result) -> int:
    """Return the acuity of a NEWS2: emergency response 1, urgent response 2, a single 3 3, others 4, zero 5."""
    if result.value >= 7:
        return 1
    if result.value >= 5:
        return 2
    if any(part.points == 3 for part in result.contributions):
        return 3
    return 4 if result.value else 5


def _bands(result: Result, found: Mapping[str, Found]) -> list[Rule]:
    missing = [found[name].title for name in VITALS if found[name].value is None]
    acuity, least = acuity_of(result), "at least " if missing else ""
    said = f"NEWS2 is {least}{result.value:g}: {result.meaning or result.band}"
    if missing:
        return [
            Rule("news2-partial", acuity if acuity <= 3 else None, f"{said}; missing: {', '.join(missing)}", _NEWS2)
        ]
    return [Rule("news2-band", acuity, said, _NEWS2)]


def _pregnancy(values: Mapping[str, Value], found: Mapping[str, Found], adult: bool) -> list[Rule]:
    """Apply both sets of maternal criteria to what was measured; NEWS2 does not hold in pregnancy."""
    rules = [Rule("pregnancy", None, "NEWS2 does not hold in pregnancy; maternal criteria do", _NEWS2)]
    for name, severe in (("mewc", 1), ("mewt", 2)):
        score = SCORES[name]
        parts = criteria(score, values)
        if sum(part.points for part in parts) >= severe:
            met = ", ".join(part.input for part in parts if part.points)
            rules.append(Rule(f"pregnancy-{name}", 2, f"{score.title}: {met}", score.source))
    if adult and all(found[name].value is not None for name in (*VITALS, "diastolic")):
        met_any = any(rule.acuity for rule in rules)
        rules.append(Rule("pregnancy-complete", None if met_any else 4, "all vital signs of the criteria are measured"))
    return rules


def criteria(score: Score, values: Mapping[str, Value]) -> list[Contribution]:
    """Return what each input adds to maternal criteria; what was not measured counts as normal."""
    calm = {**_NORMAL, "diastolic": 70.0, "pregnant": True}
    return list(score.compute({**calm, **values}).contributions)


def _changes(news2: Result, missing: tuple[Found, ...], acuity: int | None) -> list[str]:
    """Say what would make the answer another one: each missing value at its worst, each point at none."""
    said = []
    for each in missing:
        if each.name in VITALS:
            worst = _MOST_POINTS.get(each.name, 3)
            told = f"{each.title} ({each.because}) may add up to {worst} points to NEWS2"
            said.append(f"{told}: up to {news2.value + worst:g}")
    for part in news2.contributions:
        if part.points > 0:
            rest = news2.value - part.points
            left = Result(rest, "points", contributions=[p for p in news2.contributions if p.input != part.input])
            now = acuity_of(left)
            if acuity is not None and now > acuity:
                title = VOCABULARY[part.input].title if part.input in VOCABULARY else part.input
                said.append(f"{title} without its {part.points:g} points: NEWS2 {rest:g}, by it alone acuity {now}")
    return said

"""Computing: each score that is asked for, from what the record has, or why it was not computed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from fhir_ai.inputs import Finder, Found
from fhir_ai.models import Model
from fhir_ai.scores.score import Implausible, Result, Score, Value, run
from fhir_server.plugin_api import BadValue

_DAYS_ALIKE: Final = 0.1
AMISS: Final = frozenset(("stale", "implausible", "unit", "contradictory"))


@dataclass(frozen=True, slots=True)
class Computed:
    """A score with its result and what it was made of. amiss: inputs that it did without, and why.

    model_version: of a learned model; empty for a published score. model: that version; canary: it is not the champion.
    possible: the outcomes in a model's conformal set; None where there is none.
    """

    score: Score
    result: Result
    found: Mapping[str, Found]
    amiss: tuple[Found, ...]
    model_version: str = ""
    model: Model | None = None
    canary: bool = False
    possible: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Left:
    """A score not computed. code: not-applicable, missing (an input), implausible (a result), unavailable, or off.

    instead: published scores that answer in the place of a model that cannot.
    """

    score: Score
    code: str
    because: str
    inputs: tuple[Found, ...] = ()
    instead: tuple[str, ...] = ()


def chosen(horizons: Mapping[str, float], names: Iterable[str], horizon: float | None) -> list[str]:
    """Return those of the scores and models (all, if none are named) that are about a time of so many days.

    Raises:
        BadValue: there is none of a name.
    """
    wanted = list(dict.fromkeys(names))
    for name in wanted:
        if name not in horizons:
            raise BadValue(
                f"there is no model {name[:60]!r}; there are {', '.join(sorted(horizons))}", expression="model"
            )
    found = wanted or list(horizons)
    if horizon is None:
        return found
    return [name for name in found if abs(horizons[name] - horizon) <= _DAYS_ALIKE * horizon]


def compute(score: Score, finder: Finder, *, second_hand: bool) -> Computed | Left:
    """Compute one score."""
    if not score.enabled and not second_hand:
        return Left(score, "off", "its formula is known at second hand alone; the setting second_hand switches it on")
    found = {each.name: finder.find(each) for each in score.inputs if each.kind != "number" or each.name == "age"}
    reason = _refusal(score, {name: each.value for name, each in found.items() if each.value is not None})
    if reason:  # for whom it holds is known without measurements, mostly, which then are not looked for
        return Left(score, "not-applicable", reason)
    found = {wanted.name: finder.find(wanted) for wanted in score.inputs}
    values = {name: each.value for name, each in found.items() if each.value is not None}
    reason = _refusal(score, values)
    if reason:
        return Left(score, "not-applicable", reason)
    needed = [found[each.name] for each in score.inputs if each.required and each.default is None]
    missing = tuple(each for each in needed if each.value is None)
    if missing:
        return Left(score, "missing", "; ".join(f"{each.title}: {each.because}" for each in missing), missing)
    try:
        result = run(score, values)
    except Implausible as fault:
        return Left(score, "missing", str(fault), tuple(each for each in found.values() if each.name == fault.input))
    except (ValueError, ArithmeticError) as fault:
        return Left(score, "implausible", str(fault))
    return Computed(score, result, found, tuple(each for each in found.values() if each.state in AMISS))


def _refusal(score: Score, values: Mapping[str, Value]) -> str | None:
    """Say why a score does not hold for somebody, as far as what is known tells."""
    try:
        return score.applies(values)
    except KeyError:
        return None

"""Weighing: each condition by what speaks for and against it, ranked, and what would change that.

Ratios multiply as if findings were independent (rows of one group count once, by the strongest). There is no
probability: it would need how common each condition is where the patient is, which nobody told us.
Bands of ratios: https://doi.org/10.1001/jama.1994.03510330081039 (Jaeschke 1994)
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from fhir_ai.findings.gathering import Facts
from fhir_ai.findings.judging import Judged, judge
from fhir_ai.findings.table import Asked, Condition, Criterion, Evidence, parts
from fhir_ai.scores.vocabulary import VOCABULARY

Support = Literal["criteria-met", "supported", "possible", "less-likely"]
_ORDER: Final[Mapping[Support, int]] = {"criteria-met": 0, "supported": 1, "possible": 2, "less-likely": 3}
MODERATE: Final = math.log10(5)
_LITTLE: Final = math.log10(0.5)


@dataclass(frozen=True, slots=True)
class Weighed:
    """One row of evidence, judged. ratio: 1 where nobody knows. counted: not passed over for a stronger one."""

    row: Evidence
    judged: Judged
    ratio: float
    counted: bool = True


@dataclass(frozen=True, slots=True)
class Candidate:
    """A condition of the differential. weight: log10 of the product of the ratios that count."""

    condition: Condition
    rows: tuple[Weighed, ...]
    criteria: tuple[tuple[Criterion, Judged], ...]
    asked: Judged

    @property
    def weight(self) -> float:
        """The log10 of the ratio of all that counts."""
        return math.fsum(math.log10(each.ratio) for each in self.rows if each.counted)

    @property
    def support(self) -> Support:
        """How far findings support it."""
        return _support(self.weight, self.criteria)

    def parts(self) -> list[Asked]:
        """Return all that its rows and criteria ask."""
        asked = [*(each.row.if_ for each in self.rows), *(each.if_ for each, _ in self.criteria)]
        return [part for each in asked for part in parts(each)]

    def place(self, weight: float | None = None) -> tuple[int, float, str]:
        """Return what it is ranked by; with another weight, where it would stand then."""
        given = self.weight if weight is None else weight
        return _ORDER[_support(given, self.criteria)], -given, self.condition.name


@dataclass(frozen=True, slots=True)
class Change:
    """A finding that nobody knows of and that would change the ranking. there, gone: rank and support it would give."""

    candidate: Candidate
    ask: str
    row: Evidence | Criterion
    there: tuple[int, Support]
    gone: tuple[int, Support]
    effect: float


def ranked(conditions: Iterable[Condition], facts: Facts) -> list[Candidate]:
    """Return the conditions that are to be considered, the best supported first."""
    found = [each for each in (weigh(condition, facts) for condition in conditions) if each is not None]
    return sorted(found, key=lambda each: each.place())


def weigh(condition: Condition, facts: Facts) -> Candidate | None:
    """Weigh one condition; None where it is not to be considered."""
    asked = judge(condition.asks, facts)
    if not asked.holds or not _is_about(condition, facts):
        return None
    rows = [Weighed(row, judged := judge(row.if_, facts), _ratio(row, judged.holds)) for row in condition.evidence]
    criteria = tuple((each, judge(each.if_, facts)) for each in condition.criteria)
    return Candidate(condition, tuple(_counted(rows)), criteria, asked)


def changes(candidates: Sequence[Candidate]) -> list[Change]:
    """Return what is not known and would give a candidate another rank or another support, the strongest first."""
    found: list[Change] = []
    for number, each in enumerate(candidates):
        others = [other.place() for other in candidates if other is not each]
        for row in each.rows:
            if row.judged.holds is None and (change := _change(each, number + 1, row, others)):
                found.append(change)
        for criterion, judged in each.criteria:
            if judged.holds is None and (met := _met(each, criterion)) != each.support:
                rank = 1 + sum(place < (_ORDER[met], -each.weight, each.condition.name) for place in others)
                found.append(Change(each, judged.said, criterion, (rank, met), (number + 1, each.support), MODERATE))
    return sorted(found, key=lambda each: -each.effect)


def _change(
    candidate: Candidate, rank: int, row: Weighed, others: Sequence[tuple[int, float, str]]
) -> Change | None:  # fmt: skip
    places: list[tuple[int, Support]] = []
    for holds in (True, False):
        weight = _with(candidate, row, holds)
        support = _support(weight, candidate.criteria)
        places.append((1 + sum(place < candidate.place(weight) for place in others), support))
    if all(place == (rank, candidate.support) for place in places):
        return None
    row_ratios = [abs(math.log10(each)) for each in (row.row.present, row.row.absent) if each]
    return Change(candidate, row.row.called or row.judged.said, row.row, places[0], places[1], max(row_ratios))


def _met(candidate: Candidate, criterion: Criterion) -> Support:
    """Return how far findings would support a candidate that meets criteria."""
    if criterion.kind == "definition" or candidate.support == "criteria-met":
        return "criteria-met"
    return "supported"


def _with(candidate: Candidate, row: Weighed, holds: bool) -> float:
    """Return the weight if a row that is not known were answered."""
    rows = [
        each if each is not row else Weighed(row.row, row.judged, _ratio(row.row, holds)) for each in candidate.rows
    ]
    return math.fsum(math.log10(each.ratio) for each in _counted(rows) if each.counted)


def _counted(rows: Sequence[Weighed]) -> list[Weighed]:
    """Return rows with the strongest of each group alone counted."""
    best: dict[str, float] = {}
    for each in rows:
        if each.row.group:
            best[each.row.group] = max(best.get(each.row.group, 0), abs(math.log10(each.ratio)))
    found: list[Weighed] = []
    taken: set[str] = set()
    for each in rows:
        group = each.row.group
        counted = not group or (group not in taken and abs(math.log10(each.ratio)) == best[group])
        if group and counted:
            taken.add(group)
        found.append(Weighed(each.row, each.judged, each.ratio, counted))
    return found


def _ratio(row: Evidence, holds: bool | None) -> float:
    if holds is None:
        return 1.0
    return (row.present if holds else row.absent) or 1.0


def _support(weight: float, criteria: Sequence[tuple[Criterion, Judged]]) -> Support:
    met = {criterion.kind for criterion, judged in criteria if judged.holds}
    if "definition" in met:
        return "criteria-met"
    if "screen" in met or weight >= MODERATE:
        return "supported"
    return "possible" if weight > _LITTLE else "less-likely"


def _is_about(condition: Condition, facts: Facts) -> bool:
    """Tell whether a condition is to be considered in somebody of this age and sex, with what else is known."""
    age = facts.finder.find(VOCABULARY["age"]).value
    low, high = condition.ages
    if isinstance(age, int | float) and not (low <= age and (high is None or age < high + 1)):
        return False
    gender = facts.record.patient.get("gender")
    if condition.sex is not None and gender in ("female", "male") and gender != condition.sex:
        return False
    if condition.unless is not None and judge(condition.unless, facts).holds:
        return False
    return condition.needs is None or judge(condition.needs, facts).holds is True

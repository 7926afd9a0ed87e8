"""Gaps: how differently a model treats groups of patients; the formulas are those of fairlearn.

Demographic parity, equalized odds: https://fairlearn.org/main/user_guide/assessment/common_fairness_metrics.html
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from fhir_ai.monitoring.statistics import auroc
from fhir_ai.registry.recorder import UNKNOWN, Said

FEWEST: Final = 30


@dataclass(frozen=True, slots=True)
class Group:
    """One group. flagged: share. found, false: shares of those with and without the outcome who were flagged."""

    label: str
    n: int
    flagged: float
    known: int
    found: float | None
    false: float | None
    auroc: float | None


@dataclass(frozen=True, slots=True)
class Gap:
    """An attribute, its groups of 30 and more, and how far they are apart.

    parity: largest difference of the shares flagged. odds: the larger of the largest differences of `found` and of
    `false`; None while too few outcomes are known.
    """

    attribute: str
    groups: Sequence[Group]
    parity: float
    odds: float | None


def gaps_of(rows: Sequence[Said]) -> list[Gap]:
    """Return the gap of each attribute that has two groups at least."""
    by_attribute: dict[str, dict[str, list[Said]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        for attribute, label in row.groups.items():
            by_attribute[attribute][label].append(row)
    found = [_gap(attribute, groups) for attribute, groups in sorted(by_attribute.items())]
    return [each for each in found if len(each.groups) > 1]


def _gap(attribute: str, rows: Mapping[str, Sequence[Said]]) -> Gap:
    groups = [_group(label, each) for label, each in sorted(rows.items()) if len(each) >= FEWEST]
    odds = [_apart([g.found for g in groups]), _apart([g.false for g in groups])]
    known = [each for each in odds if each is not None]
    return Gap(attribute, groups, _apart([g.flagged for g in groups]) or 0.0, max(known) if known else None)


def _group(label: str, rows: Sequence[Said]) -> Group:
    known = [row for row in rows if row.outcome != UNKNOWN]
    outcome = [row.outcome for row in known]
    return Group(
        label, len(rows), sum(row.flagged for row in rows) / len(rows), len(known),
        _rate([row for row in known if row.outcome == 1]), _rate([row for row in known if row.outcome == 0]),
        auroc(outcome, [row.probability or 0.0 for row in known]) if len(known) >= FEWEST else None,
    )  # fmt: skip


def _rate(rows: Sequence[Said]) -> float | None:
    return sum(row.flagged for row in rows) / len(rows) if rows else None


def _apart(values: Sequence[float | None]) -> float | None:
    known = [each for each in values if each is not None]
    return max(known) - min(known) if len(known) > 1 else None

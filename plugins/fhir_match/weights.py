"""Weights of agreement: the m and u probabilities of each level, and what they come to.

Fellegi and Sunter weigh the evidence of each field by log2(m/u): m is how often records of one person agree in this
way, u how often records of two people do. docs/match.md derives the numbers.

Source: I. P. Fellegi, A. B. Sunter, A Theory for Record Linkage, JASA 64 (1969).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import log2
from typing import Final

PROBABILITIES: Final[Mapping[str, tuple[float, float]]] = {
    "family.exact": (0.86, 0.001),
    "family.similar": (0.07, 0.003),
    "family.sounds": (0.02, 0.006),
    "family.swapped": (0.01, 0.0002),
    "family.different": (0.04, 0.99),
    "given.exact": (0.8, 0.01),
    "given.similar": (0.08, 0.01),
    "given.short": (0.04, 0.05),
    "given.sounds": (0.02, 0.01),
    "given.swapped": (0.01, 0.0005),
    "given.different": (0.05, 0.92),
    "birthDate.exact": (0.92, 0.00005),
    "birthDate.swapped": (0.02, 0.0001),
    "birthDate.close": (0.04, 0.004),
    "birthDate.month": (0.95, 0.0012),
    "birthDate.year": (0.96, 0.014),
    "birthDate.different": (0.02, 0.996),
    "gender.same": (0.985, 0.5),
    "gender.different": (0.015, 0.5),
    "identifier.same": (0.95, 0.0000001),
    "identifier.close": (0.02, 0.00001),
    "identifier.different": (0.5, 0.99),
    "identifier.contradicts": (0.02, 0.99),
    "telecom.same": (0.55, 0.00001),
    "telecom.close": (0.03, 0.00005),
    "telecom.different": (0.42, 0.999),
    "address.same": (0.55, 0.0001),
    "address.postal": (0.12, 0.002),
    "address.city": (0.1, 0.02),
    "address.different": (0.23, 0.978),
}


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one field says: its level of agreement, and the weight of that in bits."""

    field: str
    level: str
    weight: float


class Weights:
    """The weights in force.

    Args:
        others: probabilities that the operator sets instead.

    Raises:
        ValueError: a level that there is not.
    """

    def __init__(self, others: Mapping[str, tuple[float, float]]) -> None:
        unknown = sorted(set(others) - set(PROBABILITIES))
        if unknown:
            raise ValueError(f"probabilities: there is no level {unknown[0]!r}; there are {', '.join(PROBABILITIES)}")
        table = {**PROBABILITIES, **others}
        self._bits = {name: log2(m / u) for name, (m, u) in table.items()}

    def of(self, level: str) -> Contribution:
        """Return what a level, `family.exact`, contributes."""
        field, _, agreement = level.partition(".")
        return Contribution(field, agreement, self._bits[level])


def probability(contributions: Iterable[Contribution], population: int) -> float:
    """Return the probability that two records are of one person, one in `population` being a match beforehand."""
    bits = sum(each.weight for each in contributions) - log2(max(population, 2))
    return 1 / (1 + 2 ** min(max(-bits, -1000.0), 1000.0))

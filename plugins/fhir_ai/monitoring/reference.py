"""Reference: how inputs and probabilities were spread in training, by the card, and how far what came is from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_ai.monitoring.statistics import counted, ks_from, psi_of


@dataclass(frozen=True, slots=True)
class Shift:
    """How far values are from those of the training. distance, chance: Kolmogorov-Smirnov; None for categories.

    missing: how much more often the value is missing. outside: share of values beyond those of the training.
    """

    name: str
    n: int
    psi: float | None
    distance: float | None
    chance: float | None
    missing: float
    outside: float


def shift_of(name: str, expected: Mapping[str, Any], values: Sequence[Any]) -> Shift:
    """Compare values (None: missing) with the spread that a card has of a feature."""
    known = [each for each in values if each is not None]
    missing = 1 - len(known) / len(values) - float(expected.get("missing", 0.0)) if values else 0.0
    if not known:
        return Shift(name, 0, None, None, None, missing, 0.0)
    if "levels" in expected:
        levels = [_level(each) for each in known]
        counts = [levels.count(level) for level in expected["levels"]]
        shares = list(expected["levels"].values())
        outside = 1 - sum(counts) / len(levels)
        return Shift(name, len(known), _psi(shares, counts), None, None, missing, outside)
    numbers = [float(each) for each in known if isinstance(each, int | float) and not isinstance(each, bool)]
    if "bands" in expected:
        counts = [sum(low <= each <= high for each in numbers) for low, high in expected["bands"]]
        return Shift(name, len(known), _psi(expected["shares"], counts), None, None, missing, 0.0)
    return _numeric(name, expected, numbers, missing)


def _numeric(name: str, expected: Mapping[str, Any], numbers: Sequence[float], missing: float) -> Shift:
    points: Sequence[float] = expected["quantiles"]
    of = int(expected["n"])
    counts = counted(numbers, expected["edges"])
    distance, chance = ks_from(points, of, numbers)
    outside = sum(not points[0] <= each <= points[-1] for each in numbers) / len(numbers)
    psi = psi_of([share * of for share in expected["shares"]], counts)
    return Shift(name, len(numbers), psi, distance, chance, missing, outside)


def _psi(shares: Sequence[float], counts: Sequence[int]) -> float:
    of = max(sum(counts), 1) * 10  # categories have no count of their own in a card: theirs is taken as certain
    return psi_of([share * of for share in shares], counts)


def _level(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

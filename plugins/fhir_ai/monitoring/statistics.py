"""Statistics of the monitor, in plain Python: shifts of distributions, discrimination, calibration, gaps.

PSI: Siddiqi 2006, Credit Risk Scorecards; up to 0.1 counts as none, over 0.25 as a shift. KS: Massey 1951, JASA 46:68.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final

_HALF: Final = 0.5
_TENTHS: Final = 10
_TERMS: Final = 100
_STEPS: Final = 50


def counted(values: Sequence[float], edges: Sequence[float]) -> list[int]:
    """Return how many values lie below the first edge, between each two (the lower one included), and beyond."""
    counts = [0] * (len(edges) + 1)
    for value in values:
        counts[bisect_right(edges, value)] += 1
    return counts


def tenths(values: Sequence[float]) -> list[float]:
    """Return the edges of tenths, each once."""
    ordered = sorted(values)
    return sorted({quantile(ordered, at / _TENTHS) for at in range(1, _TENTHS)})


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return a quantile of sorted values, interpolated."""
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def psi_of(expected: Sequence[float], found: Sequence[float]) -> float:
    """Return the population stability index of two lists of counts; half a count is added to each, for empty ones."""
    parts = len(expected)
    first, second = sum(expected) + _HALF * parts, sum(found) + _HALF * parts
    pairs = (((e + _HALF) / first, (f + _HALF) / second) for e, f in zip(expected, found, strict=True))
    return sum((f - e) * math.log(f / e) for e, f in pairs)


def psi(expected: Sequence[float], found: Sequence[float]) -> float:
    """Return the population stability index of two samples, over the tenths of the first."""
    edges = tenths(expected)
    return psi_of(counted(expected, edges), counted(found, edges))


def ks_from(quantiles: Sequence[float], of: int, values: Sequence[float]) -> tuple[float, float]:
    """Return the Kolmogorov-Smirnov distance of values from a sample of a size, known by its quantiles, and p.

    The distance is too large by half a step of the quantiles at most.
    """
    distance, _ = ks(quantiles, values)
    rest = max(0.0, distance - _HALF / max(1, len(quantiles) - 1))
    return rest, ks_chance(rest, of, len(values))


def ks(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Return the two-sample Kolmogorov-Smirnov distance and its asymptotic p-value."""
    one, two = sorted(first), sorted(second)
    points = sorted({*one, *two})
    distance = max(abs(bisect_right(one, p) / len(one) - bisect_right(two, p) / len(two)) for p in points)
    return distance, ks_chance(distance, len(one), len(two))


def ks_chance(distance: float, first: int, second: int) -> float:
    """Return the chance of a distance as large, by Smirnov's limit for two samples of these sizes."""
    scaled = distance * math.sqrt(first * second / (first + second))
    if scaled < 0.2:
        return 1.0
    terms = ((-1) ** (k - 1) * math.exp(-2 * (k * scaled) ** 2) for k in range(1, _TERMS))
    return float(min(1.0, max(0.0, 2 * sum(terms))))


def auroc(outcome: Sequence[float], score: Sequence[float]) -> float | None:
    """Return the chance that one with the outcome scores higher than one without; None where there is only one kind."""
    positives = sum(1 for each in outcome if each)
    negatives = len(outcome) - positives
    if not positives or not negatives:
        return None
    ordered = sorted(score)
    ranks = sum(
        (bisect_left(ordered, s) + bisect_right(ordered, s) + 1) / 2 for s, y in zip(score, outcome, strict=True) if y
    )
    return float((ranks - positives * (positives + 1) / 2) / (positives * negatives))


def auroc_interval(outcome: Sequence[float], score: Sequence[float]) -> tuple[float, float, float] | None:
    """Return AUROC with its 95 % interval by Hanley and McNeil 1982 (Radiology 143:29), on the logit scale."""
    area = auroc(outcome, score)
    if area is None:
        return None
    positives = sum(1 for each in outcome if each)
    negatives = len(outcome) - positives
    one, two = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (area * (1 - area) + (positives - 1) * (one - area**2) + (negatives - 1) * (two - area**2)) / (
        positives * negatives
    )
    if not 0 < area < 1:
        return area, area, area
    spread = 1.96 * math.sqrt(variance) / (area * (1 - area))
    middle = math.log(area / (1 - area))
    return area, 1 / (1 + math.exp(-(middle - spread))), 1 / (1 + math.exp(-(middle + spread)))


def brier(outcome: Sequence[float], probability: Sequence[float]) -> float:
    """Return the mean squared error of probabilities."""
    return sum((p - y) ** 2 for p, y in zip(probability, outcome, strict=True)) / len(outcome)


def calibration(outcome: Sequence[float], probability: Sequence[float]) -> tuple[float, float] | None:
    """Return intercept and slope of the outcome on the logit (Cox 1958); None where no line can be fitted."""
    logits = [math.log(min(max(p, 1e-6), 1 - 1e-6) / (1 - min(max(p, 1e-6), 1 - 1e-6))) for p in probability]
    intercept, slope = 0.0, 1.0
    for _ in range(_STEPS):
        fitted = [1 / (1 + math.exp(-max(-30.0, min(30.0, intercept + slope * x)))) for x in logits]
        rest = [y - p for y, p in zip(outcome, fitted, strict=True)]
        weight = [p * (1 - p) for p in fitted]
        a, b = sum(weight), sum(w * x for w, x in zip(weight, logits, strict=True))
        c = sum(w * x * x for w, x in zip(weight, logits, strict=True))
        g, h = sum(rest), sum(r * x for r, x in zip(rest, logits, strict=True))
        det = a * c - b * b
        if det < 1e-9:
            return None
        step = ((c * g - b * h) / det, (a * h - b * g) / det)
        intercept, slope = intercept + step[0], slope + step[1]
        if max(map(abs, step)) < 1e-9:
            return intercept, slope
    return (intercept, slope) if max(abs(intercept), abs(slope)) < 20 else None

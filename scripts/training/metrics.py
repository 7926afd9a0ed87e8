"""The figures of a model card: discrimination, calibration, and what a threshold costs."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class AtThreshold:
    """What flagging from a probability on means; alerts: per 100 patients."""

    threshold: float
    sensitivity: float
    specificity: float
    ppv: float
    npv: float
    alerts: float


def auroc(outcome: Numbers, score: Numbers) -> float:
    """Chance that a patient with the outcome scores higher than one without; ties count half (Hanley, McNeil 1982)."""
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    positives = float(outcome.sum())
    negatives = len(outcome) - positives
    return float((ranks[outcome == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def auprc(outcome: Numbers, score: Numbers) -> float:
    """Average precision: the mean precision over the steps of recall, without interpolation."""
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(outcome[order])
    last = np.append(np.diff(score[order]) != 0, True)  # one point for each distinct score
    hits, flagged = hits[last], (np.arange(len(score)) + 1)[last]
    gained = np.diff(np.concatenate([[0.0], hits]))
    return float((gained * hits / flagged).sum() / outcome.sum())


def auroc_interval(outcome: Numbers, score: Numbers, seed: int, draws: int = 1000) -> Interval:
    """AUROC with its percentile bootstrap interval over patients."""
    areas = [auroc(outcome[rows], score[rows]) for rows in _resampled(outcome, seed, draws)]
    return _interval(auroc(outcome, score), areas)


def auroc_gap(outcome: Numbers, first: Numbers, second: Numbers, seed: int, draws: int = 1000) -> Interval:
    """Difference of two AUROCs on the same patients, first minus second."""
    gaps = [auroc(outcome[r], first[r]) - auroc(outcome[r], second[r]) for r in _resampled(outcome, seed, draws)]
    return _interval(auroc(outcome, first) - auroc(outcome, second), gaps)


def brier(outcome: Numbers, probability: Numbers) -> float:
    """Mean squared error of the probabilities."""
    return float(np.mean((probability - outcome) ** 2))


def calibration_line(outcome: Numbers, probability: Numbers) -> tuple[float, float]:
    """Intercept and slope of a logistic regression of the outcome on the logit; 0 and 1 are perfect (Cox 1958)."""
    logit = np.log(probability / (1 - probability))
    design = np.column_stack([np.ones_like(logit), logit])
    line = np.array([0.0, 1.0])
    for _ in range(25):
        fitted = 1 / (1 + np.exp(-design @ line))
        curvature = (design * (fitted * (1 - fitted))[:, None]).T @ design
        line = line + np.linalg.solve(curvature, design.T @ (outcome - fitted))
    return float(line[0]), float(line[1])


def calibration_bins(outcome: Numbers, probability: Numbers, bins: int = 10) -> list[tuple[int, float, float]]:
    """Equal groups by predicted probability: patients, mean predicted, observed."""
    groups = np.array_split(np.argsort(probability, kind="stable"), bins)
    return [(len(rows), float(probability[rows].mean()), float(outcome[rows].mean())) for rows in groups]


def at_threshold(outcome: Numbers, probability: Numbers, threshold: float) -> AtThreshold:
    """Count what a threshold flags."""
    flagged = probability >= threshold
    hits, all_flagged, positives = float(outcome[flagged].sum()), int(flagged.sum()), float(outcome.sum())
    passed = len(outcome) - all_flagged
    negatives = len(outcome) - positives
    return AtThreshold(
        threshold=threshold,
        sensitivity=hits / positives,
        specificity=1 - (all_flagged - hits) / negatives,
        ppv=hits / all_flagged if all_flagged else 0.0,
        npv=1 - (positives - hits) / passed if passed else 0.0,
        alerts=100 * all_flagged / len(outcome),
    )


def threshold_for(outcome: Numbers, probability: Numbers, sensitivity: float) -> float:
    """The highest threshold that flags this share of the outcomes."""
    scores = np.sort(probability[outcome == 1])[::-1]
    return float(scores[int(np.ceil(sensitivity * len(scores))) - 1])


def conformal_quantile(outcome: Numbers, probability: Numbers, alpha: float) -> float:
    """Quantile of 1 - p(true class) for split conformal sets that miss with chance alpha (Vovk; Angelopoulos 2021)."""
    misfit = np.sort(np.where(outcome == 1, 1 - probability, probability))
    return float(misfit[min(int(np.ceil((len(misfit) + 1) * (1 - alpha))), len(misfit)) - 1])


def _resampled(outcome: Numbers, seed: int, draws: int) -> list[npt.NDArray[np.int64]]:
    chance = np.random.default_rng(seed)
    drawn = (chance.integers(0, len(outcome), len(outcome)) for _ in range(draws))
    return [rows for rows in drawn if 0 < outcome[rows].sum() < len(rows)]


def _interval(value: float, draws: list[float]) -> Interval:
    low, high = np.percentile(draws, [2.5, 97.5])
    return Interval(value, float(low), float(high))

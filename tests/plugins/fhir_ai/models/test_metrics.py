"""The figures of the cards against values worked out by hand, and against scikit-learn where it is installed."""

import numpy
import pytest

from scripts.training import metrics

DIED = numpy.array([0, 0, 1, 1], dtype=float)
SCORE = numpy.array([0.1, 0.4, 0.35, 0.8])


def drawn(rows: int = 4000) -> tuple[numpy.ndarray, numpy.ndarray]:
    chance = numpy.random.default_rng(11)
    probability = chance.beta(2, 5, rows)
    return (chance.random(rows) < probability) * 1.0, probability


def test_auroc_and_average_precision_of_four_patients() -> None:
    assert metrics.auroc(DIED, SCORE) == 0.75
    assert metrics.auprc(DIED, SCORE) == pytest.approx(1 / 2 + 1 / 2 * 2 / 3)


def test_ties_count_half() -> None:
    assert metrics.auroc(DIED, numpy.ones(4)) == 0.5
    assert metrics.auprc(DIED, numpy.ones(4)) == 0.5


def test_a_threshold_is_counted() -> None:
    at = metrics.at_threshold(DIED, SCORE, 0.35)
    assert (at.sensitivity, at.specificity, at.ppv, at.npv, at.alerts) == (1, 0.5, pytest.approx(2 / 3), 1, 75)


def test_the_threshold_for_a_sensitivity_reaches_it() -> None:
    died, probability = drawn()
    threshold = metrics.threshold_for(died, probability, 0.7)
    assert metrics.at_threshold(died, probability, threshold).sensitivity == pytest.approx(0.7, abs=0.001)


def test_true_probabilities_are_calibrated_and_inflated_ones_are_not() -> None:
    died, probability = drawn()
    intercept, slope = metrics.calibration_line(died, probability)
    assert intercept == pytest.approx(0, abs=0.2)
    assert slope == pytest.approx(1, abs=0.1)
    logit = numpy.log(probability / (1 - probability))
    assert metrics.calibration_line(died, 1 / (1 + numpy.exp(-2 * logit)))[1] == pytest.approx(slope / 2, abs=1e-6)


def test_conformal_sets_cover_what_they_promise() -> None:
    died, probability = drawn()
    quantile = metrics.conformal_quantile(died[:2000], probability[:2000], 0.1)
    misfit = numpy.where(died == 1, 1 - probability, probability)[2000:]
    assert numpy.mean(misfit <= quantile) == pytest.approx(0.9, abs=0.02)


def test_the_interval_holds_the_estimate_and_a_score_is_not_better_than_itself() -> None:
    died, probability = drawn(500)
    area = metrics.auroc_interval(died, probability, seed=1, draws=200)
    assert area.low < area.value < area.high
    assert metrics.auroc_gap(died, probability, probability, seed=1, draws=50).value == 0


def test_the_figures_are_those_of_scikit_learn() -> None:
    sklearn = pytest.importorskip("sklearn.metrics", reason="a cross-check; needs fhir-server[training]")
    died, probability = drawn()
    rounded = probability.round(2)  # many ties
    assert metrics.auroc(died, rounded) == pytest.approx(sklearn.roc_auc_score(died, rounded))
    assert metrics.auprc(died, rounded) == pytest.approx(sklearn.average_precision_score(died, rounded))
    assert metrics.brier(died, probability) == pytest.approx(sklearn.brier_score_loss(died, probability))

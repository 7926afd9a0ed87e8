"""The figures of the monitor against published libraries, and on the four hospitals of the UCI heart data."""

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
from fhir_ai.monitoring.adwin import Adwin
from fhir_ai.monitoring.gaps import gaps_of
from fhir_ai.monitoring.reference import shift_of
from fhir_ai.monitoring.statistics import (
    auroc,
    auroc_interval,
    brier,
    calibration,
    counted,
    ks,
    ks_from,
    psi,
    quantile,
    tenths,
)  # fmt: skip

from tests.plugins.fhir_ai.monitoring.said import said

HEART = json.loads((Path(__file__).parent / "heart.json").read_text(encoding="utf-8"))["sites"]


def column(site: str, name: str) -> list[float]:
    found: list[float] = HEART[site]["columns"][name]
    return found


@pytest.mark.parametrize(
    ("site", "name", "shift"),
    [
        ("VA Long Beach", "thalch", 1.46),
        ("Switzerland", "thalch", 1.25),
        ("Hungary", "age", 0.87),
        ("Switzerland", "trestbps", 0.27),
        ("VA Long Beach", "trestbps", 0.06),
    ],
)
def test_the_hospitals_are_as_far_from_cleveland_as_was_measured(site: str, name: str, shift: float) -> None:
    assert psi(column("Cleveland", name), column(site, name)) == pytest.approx(shift, abs=0.005)


def test_cleveland_is_not_far_from_itself() -> None:
    drawn = random.Random(3)
    ages = column("Cleveland", "age")
    half = drawn.sample(ages, len(ages) // 2)
    assert psi(ages, ages) == 0
    assert psi(ages, half) < 0.1


def test_a_card_knows_the_same_shift_by_its_tenths_and_quantiles() -> None:
    home, away = column("Cleveland", "thalch"), column("VA Long Beach", "thalch")
    edges = tenths(home)
    card = {
        "edges": edges, "shares": [each / len(home) for each in counted(home, edges)], "n": len(home), "missing": 0.0,
        "quantiles": [quantile(home, at / 200) for at in range(201)],
    }  # fmt: skip
    shift = shift_of("thalch", card, away)
    assert shift.psi == pytest.approx(1.46, abs=0.005)
    assert shift.distance == pytest.approx(ks(home, away)[0], abs=0.02)
    assert shift.chance is not None
    assert shift.chance < 1e-15
    assert shift_of("thalch", card, [None, *home]).missing > 0


def test_auroc_falls_from_site_to_site_as_it_did() -> None:
    areas = {site: auroc([y for _, y in each["said"]], [p for p, _ in each["said"]]) for site, each in HEART.items()}
    assert areas["VA Long Beach"] == pytest.approx(0.688, abs=0.002)
    assert areas["Cleveland"] == pytest.approx(0.761, abs=0.002)


def test_ks_is_that_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats", reason="a cross-check; needs scipy")
    for site in ("VA Long Beach", "Switzerland", "Hungary"):
        for name in ("age", "trestbps", "thalch", "oldpeak"):
            home, away = column("Cleveland", name), column(site, name)
            theirs = stats.ks_2samp(home, away, method="asymp")
            distance, chance = ks(home, away)
            assert distance == pytest.approx(theirs.statistic)
            # both are limits for large samples, scipy's with a correction: the same order of magnitude
            assert math.log10(max(chance, 1e-30)) == pytest.approx(
                math.log10(max(theirs.pvalue, 1e-30)), abs=0.5, rel=0.1
            )


def test_ks_from_quantiles_is_near() -> None:
    home, away = column("Cleveland", "age"), column("Hungary", "age")
    points = [quantile(home, at / 200) for at in range(201)]
    assert ks_from(points, len(home), away)[0] == pytest.approx(ks(home, away)[0], abs=0.02)
    assert ks_from(points, len(home), home)[1] > 0.5


def test_auroc_brier_and_calibration_are_those_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="a cross-check; needs scikit-learn")
    linear = pytest.importorskip("sklearn.linear_model", reason="a cross-check; needs scikit-learn")
    pairs = HEART["VA Long Beach"]["said"]
    outcome, chance = [y for _, y in pairs], [p for p, _ in pairs]
    assert auroc(outcome, chance) == pytest.approx(metrics.roc_auc_score(outcome, chance))
    assert brier(outcome, chance) == pytest.approx(metrics.brier_score_loss(outcome, chance))
    line = calibration(outcome, chance)
    fitted = linear.LogisticRegression(C=1e9).fit([[math.log(p / (1 - p))] for p in chance], outcome)
    assert line == pytest.approx((fitted.intercept_[0], fitted.coef_[0][0]), abs=1e-3)


def test_an_area_has_an_interval_and_nothing_of_one_kind_has_an_area() -> None:
    found = auroc_interval([0, 0, 1, 1, 0, 1], [0.1, 0.4, 0.35, 0.8, 0.2, 0.9])
    assert found is not None
    assert found[1] < found[0] < found[2]
    assert auroc_interval([1, 1], [0.2, 0.4]) is None


def stream(change: int, seed: int = 5) -> list[float]:
    drawn = random.Random(seed)
    return [min(1, max(0, drawn.gauss(0.3 if at < change else 0.6, 0.1))) for at in range(2000)]


def test_adwin_sees_a_change_where_rivers_does() -> None:
    drift = pytest.importorskip("river.drift", reason="a cross-check; needs river")
    mine, theirs = Adwin(), drift.ADWIN()
    cuts: tuple[list[int], list[int]] = ([], [])
    for at, value in enumerate(stream(1000)):
        theirs.update(value)
        if mine.update(value):
            cuts[0].append(at)
        if theirs.drift_detected:
            cuts[1].append(at)
    assert cuts[0][0] == cuts[1][0]
    assert 1000 < cuts[0][0] < 1064
    assert mine.mean == pytest.approx(theirs.estimation, abs=0.01)


def test_adwin_sees_no_change_where_there_is_none() -> None:
    window = Adwin()
    for value in stream(5000):
        window.update(value)
    assert window.changes == 0
    assert window.width == 2000


def rows() -> list[Any]:
    drawn = random.Random(2)
    found = []
    for at in range(400):
        sex, age = drawn.choice(("female", "male")), drawn.choice(("18-49", "80 and over"))
        outcome = int(drawn.random() < 0.3)
        flagged = drawn.random() < (0.7 if outcome else 0.2) + (0.1 if sex == "male" else 0)
        row = said(patient=str(at), probability=0.6 if flagged else 0.1, flagged=flagged, outcome=outcome)
        found.append(row(groups={"sex": sex, "age": age}))
    return found


def test_gaps_are_those_of_fairlearn() -> None:
    fair = pytest.importorskip("fairlearn.metrics", reason="a cross-check; needs fairlearn")
    told = rows()
    for gap in gaps_of(told):
        outcome, flagged = [row.outcome for row in told], [int(row.flagged) for row in told]
        groups = [row.groups[gap.attribute] for row in told]
        parity = fair.demographic_parity_difference(outcome, flagged, sensitive_features=groups)
        odds = fair.equalized_odds_difference(outcome, flagged, sensitive_features=groups)
        assert gap.parity == pytest.approx(parity)
        assert gap.odds == pytest.approx(odds)


def test_a_group_of_a_few_is_not_compared() -> None:
    few = [said(patient=str(at))(groups={"sex": "male" if at else "female"}) for at in range(60)]
    assert gaps_of(few) == []

"""Fit an Explainable Boosting Machine, write it as an ONNX graph with its terms as an output, and compare the two."""

from dataclasses import dataclass
from typing import Any

import ebm2onnx
import numpy as np
import numpy.typing as npt
import onnxruntime
from interpret.glassbox import ExplainableBoostingClassifier

from scripts.training.support2 import COLUMNS

Numbers = npt.NDArray[np.float64]

TEST, TUNING = 0.30, 0.10
WORST_PARITY = 1e-5


@dataclass(frozen=True)
class Trained:
    """The graph's bytes, its intercept, and the probabilities that onnxruntime gives for every patient."""

    content: bytes
    intercept: float
    probability: Numbers
    parity: float


def split(rows: int, seed: int) -> dict[str, npt.NDArray[np.int64]]:
    """Draw the parts by a seed: train, tuning (threshold and conformal quantile), test (every published figure)."""
    order = np.random.default_rng(seed).permutation(rows)
    test, tuning = round(rows * TEST), round(rows * TUNING)
    return {"train": order[test + tuning :], "tuning": order[test : test + tuning], "test": order[:test]}


def fit(matrix: Numbers, died: Numbers, train: npt.NDArray[np.int64], seed: int) -> Trained:
    """Fit on the rows of `train`, one term for each input and no interactions; export; check the graph on all rows.

    Raises:
        RuntimeError: the graph and the fitted model differ.
    """
    model = ExplainableBoostingClassifier(
        feature_names=[each.name for each in COLUMNS],
        feature_types=["continuous"] * len(COLUMNS),
        interactions=0,
        outer_bags=8,
        n_jobs=1,
        random_state=seed,
    )
    model.fit(matrix[train], died[train].astype(int))
    content = _graph(model)
    probability, parity = _compare(model, content, matrix)
    if parity > WORST_PARITY:
        raise RuntimeError(f"the graph differs from the fitted model by {parity:.2e}")
    return Trained(content, float(np.ravel(model.intercept_)[0]), probability, parity)


def _graph(model: Any) -> bytes:
    exported = ebm2onnx.to_onnx(model, ("values", "double"), name="ebm", predict_proba=True, explain=True)
    content: bytes = exported.SerializeToString()
    return content


def _compare(model: Any, content: bytes, matrix: Numbers) -> tuple[Numbers, float]:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    # one row at a time, as the server runs it
    rows = [session.run(["probabilities"], {"values": matrix[at : at + 1]})[0][0][1] for at in range(len(matrix))]
    probability = np.array(rows, dtype=np.float64)
    return probability, float(np.max(np.abs(probability - model.predict_proba(matrix)[:, 1])))

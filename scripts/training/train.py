"""Fit an Explainable Boosting Machine, write it as an ONNX graph with its terms as an output, and compare the two."""

from dataclasses import dataclass
from typing import Any

import ebm2onnx
import numpy as np
import numpy.typing as npt
import onnxruntime
from interpret.glassbox import ExplainableBoostingClassifier

from scripts.training.study import Column

Numbers = npt.NDArray[np.float64]

TEST, TUNING = 0.30, 0.10
WORST_PARITY = 1e-5


@dataclass(frozen=True)
class Trained:
    """The graph's bytes, its intercept, the inputs of each term, and the probabilities that onnxruntime gives."""

    content: bytes
    intercept: float
    terms: tuple[tuple[str, ...], ...]
    probability: Numbers
    parity: float


def split(rows: int, seed: int) -> dict[str, npt.NDArray[np.int64]]:
    """Draw the parts by a seed: train, tuning (threshold and conformal quantile), test (every published figure)."""
    order = np.random.default_rng(seed).permutation(rows)
    test, tuning = round(rows * TEST), round(rows * TUNING)
    return {"train": order[test + tuning :], "tuning": order[test : test + tuning], "test": order[:test]}


def fit(
    columns: tuple[Column, ...], matrix: Numbers, died: Numbers, train: npt.NDArray[np.int64], seed: int, pairs: int = 0
) -> Trained:
    """Fit on the rows of `train`, one term for each input and for some pairs; export; check the graph on all rows.

    Raises:
        RuntimeError: the graph and the fitted model differ.
    """
    model = fitted(matrix[train], died[train], seed, pairs, [each.name for each in columns])
    content = _graph(model)
    probability, parity = _compare(model, content, matrix)
    if parity > WORST_PARITY:
        raise RuntimeError(f"the graph differs from the fitted model by {parity:.2e}")
    terms = tuple(tuple(columns[at].name for at in each) for each in model.term_features_)
    return Trained(content, float(np.ravel(model.intercept_)[0]), terms, probability, parity)


def fitted(matrix: Numbers, died: Numbers, seed: int, pairs: int, names: list[str]) -> Any:
    """Return a fitted Explainable Boosting Machine; every input counts as a number, categories in steps."""
    model = ExplainableBoostingClassifier(
        feature_names=names,
        feature_types=["continuous"] * len(names),
        interactions=pairs,
        outer_bags=8,
        n_jobs=1,
        random_state=seed,
    )
    return model.fit(matrix, died.astype(int))


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

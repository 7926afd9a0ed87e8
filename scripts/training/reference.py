"""Reference: how inputs and probabilities were spread in training, which the server's monitor compares its own with."""

from typing import Any

import numpy as np
import numpy.typing as npt

from scripts.training.study import Column, Numbers, Study
from scripts.training.train import Trained

TENTHS = np.linspace(0.1, 0.9, 9)
POINTS = np.linspace(0, 1, 201)


def reference(study: Study, trained: Trained, parts: dict[str, npt.NDArray[np.int64]]) -> dict[str, Any]:
    """Return the spread of each input over the training rows, and of the probabilities over the test rows."""
    rows = parts["train"]
    return {
        "features": {each.name: _spread(each, study.patients.features[each.name][rows]) for each in study.columns},
        "probability": _numbers(trained.probability[parts["test"]]),
    }


def _spread(column: Column, values: Numbers) -> dict[str, Any]:
    known = values[~np.isnan(values)]
    missing = float(np.isnan(values).mean())
    if column.levels:
        shares = {name: float((known == level).mean()) for name, level in column.levels.items()}
        return {"missing": missing, "levels": shares}
    if column.bands:
        shares = {f"{low:g}-{high:g}": float((known == level).mean()) for low, high, level in column.bands}
        return {"missing": missing, "bands": [[low, high] for low, high, _ in column.bands],
                "shares": list(shares.values())}  # fmt: skip
    return {"missing": missing, **_numbers(known)}


def _numbers(values: Numbers) -> dict[str, Any]:
    """Edges of tenths with the share between each two, and 201 quantiles, from which a KS distance is reckoned."""
    edges = np.unique(np.quantile(values, TENTHS))
    counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
    return {
        "edges": [round(float(each), 6) for each in edges],
        "shares": [round(float(each), 6) for each in counts / len(values)],
        "quantiles": [round(float(each), 6) for each in np.quantile(values, POINTS)],
        "n": len(values),
    }

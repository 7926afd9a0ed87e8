"""The plots of a card: ROC beside the published score, and calibration."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt

matplotlib.use("Agg")
from matplotlib import pyplot

Numbers = npt.NDArray[np.float64]


def roc(path: Path, died: Numbers, scores: dict[str, Numbers]) -> None:
    """Draw the ROC of each score, by its label."""
    figure, axes = pyplot.subplots(figsize=(5, 5))
    for label, score in scores.items():
        order = np.argsort(-score, kind="stable")
        hits, misses = np.cumsum(died[order]), np.cumsum(1 - died[order])
        axes.plot(misses / misses[-1], hits / hits[-1], label=label)
    axes.plot([0, 1], [0, 1], ":", color="grey", label="chance")
    axes.set(xlabel="1 - specificity", ylabel="Sensitivity", title="30-day death, test patients of SUPPORT2")
    _save(figure, axes, path)


def calibration(path: Path, tenths: list[tuple[int, float, float]]) -> None:
    """Draw observed against predicted, with the 95 % interval of each observed share."""
    counts, predicted, observed = (np.array(each, dtype=float) for each in zip(*tenths, strict=True))
    figure, axes = pyplot.subplots(figsize=(5, 5))
    spread = 1.96 * np.sqrt(observed * (1 - observed) / counts)
    axes.errorbar(predicted, observed, yerr=spread, fmt="o", label="tenths of the test patients")
    axes.plot([0, 1], [0, 1], ":", color="grey", label="perfect")
    axes.set(xlabel="Mean predicted probability", ylabel="Share that died", title="Calibration, support2-30d")
    _save(figure, axes, path)


def _save(figure: Any, axes: Any, path: Path) -> None:
    axes.legend(loc="best", fontsize="small")
    figure.tight_layout()
    figure.savefig(path, dpi=90, metadata={"Software": None})
    pyplot.close(figure)

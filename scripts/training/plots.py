"""The plots of a card: ROC beside the published score, and calibration."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt

matplotlib.use("Agg")
from matplotlib import pyplot

Numbers = npt.NDArray[np.float64]


def roc(path: Path, died: Numbers, scores: dict[str, Numbers], title: str) -> None:
    """Draw the ROC of each score, by its label."""
    figure, axes = pyplot.subplots(figsize=(5, 5))
    for label, score in scores.items():
        order = np.argsort(-score, kind="stable")
        hits, misses = np.cumsum(died[order]), np.cumsum(1 - died[order])
        axes.plot(misses / misses[-1], hits / hits[-1], label=label)
    axes.plot([0, 1], [0, 1], ":", color="grey", label="chance")
    axes.set(xlabel="1 - specificity", ylabel="Sensitivity", title=title)
    _save(figure, axes, path)


def calibration(path: Path, tenths: list[tuple[int, float, float]], name: str) -> None:
    """Draw observed against predicted, with the 95 % interval of each observed share."""
    counts, predicted, observed = (np.array(each, dtype=float) for each in zip(*tenths, strict=True))
    figure, axes = pyplot.subplots(figsize=(5, 5))
    spread = 1.96 * np.sqrt(observed * (1 - observed) / counts)
    axes.errorbar(predicted, observed, yerr=spread, fmt="o", label="tenths of the test patients")
    axes.plot([0, 1], [0, 1], ":", color="grey", label="perfect")
    axes.set(xlabel="Mean predicted probability", ylabel="Share with the outcome", title=f"Calibration, {name}")
    _save(figure, axes, path)


def shifts(path: Path, found: dict[str, dict[str, float]]) -> None:
    """Draw the shift of each column at each site."""
    figure, axes = pyplot.subplots(figsize=(6, 4))
    names = list(next(iter(found.values())))
    width = 0.8 / len(found)
    for at, (site, values) in enumerate(found.items()):
        axes.bar(np.arange(len(names)) + at * width, [values[name] for name in names], width, label=site)
    axes.axhline(0.25, linestyle=":", color="grey", label="a shift: 0.25")
    axes.set_xticks(np.arange(len(names)) + 0.4 - width / 2, names)
    axes.set(ylabel="PSI from Cleveland", title="UCI heart disease, three hospitals from the first")
    _save(figure, axes, path)


def _save(figure: Any, axes: Any, path: Path) -> None:
    axes.legend(loc="best", fontsize="small")
    figure.tight_layout()
    figure.savefig(path, dpi=90, metadata={"Software": None})
    pyplot.close(figure)

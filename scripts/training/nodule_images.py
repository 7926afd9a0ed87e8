"""Pictures with and without synthetic nodules, in texture of real radiographs (pydicom-data, MIT licence)."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom import dcmread

Pictures = npt.NDArray[np.float32]
SIDE = 128
CELLS = 32
_SOURCES = ("RG1_UNCR.dcm", "RG3_UNCR.dcm")
_PARTS = {"train": (0.0, 0.6), "tune": (0.6, 0.8), "test": (0.8, 1.0)}
"""Bands of each radiograph from top to bottom: no part of the tissue that is trained on is tested on."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Pictures (n, 1, SIDE, SIDE) of mean 0 and deviation 1, which of them hold a nodule, and in which cells of the
    class map (n, CELLS, CELLS) it is."""

    pictures: Pictures
    labels: npt.NDArray[np.int64]
    cells: Pictures


def radiographs() -> list[Pictures]:
    """Return the radiographs, bright where the body is dense, with values 0 to 1."""
    found = []
    for name in _SOURCES:
        dataset = dcmread(str(files("data_store").joinpath("data", name)))
        values = dataset.pixel_array.astype(np.float32)
        low, high = np.percentile(values, (1, 99))
        scaled = np.clip((values - low) / (high - low), 0, 1)
        found.append(1 - scaled if dataset.PhotometricInterpretation == "MONOCHROME1" else scaled)
    return found


def drawn(part: str, count: int, seed: int) -> Sample:
    """Draw pictures, half of them with a nodule, from one band of the radiographs."""
    rng, sources = np.random.default_rng(seed), radiographs()
    bands = [_band(source, _PARTS[part]) for source in sources]
    labels = rng.integers(0, 2, count)
    pictures = np.empty((count, 1, SIDE, SIDE), np.float32)
    cells = np.zeros((count, CELLS, CELLS), np.float32)
    for number in range(count):
        plain = texture(bands, rng)
        if labels[number]:
            shape = nodule(rng)
            plain = plain + rng.uniform(0.1, 0.4) * shape
            cells[number] = shape.reshape(CELLS, SIDE // CELLS, CELLS, -1).mean((1, 3)) > 0.5
        pictures[number, 0] = normalised(plain)
    return Sample(pictures, labels, cells)


def texture(sources: Sequence[Pictures], rng: np.random.Generator) -> Pictures:
    """Cut a square somewhere, turn it, change its contrast and noise."""
    source = sources[rng.integers(len(sources))]
    rows, columns = source.shape
    side = int(rng.uniform(0.45, 1.0) * min(rows, columns))
    top, left = rng.integers(0, rows - side + 1), rng.integers(0, columns - side + 1)
    cut = source[top : top + side, left : left + side]
    cut = np.rot90(cut, rng.integers(4))[:: rng.choice((-1, 1))]
    small = np.asarray(Image.fromarray(np.ascontiguousarray(cut)).resize((SIDE, SIDE), Image.Resampling.BOX))
    changed = np.clip(small, 0, 1) ** rng.uniform(0.7, 1.4)
    return np.asarray(changed + rng.normal(0, rng.uniform(0.002, 0.012), small.shape), np.float32)


def nodule(rng: np.random.Generator) -> Pictures:
    """Return a round shadow of soft edge somewhere, a little longer than wide."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    row, column = rng.uniform(18, SIDE - 18, 2)
    across, down = rng.uniform(4.5, 9, 2)
    turn = rng.uniform(0, np.pi)
    x = (columns - column) * np.cos(turn) + (rows - row) * np.sin(turn)
    y = (rows - row) * np.cos(turn) - (columns - column) * np.sin(turn)
    away = np.sqrt((x / across) ** 2 + (y / down) ** 2)
    return np.asarray(1 / (1 + np.exp(np.clip((away - 1) * rng.uniform(6, 14), -50, 50))), np.float32)


def normalised(picture: Pictures) -> Pictures:
    """Bring a picture to mean 0 and deviation 1."""
    return np.asarray((picture - picture.mean()) / (picture.std() + 1e-6), np.float32)


def _band(source: Any, part: tuple[float, float]) -> Pictures:
    rows = source.shape[0]
    return np.asarray(source[int(rows * part[0]) : int(rows * part[1])], np.float32)

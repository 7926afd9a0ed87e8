"""Overlay: the class activation map over the image in colours, and the region where it is strongest."""

from typing import Any

import numpy as np
from PIL import Image

from fhir_imaging_ai.looking.picture import Array, Seen, Square

MOST_SIDE = 1024
_STRONG = 0.5


def spread(activation: Array, square: Square, shape: tuple[int, int]) -> Array:
    """Return a class activation map over the whole image, 0 outside of its square."""
    whole = np.zeros(shape, np.float32)
    large = Image.fromarray(activation).resize((square.side, square.side), Image.Resampling.BILINEAR)
    whole[square.top : square.top + square.side, square.left : square.left + square.side] = np.asarray(large)
    return whole


def coloured(seen: Seen, activation: Array, square: Square) -> Array:
    """Return the image as RGB with the map over it in red, at most MOST_SIDE pixels long."""
    rows, columns = seen.grey.shape
    scale = min(1.0, MOST_SIDE / max(rows, columns))
    size = max(round(columns * scale), 1), max(round(rows * scale), 1)
    grey = _resized(seen.grey, size)
    heat = _resized(spread(activation, square, (rows, columns)), size)[..., None] * 0.6
    colours = grey[..., None] * (1 - heat) + np.array([1.0, 0.15, 0.0]) * heat
    return np.asarray(np.rint(np.clip(colours, 0, 1) * 255), np.uint8)


def region(activation: Array, square: Square) -> Array | None:
    """Return the ellipse around where the map is strong as four points (column, row): the ends of its axes.

    None: the map is empty.
    """
    strong = np.argwhere(activation >= _STRONG * max(float(activation.max()), 1e-9))
    if float(activation.max()) <= 0 or len(strong) == 0:
        return None
    peak = np.unravel_index(int(np.argmax(activation)), activation.shape)
    near = strong[np.abs(strong - np.array(peak)).max(1) <= 6]
    cell = square.side / activation.shape[0]
    (top, left), (bottom, right) = near.min(0) * cell, (near.max(0) + 1) * cell
    row, column = square.top + (top + bottom) / 2, square.left + (left + right) / 2
    across, down = (right - left) / 2, (bottom - top) / 2
    sides = [(column - across, row), (column + across, row)], [(column, row - down), (column, row + down)]
    longer, shorter = sides if across >= down else sides[::-1]
    return np.array([*longer, *shorter], np.float32)


def _resized(values: Array, size: tuple[int, int]) -> Array:
    made: Any = Image.fromarray(values.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
    return np.asarray(made, np.float32)

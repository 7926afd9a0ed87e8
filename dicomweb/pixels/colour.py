"""Colours: palettes, YBR and deep RGB become RGB of 8 bits."""

import importlib
from typing import Any

import numpy as np

from dicomweb.pixels.faults import PixelFailure
from dicomweb.pixels.layout import Layout
from dicomweb.pixels.native import Array


def rgb_of(array: Array, photometric: str, layout: Layout, dataset: Any) -> Array:
    """Return RGB (rows, columns, 3) of a decoded colour frame.

    Raises:
        PixelFailure: the palette is missing or broken, or the colour space is one that nothing knows.
    """
    if photometric == "PALETTE COLOR":
        return _of_palette(array, dataset)
    if array.ndim != 3 or array.shape[2] != 3:
        raise PixelFailure("unsupported", f"{layout.samples} samples of {photometric[:16]} cannot be shown")
    narrow = _narrow(array, layout)
    if photometric in ("RGB", "YBR_RCT", "YBR_ICT"):
        return narrow
    if photometric == "YBR_FULL":
        converted = importlib.import_module("pydicom.pixels.processing").convert_color_space(narrow, "YBR_FULL", "RGB")
        return np.asarray(converted, np.uint8)
    raise PixelFailure("unsupported", f"the colour space {photometric[:16]} cannot be shown")


def _of_palette(array: Array, dataset: Any) -> Array:
    processing = importlib.import_module("pydicom.pixels.processing")
    try:
        colours = processing.apply_color_lut(array, dataset)
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
        raise PixelFailure("refused", "the palette of the image is missing or broken") from error
    deep = colours.dtype.itemsize > 1
    return np.asarray((colours >> 8) if deep else colours, np.uint8)[..., :3]


def _narrow(array: Array, layout: Layout) -> Array:
    if array.dtype.itemsize == 1:
        return array.view(np.uint8)
    return (array >> max(layout.stored - 8, 0)).astype(np.uint8)

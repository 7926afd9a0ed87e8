"""Picture: an image as a model takes it: squares of it, bright where the body is dense, mean 0 and deviation 1."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom import dcmread

from fhir_imaging_ai.models.manifest import Manifest

Array = npt.NDArray[Any]
_NEARLY_SQUARE = 1.15


class NotForModel(Exception):
    """The image is none that the model was made for; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Square:
    """A part of the image: where its upper left corner is, and its side, in pixels of the image."""

    top: int
    left: int
    side: int


@dataclass(frozen=True, slots=True)
class Seen:
    """An image: its attributes, its grey values 0 to 1 (bright is dense), its squares and their pictures."""

    dataset: Any
    grey: Array
    squares: tuple[Square, ...]
    pictures: Array


def seen(header: bytes, frame: bytes, manifest: Manifest) -> Seen:
    """Make pictures of an image from its attributes and its uncompressed frame.

    Raises:
        NotForModel: modality, photometric interpretation or size is another one.
    """
    dataset = dcmread(io.BytesIO(header), stop_before_pixels=True, force=True)
    _check(dataset, manifest)
    grey = _grey(dataset, frame)
    squares = _squares(*grey.shape)
    pictures = [_picture(grey, square, manifest.side) for square in squares]
    return Seen(dataset, grey, squares, np.stack(pictures)[:, None])


def roughness(picture: Array) -> float:
    """Return how much neighbouring pixels of a picture of deviation 1 differ: little in gradients, much in noise."""
    across, down = np.abs(np.diff(picture, axis=1)).mean(), np.abs(np.diff(picture, axis=0)).mean()
    return float(across + down) / 2


def _check(dataset: Any, manifest: Manifest) -> None:
    modality, photometric = str(dataset.get("Modality", "")), str(dataset.get("PhotometricInterpretation", ""))
    if modality not in manifest.modalities:
        raise NotForModel(
            f"the modality is {modality or 'not told'}, the model is for {', '.join(manifest.modalities)}"
        )
    if photometric not in manifest.photometric:
        raise NotForModel(f"the photometric interpretation is {photometric[:16] or 'not told'}")
    if int(dataset.get("NumberOfFrames", 1) or 1) != 1:
        raise NotForModel("it has several frames")
    if min(int(dataset.get("Rows", 0) or 0), int(dataset.get("Columns", 0) or 0)) < manifest.least_side:
        raise NotForModel(f"it is smaller than {manifest.least_side} pixels")


def _grey(dataset: Any, frame: bytes) -> Array:
    rows, columns, bits = int(dataset.Rows), int(dataset.Columns), int(dataset.BitsAllocated)
    kind = "i" if dataset.get("PixelRepresentation", 0) == 1 else "u"
    if bits not in (8, 16) or len(frame) < rows * columns * bits // 8:
        raise NotForModel("its pixels are not those that its attributes say")
    values = np.frombuffer(frame, f"<{kind}{bits // 8}", rows * columns).reshape(rows, columns).astype(np.float32)
    low, high = np.percentile(values, (1, 99))
    if high <= low:
        raise NotForModel("it is of one brightness")
    scaled = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(1 - scaled if dataset.PhotometricInterpretation == "MONOCHROME1" else scaled, np.float32)


def _squares(rows: int, columns: int) -> tuple[Square, ...]:
    """One square of an image that nearly is one; else as many along its longer side as cover it."""
    side, longer = min(rows, columns), max(rows, columns)
    if longer <= side * _NEARLY_SQUARE:
        return (Square((rows - side) // 2, (columns - side) // 2, side),)
    starts = sorted({round(each) for each in np.linspace(0, longer - side, -(-longer // side))})
    return tuple(Square(start, 0, side) if rows > columns else Square(0, start, side) for start in starts)


def _picture(grey: Array, square: Square, side: int) -> Array:
    part = np.ascontiguousarray(grey[square.top : square.top + square.side, square.left : square.left + square.side])
    small = np.asarray(Image.fromarray(part).resize((side, side), Image.Resampling.BOX), np.float32)
    return np.asarray((small - small.mean()) / (small.std() + 1e-6), np.float32)

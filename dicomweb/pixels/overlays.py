"""Overlay planes: graphics of one bit that lie over an image.

Spec: https://dicom.nema.org/medical/dicom/current/output/chtml/part03/sect_C.9.2.html
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from dicomweb.pixels.native import Array

_GROUPS = range(0x6000, 0x6020, 2)


def overlay_of(dataset: Any, raw: Array, index: int) -> Array | None:
    """Return where overlays of a frame have a mark; None where it has none."""
    found: Array | None = None
    for group in _GROUPS:
        if (group, 0x0010) in dataset and (group, 0x0011) in dataset:
            plane = _plane(dataset, raw, group, index)
            if plane is not None:
                found = plane if found is None else found | plane
    return found


def _plane(dataset: Any, raw: Array, group: int, index: int) -> Array | None:
    if (group, 0x3000) not in dataset:
        return _embedded(dataset, raw, group)
    rows, columns = int(dataset[group, 0x0010].value or 0), int(dataset[group, 0x0011].value or 0)
    frames = int(_value(dataset, group, 0x0015, 1) or 1)
    first = int(_value(dataset, group, 0x0051, 1) or 1) - 1
    number = 0 if frames == 1 else index - first
    data, size = dataset[group, 0x3000].value or b"", rows * columns
    if not 0 <= number < frames or len(data) * 8 < size * (number + 1):
        return None
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[size * number : size * (number + 1)]
    return _placed(bits.reshape(rows, columns).astype(bool), _value(dataset, group, 0x0050, [1, 1]), raw)


def _embedded(dataset: Any, raw: Array, group: int) -> Array | None:
    """Overlays of old lie in unused bits of the pixels."""
    position = int(_value(dataset, group, 0x0102, 0) or 0)
    if raw.ndim != 2 or raw.dtype.kind == "f" or not 0 < position < raw.dtype.itemsize * 8:
        return None
    return (raw.view(np.dtype(f"u{raw.dtype.itemsize}")) >> position & 1).astype(bool)


def _placed(plane: npt.NDArray[np.bool_], origin: Any, raw: Array) -> Array:
    """Lay a plane where its origin (row, column, from 1) says."""
    top, left = (int(each) - 1 for each in list(origin)[:2])
    whole: Array = np.zeros(raw.shape[:2], bool)
    down, right = max(top, 0), max(left, 0)
    part = plane[down - top : down - top + whole.shape[0] - down, right - left : right - left + whole.shape[1] - right]
    whole[down : down + part.shape[0], right : right + part.shape[1]] = part
    return whole


def _value(dataset: Any, group: int, element: int, otherwise: Any) -> Any:
    return dataset[group, element].value if (group, element) in dataset else otherwise

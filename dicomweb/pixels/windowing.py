"""From stored grey values to what is seen: modality LUT, VOI LUT or window, presentation LUT shape.

Spec: https://dicom.nema.org/medical/dicom/current/output/chtml/part03/sect_C.11.2.html,
https://dicom.nema.org/medical/dicom/current/output/chtml/part04/sect_N.2.html
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from dicomweb.pixels.asked import PRESETS, Asked
from dicomweb.pixels.layout import Layout
from dicomweb.pixels.native import Array

Window = tuple[float, float, str]


@dataclass(frozen=True, slots=True)
class Table:
    """A look-up table: the stored value that its first entry is for, and its entries scaled to 0..1 by `most`."""

    first: int
    entries: tuple[int, ...]
    most: int


@dataclass(frozen=True, slots=True)
class Grey:
    """How the grey values of a frame are to be shown.

    windows: (centre, width, name in lower case). padding: lowest and highest value that stands for no pixel.
    """

    slope: float = 1.0
    intercept: float = 0.0
    modality: Table | None = None
    windows: tuple[tuple[float, float, str], ...] = ()
    function: str = "LINEAR"
    voi: Table | None = None
    padding: tuple[int, int] | None = None
    inverse: bool = False


def grey_of(dataset: Any, index: int) -> Grey:
    """Read how frame `index`, from 0, is to be shown."""
    slope, intercept, modality = 1.0, 0.0, None
    windows: tuple[tuple[float, float, str], ...] = ()
    function, voi = "", None
    for place in _places(dataset, index):
        if modality is None and place.get("ModalityLUTSequence"):
            modality = _table(place.ModalityLUTSequence[0])
        if place.get("RescaleSlope") is not None and (slope, intercept) == (1.0, 0.0):
            slope, intercept = _real(place, "RescaleSlope", 1.0), _real(place, "RescaleIntercept", 0.0)
        windows = windows or _windows(place)
        function = function or str(place.get("VOILUTFunction", "") or "")
        if voi is None and place.get("VOILUTSequence"):
            voi = _table(place.VOILUTSequence[0])
    shape = str(dataset.get("PresentationLUTShape", "") or "")
    inverse = shape == "INVERSE" or (not shape and dataset.get("PhotometricInterpretation") == "MONOCHROME1")
    return Grey(slope or 1.0, intercept, modality, windows, function or "LINEAR", voi, _padding(dataset), inverse)


def _places(dataset: Any, index: int) -> Iterator[Any]:
    """Yield where attributes of one frame may stand: its functional groups, the shared ones, the image."""
    for name, number in (("PerFrameFunctionalGroupsSequence", index), ("SharedFunctionalGroupsSequence", 0)):
        groups = dataset.get(name) or []
        if number < len(groups):
            for inner in ("FrameVOILUTSequence", "PixelValueTransformationSequence"):
                yield from (groups[number].get(inner) or [])[:1]
    yield dataset


def _windows(place: Any) -> tuple[tuple[float, float, str], ...]:
    centres, widths = _several(place.get("WindowCenter")), _several(place.get("WindowWidth"))
    names = _several(place.get("WindowCenterWidthExplanation")) or []
    found = []
    for number, (centre, width) in enumerate(zip(centres, widths, strict=False)):
        try:
            pair = float(centre), float(width)
        except (TypeError, ValueError):
            continue
        if pair[1] > 0 and np.isfinite(pair).all():
            found.append((*pair, str(names[number]).strip().lower() if number < len(names) else ""))
    return tuple(found)


def _several(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    return list(value) if not isinstance(value, str) and hasattr(value, "__iter__") else [value]


def _real(place: Any, keyword: str, otherwise: float) -> float:
    try:
        number = float(place.get(keyword))
    except (TypeError, ValueError):
        return otherwise
    return number if np.isfinite(number) else otherwise


def _table(item: Any) -> Table | None:
    described, data = item.get("LUTDescriptor"), item.get("LUTData")
    if described is None or data is None or len(described) != 3:
        return None
    if isinstance(data, bytes):
        data = np.frombuffer(data[: len(data) // 2 * 2], "<u2").tolist()
    entries = tuple(int(each) & 0xFFFF for each in _several(data))
    return Table(int(described[1]), entries, (1 << min(int(described[2]) or 16, 16)) - 1) if entries else None


def _padding(dataset: Any) -> tuple[int, int] | None:
    value, limit = dataset.get("PixelPaddingValue"), dataset.get("PixelPaddingRangeLimit")
    try:
        one = int(value)
        other = int(limit) if limit is not None else one
    except (TypeError, ValueError):
        return None
    return min(one, other), max(one, other)


def shown(array: Array, layout: Layout, grey: Grey, asked: Asked) -> Array:
    """Return grey values 0 to 255 of a frame."""
    window = chosen(grey, asked)
    if array.dtype.kind == "f" or array.dtype.itemsize > 2:
        return _mapped(array.astype(np.float64), grey, window or _range(array, layout, grey))
    voi = window is None and grey.voi is not None
    if window is None and not voi:
        window = _range(array, layout, grey)
    bits, signed = (layout.stored if layout.allocated > 1 else 8), layout.signed
    table = _entries(grey, window, array.dtype.itemsize * 8, bits, signed)
    return np.asarray(table.take(array.view(np.dtype(f"u{array.dtype.itemsize}")), mode="wrap"))


def chosen(grey: Grey, asked: Asked) -> Window | None:
    """Return the window that was asked for, or else the first of the image."""
    if asked.window is not None:
        return asked.window
    if asked.preset:
        named = [window for window in grey.windows if window[2] == asked.preset]
        if named:
            return named[0][0], named[0][1], grey.function
        if asked.preset in PRESETS:
            return *PRESETS[asked.preset], "LINEAR"
    if grey.windows:
        return grey.windows[0][0], grey.windows[0][1], grey.function
    return None


def _range(array: Array, layout: Layout, grey: Grey) -> Window:
    """Where nothing says otherwise, all values that are there are seen."""
    values = array if array.dtype.kind == "f" else _values(array, layout.stored, layout.signed)
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
    if grey.padding is not None:
        values = values[(values < grey.padding[0]) | (values > grey.padding[1])]
    if values.size == 0:
        return 0.5, 1.0, "LINEAR_EXACT"
    ends = sorted(float(each) for each in _rescaled(np.array([values.min(), values.max()], np.float64), grey))
    if ends[0] == ends[1]:
        return ends[0] + 0.5, 1.0, "LINEAR_EXACT"  # of one value, and that is the darkest
    return (ends[0] + ends[1]) / 2, ends[1] - ends[0], "LINEAR_EXACT"


def _values(raw: Array, bits: int, signed: bool) -> Array:
    """Return what stored samples mean: the bits above those stored are no part of them."""
    unused = raw.dtype.itemsize * 8 - bits
    if unused <= 0 or raw.dtype.kind == "f":
        return raw
    kind = np.dtype(f"{'i' if signed else 'u'}{raw.dtype.itemsize}")
    return np.asarray((raw.view(np.dtype(f"u{raw.dtype.itemsize}")) << unused).view(kind) >> unused)


@lru_cache(maxsize=64)
def _entries(grey: Grey, window: Window | None, cell: int, bits: int, signed: bool) -> Array:
    raw = np.arange(1 << cell, dtype=np.uint32).astype(np.dtype(f"u{cell // 8}"))
    values = _values(raw.view(np.dtype(f"{'i' if signed else 'u'}{cell // 8}")), bits, signed)
    return _mapped(values.astype(np.float64), grey, window)


def _rescaled(values: Array, grey: Grey) -> Array:
    if grey.modality is None:
        return values * grey.slope + grey.intercept
    entries = np.asarray(grey.modality.entries, np.float64)
    return np.asarray(entries[np.clip(values - grey.modality.first, 0, len(entries) - 1).astype(np.int64)])


def _mapped(values: Array, grey: Grey, window: Window | None) -> Array:
    real = _rescaled(values, grey)
    if window is None and grey.voi is not None:
        entries = np.asarray(grey.voi.entries, np.float64) / grey.voi.most
        seen = entries[np.clip(real - grey.voi.first, 0, len(entries) - 1).astype(np.int64)]
    else:
        seen = _windowed(real, window or (0.5, 1.0, "LINEAR_EXACT"))
    seen = np.clip(np.nan_to_num(seen, nan=0.0, posinf=1.0, neginf=0.0), 0.0, 1.0)
    return np.asarray(np.rint((1.0 - seen if grey.inverse else seen) * 255), np.uint8)


def _windowed(real: Array, window: Window) -> Array:
    centre, width, function = window
    if function == "SIGMOID":
        return np.asarray(1.0 / (1.0 + np.exp(np.clip(-4.0 * (real - centre) / width, -700, 700))))
    if function == "LINEAR_EXACT":
        return np.asarray((real - centre) / width + 0.5)
    if width <= 1:
        return np.asarray((real > centre - 0.5).astype(np.float64))
    return np.asarray((real - (centre - 0.5)) / (width - 1) + 0.5)

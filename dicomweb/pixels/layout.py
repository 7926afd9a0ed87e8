"""Layout: the shape of the pixels of an image, as its attributes say."""

from dataclasses import dataclass
from typing import Any, Literal

from dicomweb.pixels.faults import PixelFailure

Number = Literal["integer", "float", "double"]
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
MOST_PIXELS = 1 << 31
"""Of one frame; more is not an image but an attack."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Pixels of an image.

    rows, columns, frames: counts. samples: 1, or 3 of a colour. allocated, stored: bits of a sample. planar: 1 where
    the colours lie one plane after the other. number: what a sample is.
    """

    rows: int
    columns: int
    samples: int = 1
    allocated: int = 8
    stored: int = 8
    signed: bool = False
    planar: int = 0
    photometric: str = "MONOCHROME2"
    frames: int = 1
    number: Number = "integer"

    @property
    def frame_bits(self) -> int:
        """Return the bits of one uncompressed frame."""
        if self.photometric == "YBR_FULL_422":
            return self.rows * self.columns * 2 * self.allocated
        return self.rows * self.columns * self.samples * self.allocated

    @property
    def frame_bytes(self) -> int:
        """Return the bytes of one uncompressed frame that stands alone."""
        return (self.frame_bits + 7) // 8


def layout_of(dataset: Any) -> Layout:
    """Read the layout of an image.

    Raises:
        PixelFailure: an attribute that says it is missing or impossible.
    """
    try:
        return _checked(_read(dataset))
    except (AttributeError, TypeError, ValueError) as error:
        raise PixelFailure("refused", f"the attributes of the pixels are missing or wrong: {error}") from error


def _read(dataset: Any) -> Layout:
    number: Number = "integer"
    if "BitsStored" not in dataset and "PixelData" not in dataset:  # floating point pixels alone say no bits stored
        number = {32: "float", 64: "double"}.get(int(dataset.BitsAllocated), number)  # type: ignore[assignment]
    allocated = {"integer": 0, "float": 32, "double": 64}[number] or int(dataset.BitsAllocated)
    return Layout(
        rows=int(dataset.Rows),
        columns=int(dataset.Columns),
        samples=int(dataset.get("SamplesPerPixel", 1) or 1),
        allocated=allocated,
        stored=int(dataset.get("BitsStored", allocated) or allocated),
        signed=dataset.get("PixelRepresentation", 0) == 1,
        planar=int(dataset.get("PlanarConfiguration", 0) or 0),
        photometric=str(dataset.get("PhotometricInterpretation", "MONOCHROME2") or "MONOCHROME2").strip(),
        frames=_frames(dataset),
        number=number,
    )


def _frames(dataset: Any) -> int:
    said = dataset.get("NumberOfFrames", 1)
    try:
        return max(int(said or 1), 1)
    except (TypeError, ValueError):
        return 1


def _checked(layout: Layout) -> Layout:
    if layout.rows < 1 or layout.columns < 1 or layout.rows * layout.columns > MOST_PIXELS:
        raise ValueError(f"{layout.rows} rows and {layout.columns} columns")
    if layout.samples not in (1, 3, 4) or layout.allocated not in (1, 8, 16, 32, 64):
        raise ValueError(f"{layout.samples} samples of {layout.allocated} bits")
    if not 1 <= layout.stored <= layout.allocated:
        raise ValueError(f"{layout.stored} bits stored of {layout.allocated}")
    return layout


def pixel_keyword(dataset: Any) -> str:
    """Return the keyword of the element that holds the pixels; empty where there is none."""
    return next((keyword for keyword in _PIXELS if keyword in dataset), "")

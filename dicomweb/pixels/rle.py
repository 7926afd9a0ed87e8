"""RLE Lossless (PS3.5 annex G): PackBits of byte planes, most significant first, row by row."""

import importlib
from typing import Any

import numpy as np

from dicomweb.pixels.faults import PixelFailure
from dicomweb.pixels.layout import Layout
from dicomweb.pixels.native import Array, dtype_of

_HEADER = 64


def encode_rle(array: Array, layout: Layout) -> bytes:
    """Encode one frame."""
    pack = _codecs().packbits_encode
    size = layout.allocated // 8
    planes = np.ascontiguousarray(array, dtype_of(layout)).view(np.uint8)
    planes = planes.reshape(layout.rows, layout.columns, layout.samples, size)
    segments = []
    for sample in range(layout.samples):
        for byte in reversed(range(size)):
            packed = bytes(pack(np.ascontiguousarray(planes[:, :, sample, byte]), axis=1))
            segments.append(packed + b"\0" * (len(packed) % 2))
    if len(segments) > 15:
        raise PixelFailure("unsupported", "RLE has no room for so many bytes of a pixel")
    offsets, at = [], _HEADER
    for segment in segments:
        offsets.append(at)
        at += len(segment)
    header = np.zeros(16, "<u4")
    header[0], header[1 : len(offsets) + 1] = len(offsets), offsets
    return header.tobytes() + b"".join(segments)


def decode_rle(data: bytes, layout: Layout) -> Array:
    """Decode one frame.

    Raises:
        PixelFailure: the header lies, or a segment is too short.
    """
    size, pixels = layout.allocated // 8, layout.rows * layout.columns
    header = np.frombuffer(data[:_HEADER].ljust(_HEADER, b"\0"), "<u4")
    count = layout.samples * size
    offsets = [int(each) for each in header[1 : count + 1]]
    if int(header[0]) != count or sorted(offsets) != offsets or not offsets or offsets[-1] > len(data):
        raise PixelFailure("refused", f"the RLE header names {int(header[0])} segments where {count} are due")
    planes = np.empty((layout.samples, size, pixels), np.uint8)
    for number, (start, end) in enumerate(zip(offsets, [*offsets[1:], len(data)], strict=True)):
        planes[number // size, size - 1 - number % size] = _segment(data[start:end], pixels)
    samples = np.ascontiguousarray(np.moveaxis(planes, 1, -1)).view(dtype_of(layout))
    whole = samples.reshape(layout.samples, layout.rows, layout.columns)
    return whole[0] if layout.samples == 1 else np.ascontiguousarray(np.moveaxis(whole, 0, -1))


def _segment(packed: bytes, pixels: int) -> Array:
    flat = np.frombuffer(_codecs().packbits_decode(packed, out=2 * pixels + 256)[: pixels + 1], np.uint8)
    if len(flat) < pixels:
        raise PixelFailure("refused", f"an RLE segment holds {len(flat)} of {pixels} bytes")
    return flat[:pixels]


def _codecs() -> Any:
    return importlib.import_module("imagecodecs")

"""Uncompressed pixels: where a frame lies, and arrays of it and back. Nothing here needs a codec."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dicomweb.pixels.faults import PixelFailure
from dicomweb.pixels.layout import Layout

Array = npt.NDArray[Any]


def frame_range(layout: Layout, number: int) -> tuple[int, int]:
    """Return the range [start, end) of bytes that hold a frame, counted from 0, within native pixels."""
    start = layout.frame_bits * number
    return start // 8, (start + layout.frame_bits + 7) // 8


def cut_frame(data: bytes, layout: Layout, number: int) -> bytes:
    """Return one frame by itself from the bytes of its `frame_range`.

    Frames of one-bit images follow each other without a gap, so one may begin within a byte.
    """
    offset = layout.frame_bits * number % 8
    if layout.allocated != 1 or (offset == 0 and layout.frame_bits % 8 == 0):
        return data
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[offset : offset + layout.frame_bits]
    return np.packbits(bits, bitorder="little").tobytes()


def join_frames(frames: list[bytes], layout: Layout) -> bytes:
    """Return native pixels of frames that stand alone, padded to an even length."""
    if layout.allocated == 1 and layout.frame_bits % 8:
        each = [np.unpackbits(np.frombuffer(frame, np.uint8), bitorder="little") for frame in frames]
        bits = np.concatenate([one[: layout.frame_bits] for one in each])
        data = np.packbits(bits, bitorder="little").tobytes()
    else:
        data = b"".join(frames)
    return data + b"\0" * (len(data) % 2)


def dtype_of(layout: Layout) -> np.dtype[Any]:
    """Return the numpy type of a sample, little endian."""
    kind = {"integer": "i" if layout.signed else "u", "float": "f", "double": "f"}[layout.number]
    return np.dtype(f"<{kind}{max(layout.allocated // 8, 1)}")


def array_of(frame: bytes, layout: Layout) -> Array:
    """Return a native little endian frame as an array (rows, columns[, samples]).

    Raises:
        PixelFailure: there are fewer bytes than the layout says.
    """
    if len(frame) < layout.frame_bytes:
        raise PixelFailure("refused", f"a frame has {len(frame)} bytes where its attributes say {layout.frame_bytes}")
    if layout.allocated == 1:
        bits = np.unpackbits(np.frombuffer(frame, np.uint8), bitorder="little")[: layout.frame_bits]
        return bits.reshape(layout.rows, layout.columns)
    dtype = dtype_of(layout)
    flat = np.frombuffer(frame, dtype, layout.frame_bytes // dtype.itemsize)
    if layout.photometric == "YBR_FULL_422":
        return _without_subsampling(flat, layout)
    return _shaped(flat, layout)


def swapped(frame: bytes, layout: Layout, words: bool) -> bytes:
    """Return a big endian frame as a little endian one; `words`: samples of 8 bits lie in words of 16."""
    size = layout.allocated // 8 if layout.allocated > 8 else 2 if words else 1
    if size == 1:
        return frame
    even = frame + b"\0" * (-len(frame) % size)
    return np.frombuffer(even, f">u{size}").astype(f"<u{size}").tobytes()[: len(frame) + len(frame) % 2]


def _shaped(flat: Array, layout: Layout) -> Array:
    if layout.samples == 1:
        return flat.reshape(layout.rows, layout.columns)
    if layout.planar == 1:
        return np.moveaxis(flat.reshape(layout.samples, layout.rows, layout.columns), 0, -1)
    return flat.reshape(layout.rows, layout.columns, layout.samples)


def _without_subsampling(flat: Array, layout: Layout) -> Array:
    """Y1 Y2 Cb Cr for two pixels that lie side by side (PS3.3 C.7.6.3.1.2)."""
    if layout.columns % 2:
        raise PixelFailure("refused", "YBR_FULL_422 has an even number of columns")
    pairs = flat.reshape(layout.rows, layout.columns // 2, 4)
    whole = np.empty((layout.rows, layout.columns, 3), flat.dtype)
    whole[:, 0::2, 0], whole[:, 1::2, 0] = pairs[..., 0], pairs[..., 1]
    for place in (0, 1):
        whole[:, place::2, 1], whole[:, place::2, 2] = pairs[..., 2], pairs[..., 3]
    return whole


def bytes_of(array: Array, layout: Layout) -> bytes:
    """Return a frame's array as native bytes; `layout` says how they lie (see `native_layout`)."""
    if layout.allocated == 1:
        return np.packbits(array.reshape(-1).astype(bool), bitorder="little").tobytes()
    return np.ascontiguousarray(array, dtype_of(layout)).tobytes()


def native_layout(layout: Layout, photometric: str = "") -> Layout:
    """Return the layout of frames as we write them: colours by pixel, no subsampling."""
    named = photometric or layout.photometric
    return replace(layout, planar=0, photometric="YBR_FULL" if named == "YBR_FULL_422" else named)

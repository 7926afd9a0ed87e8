"""Frames in and out of each transfer syntax, by imagecodecs. It runs in workers: the bytes are not to be trusted."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dicomweb.pixels.codestream import Codestream, codestream_of
from dicomweb.pixels.faults import PixelFailure
from dicomweb.pixels.layout import Layout
from dicomweb.pixels.native import Array, array_of, bytes_of, dtype_of, native_layout
from dicomweb.pixels.rle import decode_rle, encode_rle
from dicomweb.pixels.syntaxes import JPEG, JPEG_EXTENDED, SYNTAXES, Syntax

DEFAULT_QUALITY = 90


@dataclass(frozen=True, slots=True)
class Frame:
    """A decoded frame and the photometric interpretation that its pixels have now."""

    array: Array
    photometric: str


def decode_frame(data: bytes, layout: Layout, uid: str) -> Frame:
    """Decode one frame of a transfer syntax; those of Explicit VR Big Endian come as little endian ones.

    Raises:
        PixelFailure: the bytes are damaged, or are not what their attributes say.
    """
    syntax = syntax_of(uid)
    if syntax.native:
        array = array_of(data, layout)
        return Frame(array, native_layout(layout).photometric)
    if syntax.codec == "rle":
        return Frame(decode_rle(data, layout), layout.photometric)
    stream = codestream_of(data)
    _plausible(stream, layout)
    try:
        frame = _DECODERS[syntax.codec](data, layout, stream)
    except PixelFailure:
        raise
    except MemoryError:
        raise
    except Exception as error:  # each codec has errors of its own
        raise PixelFailure("refused", f"the {syntax.codec} codec refuses a frame: {_said(error)}") from error
    return replace(frame, array=_fitted(frame.array, layout, stream))


def encode_frame(array: Array, layout: Layout, uid: str, quality: int = DEFAULT_QUALITY) -> bytes:
    """Encode one frame; where the syntax is lossless, every bit comes back.

    Raises:
        PixelFailure: such pixels have no place in that syntax.
    """
    syntax = syntax_of(uid)
    why = unsuited(layout, syntax)
    if why:
        raise PixelFailure("unsupported", why)
    if syntax.native:
        return bytes_of(array, layout)
    try:
        coded = _ENCODERS[syntax.codec](np.ascontiguousarray(array), layout, syntax, quality)
    except PixelFailure:
        raise
    except MemoryError:
        raise
    except Exception as error:  # as above
        raise PixelFailure("unsupported", f"the {syntax.codec} codec cannot encode this: {_said(error)}") from error
    return coded + b"\0" * (len(coded) % 2)


def syntax_of(uid: str) -> Syntax:
    """Return a transfer syntax. Raises PixelFailure: we know none such."""
    if uid not in SYNTAXES:
        raise PixelFailure("unsupported", f"the transfer syntax {uid[:64]} is not known here")
    return SYNTAXES[uid]


def unsuited(layout: Layout, target: Syntax) -> str:
    """Return why pixels have no place in a transfer syntax; empty where they have."""
    if not target.written:
        return f"nothing is encoded to {target.uid} here"
    if target.native:
        return ""
    if layout.number != "integer":
        return "floating point pixels are never compressed"
    if layout.allocated == 1:
        return "one-bit pixels are not compressed"
    most = {"rle": 32, "jpeg": 8 if target.uid == JPEG else 12}.get(target.codec, 16)
    bits = layout.stored if target.codec == "jpeg" else layout.allocated
    if bits > most or layout.samples not in (1, 3):
        return f"{layout.samples} samples of {bits} bits have no place in {target.uid}"
    if target.codec == "jpeg" and (layout.signed or layout.photometric == "PALETTE COLOR"):
        return "signed pixels and indices of a palette have no place in lossy JPEG"
    if not target.lossless and layout.photometric == "PALETTE COLOR":
        return "indices of a palette cannot lose anything"
    return ""


def _plausible(stream: Codestream | None, layout: Layout) -> None:
    """A header that claims a larger image than the attributes would make the codec take memory for it."""
    if stream is None:
        raise PixelFailure("refused", "a frame has no header of its codec")
    if stream.rows * stream.columns > layout.rows * layout.columns or stream.components > max(layout.samples, 1):
        raise PixelFailure(
            "refused",
            f"a frame says {stream.rows} x {stream.columns} x {stream.components}, "
            f"its attributes {layout.rows} x {layout.columns} x {layout.samples}",
        )


def _decode_jpeg(data: bytes, layout: Layout, stream: Codestream | None) -> Frame:
    """Colours come out as RGB. What the photometric interpretation says goes before the guess of the decoder, but for
    an Adobe marker, which says what was done."""
    if layout.samples == 1 or stream is None:
        return Frame(_codecs().jpeg8_decode(data), layout.photometric)
    transformed = stream.adobe > 0 or (stream.adobe < 0 and (layout.photometric.startswith("YBR") or stream.jfif))
    inside = "YCBCR" if transformed else "RGB"
    return Frame(_codecs().jpeg8_decode(data, colorspace=inside, outcolorspace="RGB"), "RGB")


def _decode_jpeg_lossless(data: bytes, layout: Layout, stream: Codestream | None) -> Frame:
    if stream is not None and stream.components == 1:
        try:
            return Frame(_codecs().ljpeg_decode(data), layout.photometric)
        except Exception:  # its decoder reads fewer of them than libjpeg's
            return Frame(_codecs().jpeg8_decode(data), layout.photometric)
    return Frame(_codecs().jpeg8_decode(data, colorspace="RGB", outcolorspace="RGB"), layout.photometric)


def _decode_jpeg_ls(data: bytes, layout: Layout, stream: Codestream | None) -> Frame:
    return Frame(_codecs().jpegls_decode(data), layout.photometric)


def _decode_2000(data: bytes, layout: Layout, stream: Codestream | None) -> Frame:
    return _of_2000(_codecs().jpeg2k_decode(data, numthreads=1), layout)


def _decode_htj2k(data: bytes, layout: Layout, stream: Codestream | None) -> Frame:
    return _of_2000(_codecs().htj2k_decode(data, planar=False), layout)


def _of_2000(array: Array, layout: Layout) -> Frame:
    transformed = layout.photometric in ("YBR_RCT", "YBR_ICT")
    return Frame(array, "RGB" if transformed else layout.photometric)


_DECODERS: dict[str, Callable[[bytes, Layout, Codestream | None], Frame]] = {
    "jpeg": _decode_jpeg,
    "jpeg-lossless": _decode_jpeg_lossless,
    "jpeg-ls": _decode_jpeg_ls,
    "jpeg-2000": _decode_2000,
    "htj2k": _decode_htj2k,
}


def _fitted(array: Array, layout: Layout, stream: Codestream | None) -> Array:
    """Bring samples to the type that the attributes say.

    A codestream may hold signed samples as unsigned ones of fewer bits; those are extended by their sign.
    """
    want = dtype_of(layout)
    shape = (layout.rows, layout.columns) + ((layout.samples,) if layout.samples > 1 else ())
    if array.shape != shape:
        if array.size != int(np.prod(shape)):
            raise PixelFailure("refused", f"a frame has the shape {array.shape}, its attributes say {shape}")
        array = array.reshape(shape)
    if array.dtype == want:
        return array
    if layout.signed and array.dtype.kind == "u":
        return _extended(array, stream.precision if stream else array.dtype.itemsize * 8, want)
    return array.astype(want)


def _extended(array: Array, precision: int, want: np.dtype[Any]) -> Array:
    unused = want.itemsize * 8 - min(precision, want.itemsize * 8)
    wide = array.astype(np.dtype(f"<u{want.itemsize}")) << unused
    return wide.view(want) >> unused


def _unsigned(array: Array) -> Array:
    return array.view(np.dtype(f"u{array.dtype.itemsize}")) if array.dtype.kind == "i" else array


def _encode_jpeg(array: Array, layout: Layout, syntax: Syntax, quality: int) -> bytes:
    bits = 12 if syntax.uid == JPEG_EXTENDED and layout.stored > 8 else 8
    if int(array.max(initial=0)) >= 1 << bits:
        raise PixelFailure("unsupported", f"the pixels use more than {bits} bits")
    narrow = array.astype(np.uint8 if bits == 8 else np.uint16)
    if layout.samples == 1:
        return bytes(_codecs().jpeg8_encode(narrow, level=quality, bitspersample=bits))
    inside = "YCBCR" if layout.photometric.startswith("YBR") else "RGB"
    coded = _codecs().jpeg8_encode(
        narrow, level=quality, colorspace=inside, outcolorspace="YCBCR", subsampling="422", bitspersample=bits
    )
    return bytes(coded)


def _encode_jpeg_lossless(array: Array, layout: Layout, syntax: Syntax, quality: int) -> bytes:
    plain = _unsigned(array)
    same = {} if layout.samples == 1 else {"colorspace": "RGB", "outcolorspace": "RGB"}
    bits = plain.dtype.itemsize * 8
    return bytes(_codecs().jpeg8_encode(plain, lossless=True, predictor=1, bitspersample=bits, **same))


def _encode_jpeg_ls(array: Array, layout: Layout, syntax: Syntax, quality: int) -> bytes:
    near = 0 if syntax.lossless else max(1, round((100 - quality) / 5))
    return bytes(_codecs().jpegls_encode(_unsigned(array), level=near))


def _encode_2000(array: Array, layout: Layout, syntax: Syntax, quality: int) -> bytes:
    mix = layout.samples == 3 and layout.photometric == "RGB"
    # signal to noise in decibels, of the range of the type; that of the pixels is what can be seen
    level = 0 if syntax.lossless else 25 + quality * 0.3 + 6.02 * _unused_bits(array)
    coded = _codecs().jpeg2k_encode(
        array, level=level, codecformat="j2k", reversible=syntax.lossless, mct=mix, numthreads=1
    )
    return bytes(coded)


def _encode_htj2k(array: Array, layout: Layout, syntax: Syntax, quality: int) -> bytes:
    mix = layout.samples == 3 and layout.photometric == "RGB"
    level = None if syntax.lossless else (101 - quality) * 0.0002 / 2 ** _unused_bits(array)
    return bytes(_codecs().htj2k_encode(array, level=level, reversible=syntax.lossless, rgb=mix))


def _unused_bits(array: Array) -> int:
    reach = int(array.max(initial=0)) - int(array.min(initial=0))
    return max(array.dtype.itemsize * 8 - reach.bit_length(), 0)


def _encode_rle(array: Array, layout: Layout, syntax: Syntax, quality: int) -> bytes:
    return encode_rle(array, layout)


_ENCODERS: dict[str, Callable[[Array, Layout, Syntax, int], bytes]] = {
    "rle": _encode_rle,
    "jpeg": _encode_jpeg,
    "jpeg-lossless": _encode_jpeg_lossless,
    "jpeg-ls": _encode_jpeg_ls,
    "jpeg-2000": _encode_2000,
    "htj2k": _encode_htj2k,
}


def coded_photometric(photometric: str, target: Syntax) -> str:
    """Return the photometric interpretation of frames that were encoded from pixels of another one."""
    if target.codec == "jpeg" and photometric in ("RGB", "YBR_FULL"):
        return "YBR_FULL_422"
    if target.codec in ("jpeg-2000", "htj2k") and photometric == "RGB":
        return "YBR_RCT" if target.lossless else "YBR_ICT"
    return photometric


def _said(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:120]


def _codecs() -> Any:
    return importlib.import_module("imagecodecs")

"""Transcoding: the attributes of an object in another transfer syntax, and the bytes around its frames."""

import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from pydicom import dcmwrite
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID

from dicomweb.pixels.faults import PixelFailure
from dicomweb.pixels.layout import Layout
from dicomweb.pixels.syntaxes import DEFLATED, EXPLICIT, IMPLICIT, Syntax

_TAGS = {"integer": 0x7FE00010, "float": 0x7FE00008, "double": 0x7FE00009}
_VRS = {"float": b"OF", "double": b"OD"}
_PREAMBLE = 132
_END = b"\xfe\xff\xdd\xe0\0\0\0\0"


@dataclass(frozen=True, slots=True)
class Written:
    """The beginning of a Part 10 object. meta: preamble and File Meta Information. data: the data set before its
    pixels."""

    meta: bytes
    data: bytes


def written(dataset: Any, target: str) -> Written:
    """Encode the attributes of an object for a transfer syntax.

    Raises:
        PixelFailure: an attribute cannot be encoded there.
    """
    buffer = io.BytesIO()
    dataset.preamble = dataset.preamble or b"\0" * 128
    dataset.file_meta.FileMetaInformationGroupLength = 0
    dataset.file_meta.TransferSyntaxUID = UID(EXPLICIT if target == DEFLATED else target)
    try:
        dcmwrite(buffer, dataset, implicit_vr=target == IMPLICIT, little_endian=True, force_encoding=True)
    except Exception as error:  # values that are illegal raise whatever their reader raises
        raise PixelFailure(
            "unsupported", f"an attribute of the object cannot be encoded anew: {error}"[:300]
        ) from error
    whole = buffer.getvalue()
    start = _PREAMBLE + 12 + int.from_bytes(whole[_PREAMBLE + 8 : _PREAMBLE + 12], "little")
    meta = io.BytesIO()
    dataset.file_meta.TransferSyntaxUID = UID(target)
    write_file_meta_info(meta, dataset.file_meta, enforce_standard=False)
    return Written(whole[:_PREAMBLE] + meta.getvalue(), whole[start:])


def with_pixels_of(dataset: Any, layout: Layout, target: Syntax, source: Syntax, ratio: float) -> None:
    """Say in the attributes what their pixels are now."""
    if layout.samples > 1:
        dataset.PlanarConfiguration = layout.planar
    dataset.PhotometricInterpretation = layout.photometric
    if not target.lossless and source.lossless:
        before = dataset.get("LossyImageCompressionRatio")
        ratios = [] if before is None else [*(before if not isinstance(before, float | int | str) else [before])]
        methods = dataset.get("LossyImageCompressionMethod") or []
        dataset.LossyImageCompression = "01"
        dataset.LossyImageCompressionRatio = [*ratios, f"{ratio:.4g}"]
        dataset.LossyImageCompressionMethod = [*([methods] if isinstance(methods, str) else methods), target.method]
    if not target.native:
        for keyword in ("BitsAllocated", "BitsStored"):
            if keyword not in dataset:
                setattr(dataset, keyword, layout.allocated)


def element_before(layout: Layout, target: Syntax) -> bytes:
    """Return the head of the element of pixels: tag, type, length, and an empty offset table where it has frames."""
    tag = _TAGS[layout.number]
    start = (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little")
    if not target.native:
        return start + b"OB\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\0\0\0\0"
    bits = layout.frame_bits * layout.frames
    size = (bits + 7) // 8
    length = (size + size % 2).to_bytes(4, "little") if size < 0xFFFFFFFE else b""
    if not length:
        raise PixelFailure("unsupported", "uncompressed pixels of four gigabytes have no place in an object")
    if target.uid == IMPLICIT:
        return start + length
    return start + _VRS.get(layout.number, b"OW" if layout.allocated > 8 else b"OB") + b"\0\0" + length


def item_of(frame: bytes) -> bytes:
    """Return a compressed frame as an item."""
    padded = frame + b"\0" * (len(frame) % 2)
    return b"\xfe\xff\x00\xe0" + len(padded).to_bytes(4, "little") + padded


def element_after(layout: Layout, target: Syntax) -> bytes:
    """Return what ends the element of pixels."""
    if not target.native:
        return _END
    return b"\0" * ((layout.frame_bits * layout.frames + 7) // 8 % 2)


async def deflated(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Deflate as the transfer syntax does: without a header, padded to an even length."""
    import zlib

    squeezer, size = zlib.compressobj(wbits=-zlib.MAX_WBITS), 0
    async for chunk in chunks:
        some = squeezer.compress(chunk)
        size += len(some)
        if some:
            yield some
    last = squeezer.flush()
    yield last + b"\0" * ((size + len(last)) % 2)

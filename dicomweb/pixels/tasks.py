"""What workers do. Arguments and results are plain values."""

from collections.abc import Callable, Sequence
from typing import Any

from dicomweb.deidentify.instance import deidentified
from dicomweb.pixels.codecs import coded_photometric, decode_frame, encode_frame, syntax_of
from dicomweb.pixels.layout import Layout
from dicomweb.pixels.native import native_layout
from dicomweb.pixels.rendering import render_document, render_frames


def transcode(frames: Sequence[bytes], layout: dict[str, Any], source: str, target: str, quality: int) -> Any:
    """Return frames in another transfer syntax, and the photometric interpretation that they have there."""
    shape, found, photometric = Layout(**layout), [], ""
    for frame in frames:
        decoded = decode_frame(frame, shape, source)
        found.append(encode_frame(decoded.array, native_layout(shape, decoded.photometric), target, quality))
        photometric = coded_photometric(decoded.photometric, syntax_of(target))
    return {"frames": found, "photometric": photometric}


def deidentify(content: bytes, options: dict[str, bool], secret: bytes, boxes: Sequence[dict[str, Any]]) -> Any:
    """Return a Part 10 object without anybody's identity."""
    return deidentified(content, options, secret, boxes)


TASKS: dict[str, Callable[..., Any]] = {
    "transcode": transcode,
    "deidentify": deidentify,
    "render": render_frames,
    "document": render_document,
}

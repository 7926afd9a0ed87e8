"""Rendering: frames of an instance, or its document, as people see them. Plain values in and out, for workers."""

import io
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID

from dicomweb.pixels import documents
from dicomweb.pixels.asked import Asked, asked_from
from dicomweb.pixels.codecs import decode_frame
from dicomweb.pixels.colour import rgb_of
from dicomweb.pixels.faults import PixelFailure
from dicomweb.pixels.layout import Layout, layout_of
from dicomweb.pixels.native import Array
from dicomweb.pixels.overlays import overlay_of
from dicomweb.pixels.pictures import annotated, cropped, encoded, picture_of
from dicomweb.pixels.syntaxes import BIG_ENDIAN, EXPLICIT
from dicomweb.pixels.windowing import grey_of, shown

_MILLISECONDS = 100.0
_BRIGHTEST = 255


def head_of(head: bytes) -> Any:
    """Read the attributes of an instance. Raises PixelFailure: they cannot be read."""
    try:
        return _little(dcmread(io.BytesIO(head), force=True, stop_before_pixels=True))
    except (InvalidDicomError, OSError, ValueError, KeyError, AttributeError, TypeError, NotImplementedError) as error:
        raise PixelFailure("refused", "the attributes of the object cannot be read") from error


@lru_cache(maxsize=16)
def _read(head: bytes) -> Any:
    """Keep what was read last: frames of one object are asked for one after the other, and are all of one head."""
    return head_of(head)


def _little(dataset: Any) -> Any:
    """Swap the words of big endian look-up tables, which the reader leaves as bytes in their order."""
    if str(getattr(dataset, "file_meta", {}).get("TransferSyntaxUID", "")) == BIG_ENDIAN:
        for element in dataset:
            if element.VR == "OW" and isinstance(element.value, bytes):
                element.value = (
                    np.frombuffer(element.value[: len(element.value) // 2 * 2], ">u2").astype("<u2").tobytes()
                )
    return dataset


def render_frames(
    head: bytes, frames: Sequence[bytes], numbers: Sequence[int], source: str, asked: dict[str, Any]
) -> dict[str, Any]:
    """Render frames, whose numbers count from 0.

    Raises:
        PixelFailure: they cannot be decoded or shown.
    """
    dataset, wish = _read(head), asked_from(asked)
    if source == EXPLICIT and str(getattr(dataset, "file_meta", {}).get("TransferSyntaxUID", "")) == BIG_ENDIAN:
        dataset.file_meta.TransferSyntaxUID = UID(EXPLICIT)  # as its frames and tables are by now
    layout = layout_of(dataset)
    lines = annotation_lines(dataset, wish.annotation)
    images = []
    for data, number in zip(frames, numbers, strict=True):
        array = _seen(dataset, layout, data, source, number, wish)
        images.append(annotated(picture_of(array, wish.viewport), lines))
    if not images:
        raise PixelFailure("unsupported", "there is no frame to show")
    body = encoded(images, wish, milliseconds_of(dataset), _own_profile(dataset))
    return {"body": body, "media": wish.media}


def render_document(content: bytes, asked: dict[str, Any]) -> dict[str, Any]:
    """Render a document (PDF, structured report) of a whole Part 10 object. Raises PixelFailure."""
    wish = asked_from(asked)
    body, media = documents.rendered(content, wish)
    return {"body": body, "media": media}


def _seen(dataset: Any, layout: Layout, data: bytes, source: str, number: int, asked: Asked) -> Array:
    frame = decode_frame(data, layout, source)
    raw = cropped(frame.array, asked.viewport)
    if frame.photometric.startswith("MONOCHROME"):
        array = shown(raw, layout, grey_of(dataset, number), asked)
    else:
        array = rgb_of(raw, frame.photometric, layout, dataset)
    marks = overlay_of(dataset, frame.array, number) if asked.overlays else None
    if marks is not None:
        array = array.copy()
        array[cropped(marks, asked.viewport)] = _BRIGHTEST
    return array


def milliseconds_of(dataset: Any) -> float:
    """Return for how long a frame is shown."""
    for keyword, of in (("FrameTime", 1.0), ("RecommendedDisplayFrameRate", 1000.0), ("CineRate", 1000.0)):
        try:
            number = float(dataset.get(keyword) or 0)
        except (TypeError, ValueError):
            continue
        if number > 0:
            return max(number if of == 1.0 else of / number, 10.0)
    return _MILLISECONDS


def annotation_lines(dataset: Any, kinds: Sequence[str]) -> list[str]:
    """Return what stands in the corner: who it is, and how the image was made."""
    lines = []
    if "patient" in kinds:
        lines += [_texts(dataset, "PatientName"), _texts(dataset, "PatientID", "PatientBirthDate", "PatientSex")]
    if "technique" in kinds:
        lines += [_texts(dataset, "Modality", "StudyDate", "StudyDescription")]
        lines += [_texts(dataset, "SeriesDescription", "KVP", "ExposureTime", "XRayTubeCurrent", "SliceThickness")]
    return [line for line in lines if line]


def _texts(dataset: Any, *keywords: str) -> str:
    return " ".join(str(dataset.get(keyword)) for keyword in keywords if dataset.get(keyword) not in (None, ""))


def _own_profile(dataset: Any) -> bytes:
    path = (dataset.get("OpticalPathSequence") or [dataset])[0]
    profile = dataset.get("ICCProfile") or path.get("ICCProfile") or b""
    return bytes(profile)

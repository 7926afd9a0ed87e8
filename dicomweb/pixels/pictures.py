"""Pictures: arrays of 8 bits become JPEG, PNG, GIF or MP4, within a viewport and with annotations."""

import importlib
import io
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from dicomweb.pixels.asked import Asked, Viewport
from dicomweb.pixels.faults import PixelFailure
from dicomweb.pixels.native import Array

MOVIE_SECONDS = 120
_RUNS = 3  # the strategy of zlib that is made for PNG: faster than its default here, and smaller


def cropped(array: Array, viewport: Viewport | None) -> Array:
    """Return the part of a frame that a viewport names, flipped where its sizes are negative."""
    if viewport is None:
        return array
    rows, columns = array.shape[:2]
    across, down = viewport.across or columns - viewport.left, viewport.down or rows - viewport.top
    part = array[viewport.top : viewport.top + abs(down), viewport.left : viewport.left + abs(across)]
    if part.size == 0:
        raise PixelFailure("unsupported", f"the viewport lies outside of the image of {columns} x {rows}")
    return part[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]


def picture_of(array: Array, viewport: Viewport | None) -> Any:
    """Return a Pillow image, as large as fits into the viewport; its proportions stay."""
    image = _pillow("Image").fromarray(np.ascontiguousarray(array))
    if viewport is None:
        return image
    scale = min(viewport.width / image.width, viewport.height / image.height)
    size = max(round(image.width * scale), 1), max(round(image.height * scale), 1)
    if size == image.size:
        return image
    return image.resize(size, _pillow("Image").Resampling.BILINEAR, reducing_gap=1.0)


def annotated(image: Any, lines: Sequence[str]) -> Any:
    """Return an image with lines of text in its upper left corner, light on dark so that they can be read."""
    if not lines:
        return image
    size = max(10, min(image.height // 32, 28))
    font = _pillow("ImageFont").load_default(size)
    canvas = image if image.mode in ("L", "RGB") else image.convert("RGB")
    draw = _pillow("ImageDraw").Draw(canvas)
    for number, line in enumerate(lines):
        where = (size // 2, size // 2 + number * (size + 4))
        draw.text(where, line[:80], 255 if canvas.mode == "L" else (255, 255, 255), font, stroke_width=2, stroke_fill=0)
    return canvas


def encoded(images: Sequence[Any], asked: Asked, milliseconds: float, profile: bytes) -> bytes:
    """Return images in the media type that was asked for; only GIF and MP4 hold more than one.

    Raises:
        PixelFailure: it is none that is made here.
    """
    if asked.media == "video/mp4":
        return _movie([image.convert("RGB") for image in images], milliseconds)
    buffer, first = io.BytesIO(), images[0]
    extra: dict[str, Any] = {"icc_profile": _profile(asked.profile, profile)} if asked.profile != "no" else {}
    if asked.media == "image/jpeg":
        first.save(buffer, "JPEG", quality=asked.quality, **extra)
    elif asked.media == "image/png":
        first.save(buffer, "PNG", compress_level=1, compress_type=_RUNS, **extra)
    elif asked.media == "image/gif":
        more: dict[str, Any] = {"save_all": True, "append_images": list(images[1:]), "loop": 0}
        first.save(buffer, "GIF", **(more if len(images) > 1 else {}), duration=max(round(milliseconds), 20))
    else:
        raise PixelFailure("unsupported", f"pictures are not made as {asked.media[:40]}")
    return buffer.getvalue()


def _profile(name: str, own: bytes) -> bytes:
    """Return the profile of the image, or that of sRGB, which is what images without one are in."""
    if name == "yes" and own:
        return own
    colours = _pillow("ImageCms")
    return bytes(colours.ImageCmsProfile(colours.createProfile("sRGB")).tobytes())


def movies() -> str:
    """Return the path of ffmpeg; empty where it is not installed."""
    return shutil.which("ffmpeg") or ""


def _movie(images: Sequence[Any], milliseconds: float) -> bytes:
    program = movies()
    if not program:
        raise PixelFailure("unsupported", "films need ffmpeg, which is not installed on the server")
    width, height = images[0].size
    rate = f"{1000 / max(milliseconds, 1):.3f}"
    line = [program, "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", rate]
    line += ["-i", "pipe:0", "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p", "-f", "mp4"]
    line += ["-movflags", "frag_keyframe+empty_moov", "pipe:1"]
    raw = b"".join(_raw(images))
    try:
        done = subprocess.run(line, input=raw, capture_output=True, timeout=MOVIE_SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PixelFailure("unsupported", "ffmpeg did not make a film of it in time") from error
    if done.returncode or not done.stdout:
        raise PixelFailure("unsupported", "ffmpeg could not make a film of it")
    return done.stdout


def _raw(images: Iterable[Any]) -> Iterable[bytes]:
    return (image.tobytes() for image in images)


def _pillow(name: str) -> Any:
    return importlib.import_module(f"PIL.{name}")

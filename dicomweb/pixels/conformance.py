"""Conformance: what this part does to pixels, in sentences for docs/dicom.md."""

from typing import Final

from dicomweb.pixels.asked import ANNOTATIONS, PRESETS, PROFILES
from dicomweb.pixels.syntaxes import SYNTAXES

_TO = ", ".join(uid for uid, syntax in SYNTAXES.items() if syntax.written)
_FROM = ", ".join(uid for uid, syntax in SYNTAXES.items() if not syntax.written and syntax.codec != "video")
_PRESETS = ", ".join(f"`{name}`" for name in PRESETS)

SAID: Final = (
    f"Transcoded among {_TO}; read besides: {_FROM}. Lossless ones give every bit back; lossy ones say so in the "
    "object, which keeps its UID. One-bit and floating point pixels are never compressed, 32-bit ones by RLE alone.",
    "Rendered: modality LUT or rescale, VOI LUT or window (linear, linear-exact, sigmoid), palettes (segmented ones "
    "too), YBR, MONOCHROME1, presentation LUT shape, padding, overlays; frames by their own functional groups.",
    f"Parameters: `window`, `viewport`, `quality`, `annotation` ({', '.join(ANNOTATIONS)}), `iccprofile` "
    f"({', '.join(PROFILES)}); our own: `preset` (a window of the image by its name, or {_PRESETS}), "
    "`overlays=false`, `page` of a document.",
    "Structured reports are rendered as `text/html` or `text/plain`; PDF as it is, or a page of it as a picture; "
    "several frames as GIF, and as MP4 where ffmpeg is installed; MPEG transfer syntaxes as they are.",
    "Codecs run in worker processes with limits of time and memory; one that crashes is replaced, and its request "
    "answered.",
)

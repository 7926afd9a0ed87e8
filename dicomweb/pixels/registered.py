"""What this part adds to the server."""

from typing import TYPE_CHECKING, cast

from dicomweb.doors import codec
from dicomweb.model.part import Part
from dicomweb.pixels import process
from dicomweb.pixels.asked import PRESETS
from dicomweb.pixels.syntaxes import SYNTAXES
from dicomweb.settings import DicomSettings
from fhir_server.plugin_api import Host, Metric

if TYPE_CHECKING:
    from dicomweb.pixels.codec import PixelCodec


_TO = ", ".join(uid for uid, syntax in SYNTAXES.items() if syntax.written)
_FROM = ", ".join(uid for uid, syntax in SYNTAXES.items() if not syntax.written and syntax.codec != "video")
_SAID = (
    f"Transcoded among {_TO}; read besides: {_FROM}. Lossless ones give every bit back; lossy ones say so in the object, "
    "which keeps its UID. One-bit and floating point pixels are never compressed, 32-bit ones by RLE alone.",
    "Rendered: modality LUT or rescale, VOI LUT or window (linear, linear-exact, sigmoid), palettes (segmented ones too), "
    "YBR, MONOCHROME1, presentation LUT shape, padding, overlays; frames of functional groups each by their own.",
    "Parameters: `window`, `viewport`, `quality`, `annotation` (patient, technique), `iccprofile` (no, yes, srgb); our own: "
    "`preset` (a window of the image by its name, or " + ", ".join(f"`{name}`" for name in PRESETS) + "), "
    "`overlays=false`, `page` of a document.",
    "Structured reports are rendered as `text/html` or `text/plain`, PDF as it is or a page of it as a picture, several "
    "frames as GIF, as MP4 where ffmpeg is installed; MPEG transfer syntaxes as they are.",
    "Codecs run in worker processes with limits of time and memory; one that crashes is replaced, and its request answered.",
)


def part(settings: DicomSettings) -> Part:
    """Return routes, collections and the like."""
    lost = Metric("dicomweb_codec_workers_lost", "Workers that crashed or were too slow.", _lost, "counter")
    return Part(stop=(_stop,), metrics=(lost,), conformance={"Transcoding and rendering": _SAID})


def _lost() -> dict[tuple[str, ...], float]:
    return {(): float(process.lost)}


async def _stop(host: Host) -> None:
    if "codec" in host.shared:
        await cast("PixelCodec", codec(host)).close()

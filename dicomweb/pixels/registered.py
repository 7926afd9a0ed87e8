"""What this part adds to the server."""

from typing import TYPE_CHECKING, cast

from dicomweb.doors import codec
from dicomweb.model.part import Part
from dicomweb.pixels import process
from dicomweb.pixels.conformance import SAID
from dicomweb.settings import DicomSettings
from fhir_server.plugin_api import Host, Metric

if TYPE_CHECKING:
    from dicomweb.pixels.codec import PixelCodec


def part(settings: DicomSettings) -> Part:
    """Return routes, collections and the like."""
    lost = Metric("codec_workers_lost", "Workers that crashed or were too slow.", _lost, "counter")
    return Part(stop=(_stop,), metrics=(lost,), conformance={"Transcoding and rendering": SAID})


def _lost() -> dict[tuple[str, ...], float]:
    return {(): float(process.lost)}


async def _stop(host: Host) -> None:
    if "codec" in host.shared:
        await cast("PixelCodec", codec(host)).close()

"""What this part adds to the server."""

from typing import TYPE_CHECKING, cast

from dicomweb.doors import codec
from dicomweb.model.part import Part
from dicomweb.settings import DicomSettings
from fhir_server.plugin_api import Host

if TYPE_CHECKING:
    from dicomweb.pixels.codec import PixelCodec


def part(settings: DicomSettings) -> Part:
    """Return routes, collections and the like."""
    return Part(stop=(_stop,))


async def _stop(host: Host) -> None:
    if "codec" in host.shared:
        await cast("PixelCodec", codec(host)).close()

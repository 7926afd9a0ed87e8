"""What this part adds to the server."""

from dicomweb.model.part import Part
from dicomweb.settings import DicomSettings
from dicomweb.viewer.serving import pages, routes


def part(settings: DicomSettings) -> Part:
    """Return routes, collections and the like."""
    return Part(routes=routes(), pages=pages())

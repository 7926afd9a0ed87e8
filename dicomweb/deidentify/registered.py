"""What this part adds to the server."""

from dicomweb.deidentify.export import operation
from dicomweb.deidentify.retrieval import SECRETS
from dicomweb.model.part import Part
from dicomweb.settings import DicomSettings


def part(settings: DicomSettings) -> Part:
    """Return routes, collections and the like."""
    return Part(operations=(operation(),), collections=(SECRETS,))

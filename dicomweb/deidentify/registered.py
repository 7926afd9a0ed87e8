"""What this part adds to the server."""

from importlib.resources import files

from dicomweb.deidentify.retrieval import SECRETS
from dicomweb.lazily import later
from dicomweb.model.part import Part
from dicomweb.settings import DicomSettings
from fhir_server.plugin_api import Operation, decode, facts_of


def part(settings: DicomSettings) -> Part:
    """Return routes, collections and the like."""
    return Part(operations=(operation(),), collections=(SECRETS,))


def operation() -> Operation:
    """Return `ImagingStudy/$deidentify`."""
    facts = facts_of(decode(files("dicomweb.deidentify").joinpath("deidentify.json").read_bytes()))
    said = "Studies without anybody's identity (PS3.15 Basic Profile and options), as a ZIP of DICOM objects."
    work = later("dicomweb.deidentify.export:deidentify")
    return Operation(facts, work, said, background=True, any_format=True)

"""What the archive and DICOMweb add to the server."""

from dicomweb.fhir.assigning import CONSUMER as FOLLOW
from dicomweb.fhir.derived import CONSUMER as DERIVE
from dicomweb.fhir.operations import OPERATIONS
from dicomweb.index.collections import ALL
from dicomweb.lifecycle.clockwork import SCHEDULED, started, stopped
from dicomweb.lifecycle.rules import SCHEDULED as OLD
from dicomweb.model.part import Part
from dicomweb.routes import ROUTES
from dicomweb.settings import DicomSettings


def part(settings: DicomSettings) -> Part:
    """Return routes, collections and the like."""
    return Part(
        routes=ROUTES, collections=ALL, operations=OPERATIONS, consumers=(FOLLOW, DERIVE), scheduled=(*SCHEDULED, OLD),
        start=(started,), stop=(stopped,),
    )  # fmt: skip

"""What the archive and DICOMweb add to the server. Nothing heavy is imported here: see lazily.py."""

from typing import Final

from dicomweb.fhir.definitions import ASSIGN, HOLD, REBUILD
from dicomweb.index.collections import ALL
from dicomweb.lazily import later
from dicomweb.lifecycle.clockwork import finish, started, stopped, sum_up
from dicomweb.lifecycle.guarding import CHECKS
from dicomweb.model.part import Part
from dicomweb.settings import DicomSettings
from fhir_server.plugin_api import Consumer, Operation, Route, Scheduled, facts_of

ROUTES: Final = (
    Route("/dicomweb", later("dicomweb.routes:answer"), ("GET",), sums_up=True, cross_origin=True),
    Route("/dicomweb", later("dicomweb.routes:options"), ("OPTIONS",), public=True, cross_origin=True),
    Route("/dicomweb/{rest:path}", later("dicomweb.routes:options"), ("OPTIONS",), public=True, cross_origin=True),
    Route(
        "/dicomweb/{rest:path}",
        later("dicomweb.routes:answer"),
        ("GET", "POST", "DELETE"),
        sums_up=True,
        cross_origin=True,
    ),
    Route("/wado", later("dicomweb.routes:options"), ("OPTIONS",), public=True, cross_origin=True),
    Route("/wado", later("dicomweb.routes:by_uri"), sums_up=True, cross_origin=True),
)
OPERATIONS: Final = (
    Operation(facts_of(ASSIGN), later("dicomweb.fhir.assigning:assign_patient"), "Say whose a study is."),
    Operation(facts_of(HOLD), later("dicomweb.fhir.operations:legal_hold"), "Keep a study from being deleted."),
    Operation(facts_of(REBUILD), later("dicomweb.fhir.operations:rebuilt"), "Write what is derived from a study anew."),
)
CONSUMERS: Final = (
    Consumer("dicomweb.follow", later("dicomweb.fhir.assigning:follow"), types=("ImagingStudy",)),
    Consumer("dicomweb.derive", later("dicomweb.fhir.derived:derive"), types=("ImagingStudy",)),
)
SCHEDULED: Final = (
    Scheduled("dicomweb.finish", finish, every=60, each_tenant=True),
    Scheduled("dicomweb.sums", sum_up, every=600, each_tenant=True),
    Scheduled("dicomweb.old", later("dicomweb.lifecycle.rules:grow_old"), every=3_600, each_tenant=True, timeout=1_200),
)


def part(settings: DicomSettings) -> Part:
    """Return routes, collections and the like."""
    return Part(
        routes=ROUTES, collections=ALL, operations=OPERATIONS, consumers=CONSUMERS, scheduled=SCHEDULED,
        write_checks=CHECKS, start=(started,), stop=(stopped,),
    )  # fmt: skip

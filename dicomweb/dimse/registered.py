"""What DIMSE adds to the server."""

import asyncio

from dicomweb.dimse.commands import COMMAND
from dicomweb.dimse.conformance import SAID
from dicomweb.dimse.numbers import METRICS
from dicomweb.dimse.outbox import ERRANDS
from dicomweb.dimse.promises import PROMISES, SENT
from dicomweb.dimse.rules import CONSUMERS
from dicomweb.dimse.tables import tables_of
from dicomweb.lazily import later
from dicomweb.model.part import Part
from dicomweb.settings import DicomSettings
from dicomweb.worklist.commitments import COMMITMENTS
from dicomweb.worklist.steps import STEPS
from fhir_server.plugin_api import Background, HealthCheck, Host


def part(settings: DicomSettings) -> Part:
    """Return the listener where a port is set, the outbox where there is a table, and what both keep."""
    background = []
    if settings.dimse_port or settings.dimse_tls_port:
        background.append(Background("dimse", later("dicomweb.dimse.listener:listen")))
    if settings.dimse_table is not None:
        background.append(Background("dimse outbox", later("dicomweb.dimse.errands:work")))
    return Part(
        collections=(ERRANDS, PROMISES, SENT, COMMITMENTS, STEPS),
        consumers=CONSUMERS if settings.dimse_table is not None else (),
        background=tuple(background),
        commands=(COMMAND,),
        health_checks=(HealthCheck("dimse", _healthy),),
        metrics=METRICS,
        conformance={"DIMSE": SAID},
    )


async def _healthy(host: Host) -> str | None:
    """Tell what is wrong with the table of AEs; the ports are opened in one process of several."""
    table = await asyncio.to_thread(lambda: tables_of(host))
    return table.fault or None

"""The hooks of imaging: what each part registers, put together."""

from typing import Any, cast

from dicomweb.deidentify.registered import part as deidentify
from dicomweb.dimse.registered import part as dimse
from dicomweb.model.part import Part
from dicomweb.pixels.registered import part as pixels
from dicomweb.registered import part as core
from dicomweb.service import Imaging
from dicomweb.settings import DicomSettings
from dicomweb.ups.registered import part as ups
from dicomweb.viewer.registered import part as viewer
from fhir_server.plugin_api import (
    Background,
    Collection,
    Command,
    Consumer,
    HealthCheck,
    Host,
    Metric,
    Operation,
    Page,
    Route,
    Scheduled,
    SocketRoute,
    WriteCheck,
    hookimpl,
)

_DEFAULTS = DicomSettings.model_validate({})


def parts(settings: DicomSettings) -> tuple[Part, ...]:
    """Return what all parts register. Exact paths come before those with `{rest:path}`: the web's own comes last."""
    return tuple(made(settings) for made in (ups, viewer, deidentify, pixels, dimse, core))


@hookimpl
def register_routes(settings: DicomSettings) -> list[Route | SocketRoute]:
    """Add DICOMweb."""
    return [each for part in parts(settings) for each in part.routes]


@hookimpl
def register_pages(settings: DicomSettings) -> list[Page]:
    """Add the viewer."""
    return [each for part in parts(settings) for each in part.pages]


@hookimpl
def register_operations(settings: DicomSettings) -> list[Operation]:
    """Add operations on studies."""
    return [each for part in parts(settings) for each in part.operations]


@hookimpl
def register_collections() -> list[Collection]:
    """Keep the index."""
    return [each for part in parts(_DEFAULTS) for each in part.collections]


@hookimpl
def register_consumers(settings: DicomSettings) -> list[Consumer]:
    """Follow the record."""
    return [each for part in parts(settings) for each in part.consumers]


@hookimpl
def register_scheduled_jobs(settings: DicomSettings) -> list[Scheduled]:
    """Finish, scrub, sweep."""
    return [each for part in parts(settings) for each in part.scheduled]


@hookimpl
def register_background(settings: DicomSettings) -> list[Background]:
    """Listen to DIMSE."""
    return [each for part in parts(settings) for each in part.background]


@hookimpl
def register_commands() -> list[Command]:
    """Add `fhir-server dicom`."""
    return [each for part in parts(_DEFAULTS) for each in part.commands]


@hookimpl
def register_health_checks(settings: DicomSettings) -> list[HealthCheck]:
    """Tell whether objects can be stored and shown."""
    return [each for part in parts(settings) for each in part.health_checks]


@hookimpl
def register_metrics(settings: DicomSettings) -> list[Metric]:
    """Count."""
    return [each for part in parts(settings) for each in part.metrics]


@hookimpl
def register_write_checks(settings: DicomSettings) -> list[WriteCheck]:
    """Look at writes."""
    return [each for part in parts(settings) for each in part.write_checks]


@hookimpl
def register_services(settings: DicomSettings) -> dict[str, object]:
    """Let other plugins in."""
    return {"imaging": Imaging()}


@hookimpl
def amend_capabilities(statement: dict[str, Any]) -> dict[str, Any]:
    """Leave the statement as it is: DICOMweb has one of its own."""
    return statement


@hookimpl
async def on_start(host: Host) -> None:
    """Start what each process needs."""
    cast("Imaging", host.provided["imaging"]).host = host
    for part in parts(host.settings):
        for start in part.start:
            await start(host)


@hookimpl
async def on_stop(host: Host) -> None:
    """End it."""
    for part in parts(host.settings):
        for stop in part.stop:
            await stop(host)

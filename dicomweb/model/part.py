"""Part: what one folder of this package registers with the server; plugin.py puts them together."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

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
)


@dataclass(frozen=True, slots=True)
class Part:
    """Values of the hooks of docs/plugins.md; all may be empty.

    start, stop: called in each process of the server.
    conformance: sentences for docs/dicom.md, by heading.
    """

    routes: tuple[Route | SocketRoute, ...] = ()
    pages: tuple[Page, ...] = ()
    operations: tuple[Operation, ...] = ()
    collections: tuple[Collection, ...] = ()
    consumers: tuple[Consumer, ...] = ()
    scheduled: tuple[Scheduled, ...] = ()
    background: tuple[Background, ...] = ()
    commands: tuple[Command, ...] = ()
    health_checks: tuple[HealthCheck, ...] = ()
    metrics: tuple[Metric, ...] = ()
    write_checks: tuple[WriteCheck, ...] = ()
    start: tuple[Callable[[Host], Awaitable[None]], ...] = ()
    stop: tuple[Callable[[Host], Awaitable[None]], ...] = ()
    conformance: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

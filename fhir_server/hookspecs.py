"""Every hook of the server: its kind, arguments, result, and what it may raise.

Three kinds (docs/plugins.md): *register* hooks run once at the start, are plain functions and return what their plugin
adds; *decide* is what the values of WriteCheck and Interceptor do within a request, async, and they may raise
FhirError; *observe* hooks run beside requests, async, and a failure is logged, counted and shown in health.

`settings` is the plugin's own settings, an instance of the model that its manifest names.
"""

# mypy: disable-error-code="empty-body"
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from pydantic import BaseModel

    from fhir_server.audit.keeper import Sink
    from fhir_server.feed import Consumer, Scheduled
    from fhir_server.operations.operation import CoreOperation
    from fhir_server.plugin_host.context import Host
    from fhir_server.plugins.registrations import (
        Background,
        Command,
        HealthCheck,
        Interceptor,
        Metric,
        Migration,
        Page,
        Route,
        ScopeWords,
        SocketRoute,
        WriteCheck,
    )
    from fhir_server.storage.base import Collection

PROJECT = "fhir_server"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def register_operations(settings: BaseModel) -> Sequence[CoreOperation]:
    """Register: operations, each with its OperationDefinition. Two of one code on one type and level: no start."""


@hookspec
def register_routes(settings: BaseModel) -> Sequence[Route | SocketRoute]:
    """Register: paths of HTTP and WebSockets below the root of each tenant."""


@hookspec
def register_pages(settings: BaseModel) -> Sequence[Page]:
    """Register: pages for people."""


@hookspec
def register_search_parameters() -> Sequence[Mapping[str, Any]]:
    """Register: SearchParameter resources that are in force in every tenant."""


@hookspec
def register_resource_types() -> Sequence[Mapping[str, Any]]:
    """Register: StructureDefinitions (with snapshot) of resource types that R4 lacks."""


@hookspec
def register_conformance() -> Sequence[Mapping[str, Any]]:
    """Register: CodeSystems, ValueSets, StructureDefinitions and the like that are in force in every tenant."""


@hookspec
def register_collections() -> Sequence[Collection]:
    """Register: collections of records, named `NAME.something` after the plugin. A higher version is migrated to."""


@hookspec
def register_migrations() -> Sequence[Migration]:
    """Register: steps from one version of a collection's records to the next."""


@hookspec
def register_write_checks(settings: BaseModel) -> Sequence[WriteCheck]:
    """Register: deciders over writes."""


@hookspec
def register_interceptors(settings: BaseModel) -> Sequence[Interceptor]:
    """Register: deciders over what is shown."""


@hookspec
def register_consumers(settings: BaseModel) -> Sequence[Consumer]:
    """Register: observers of the change feed, with durable cursors."""


@hookspec
def register_scheduled_jobs(settings: BaseModel) -> Sequence[Scheduled]:
    """Register: work on the clock."""


@hookspec
def register_background(settings: BaseModel) -> Sequence[Background]:
    """Register: work that goes on for as long as the server runs, in one process."""


@hookspec
def register_audit_sinks(settings: BaseModel) -> Sequence[Sink]:
    """Register: places that the audit is copied to, by the process that owns the folder; retention waits for them."""


@hookspec
def register_services(settings: BaseModel) -> Mapping[str, object]:
    """Register: services for other plugins, by the names that the manifest says it provides."""


@hookspec
def register_scopes() -> Sequence[ScopeWords]:
    """Register: scopes of its own."""


@hookspec
def register_commands() -> Sequence[Command]:
    """Register: subcommands of `fhir-server`."""


@hookspec
def register_health_checks(settings: BaseModel) -> Sequence[HealthCheck]:
    """Register: what `/health/ready` asks and shows."""


@hookspec
def register_metrics(settings: BaseModel) -> Sequence[Metric]:
    """Register: numbers of `/metrics`."""


@hookspec
def amend_capabilities(statement: dict[str, Any], settings: BaseModel) -> dict[str, Any]:
    """Register: return the CapabilityStatement with what the plugin adds to it; called when it is made."""


@hookspec
async def on_start(host: Host) -> None:
    """Observe: the server is open, in each of its processes."""


@hookspec
async def on_stop(host: Host) -> None:
    """Observe: the server is about to close."""

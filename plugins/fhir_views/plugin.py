"""The hooks of the plugin."""

from collections.abc import Sequence
from typing import Any

from fhir_server.plugin_api import Collection, Operation, Route, Scheduled, WriteCheck, hookimpl
from fhir_views import export, files, run
from fhir_views.checking import CHECK
from fhir_views.definitions import search_parameters, structure
from fhir_views.settings import ViewSettings

_SWEEP = 3600.0
"""Seconds between two looks for files that have expired."""


@hookimpl
def register_operations(settings: ViewSettings) -> Sequence[Operation]:
    """Add the operations on views."""
    return [*run.operations(), *export.operations()]


@hookimpl
def register_routes(settings: ViewSettings) -> Sequence[Route]:
    """Add the download of files."""
    return [files.ROUTE]


@hookimpl
def register_collections() -> Sequence[Collection]:
    """Add the records of files."""
    return [files.FILES]


@hookimpl
def register_scheduled_jobs(settings: ViewSettings) -> Sequence[Scheduled]:
    """Remove files that have expired."""
    return [Scheduled("files", files.sweep, every=_SWEEP, each_tenant=True)]


@hookimpl
def register_resource_types() -> Sequence[dict[str, Any]]:
    """Add ViewDefinition."""
    return [structure()]


@hookimpl
def register_search_parameters() -> Sequence[dict[str, Any]]:
    """Add the search parameters of ViewDefinition."""
    return search_parameters()


@hookimpl
def register_write_checks(settings: ViewSettings) -> Sequence[WriteCheck]:
    """Refuse views that cannot be compiled."""
    return [CHECK]

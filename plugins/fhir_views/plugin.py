"""The hooks of the plugin."""

from collections.abc import Sequence
from typing import Any

from fhir_server.plugin_api import Collection, Consumer, Operation, Route, Scheduled, WriteCheck, hookimpl
from fhir_views import export, files, run, sqlquery
from fhir_views.checking import CHECK
from fhir_views.definitions import search_parameters, structure
from fhir_views.engine import compile_view
from fhir_views.settings import ViewSettings
from fhir_views.tables.operations import operations as table_operations
from fhir_views.tables.query import Cache, Queries
from fhir_views.tables.query import operations as query_operations
from fhir_views.tables.records import PARTS, TABLES
from fhir_views.tables.upkeep import Upkeep, consumer, reconciliation

_UPKEEP = Upkeep()
_SWEEP = 3600.0
"""Seconds between two looks for files that have expired."""


@hookimpl
def register_operations(settings: ViewSettings) -> Sequence[Operation]:
    """Add the operations on views."""
    queries = Queries(_UPKEEP, Cache(settings.table_cache * 2**20))
    tabled = [*table_operations(_UPKEEP), *query_operations(queries)]
    return [*run.operations(), *export.operations(), *sqlquery.operations(), *tabled]


@hookimpl
def register_routes(settings: ViewSettings) -> Sequence[Route]:
    """Add the download of files."""
    return [files.ROUTE]


@hookimpl
def register_collections() -> Sequence[Collection]:
    """Add the records of files and tables."""
    return [files.FILES, TABLES, PARTS]


@hookimpl
def register_consumers(settings: ViewSettings) -> Sequence[Consumer]:
    """Keep tables fresh."""
    return [consumer(_UPKEEP)]


@hookimpl
def register_scheduled_jobs(settings: ViewSettings) -> Sequence[Scheduled]:
    """Remove files that have expired; make tables anew that are not what the record is."""
    sweep = Scheduled("files", files.sweep, every=_SWEEP, each_tenant=True)
    return [sweep, reconciliation(_UPKEEP, settings.reconcile_every)]


@hookimpl
def register_resource_types() -> Sequence[dict[str, Any]]:
    """Add ViewDefinition."""
    return [structure()]


@hookimpl
def register_search_parameters() -> Sequence[dict[str, Any]]:
    """Add the search parameters of ViewDefinition."""
    return search_parameters()


@hookimpl
def register_services() -> dict[str, object]:
    """Offer the compiler of views to other plugins: the JSON of a ViewDefinition in, a View out."""
    return {"view-compiler": compile_view}


@hookimpl
def register_write_checks(settings: ViewSettings) -> Sequence[WriteCheck]:
    """Refuse views that cannot be compiled."""
    return [CHECK]

"""The hooks of the plugin."""

from collections.abc import Sequence
from typing import Any

from fhir_server.plugin_api import Operation, WriteCheck, hookimpl
from fhir_views import run
from fhir_views.checking import CHECK
from fhir_views.definitions import search_parameters, structure
from fhir_views.settings import ViewSettings


@hookimpl
def register_operations(settings: ViewSettings) -> Sequence[Operation]:
    """Add the operations on views."""
    return run.operations()


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

"""SQL on FHIR: ViewDefinition as a resource, views run, exported and kept as tables."""

from fhir_server.plugin_api import Manifest
from fhir_views.settings import ViewSettings

MANIFEST = Manifest(
    name="fhir_views",
    version="1.0.0",
    module="fhir_views.plugin",
    summary="SQL on FHIR v2: ViewDefinition, $viewdefinition-run, $viewdefinition-export, materialized views.",
    hooks=(
        "register_operations", "register_routes", "register_resource_types", "register_search_parameters",
        "register_write_checks", "register_collections", "register_scheduled_jobs", "register_consumers",
        "register_services",
    ),
    provides=("view-compiler",),
    settings=ViewSettings,
    scopes=("system/*.rs",),
    extra="fhir-server[views]",
)  # fmt: skip

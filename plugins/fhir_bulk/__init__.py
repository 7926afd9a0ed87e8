"""Bulk data: `$export`, `$import` and `$bulk-match`, as files that are made beside requests."""

from fhir_bulk.settings import BulkSettings
from fhir_server.plugin_api import Manifest

MANIFEST = Manifest(
    name="fhir_bulk",
    version="1.0.0",
    module="fhir_bulk.plugin",
    summary="Exports and imports whole populations as NDJSON or Parquet.",
    hooks=(
        "amend_capabilities",
        "register_collections",
        "register_operations",
        "register_routes",
        "register_scheduled_jobs",
        "register_write_checks",
    ),
    settings=BulkSettings,
)

"""A plugin of the tests: one thing of each kind."""

from fhir_server.plugin_api import Manifest

MANIFEST = Manifest(
    name="probe",
    version="1.0",
    module="probe.plugin",
    summary="One thing of each kind.",
    hooks=(
        "amend_capabilities", "on_start", "register_collections", "register_health_checks", "register_interceptors",
        "register_metrics", "register_operations",
        "register_pages", "register_routes", "register_search_parameters", "register_write_checks",
    ),
    scopes=("system/Patient.crus",),
)  # fmt: skip

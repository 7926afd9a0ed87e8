"""CDS Hooks 2.0: decision support that other plugins give, called from within the workflow of an EHR."""

from fhir_cds_hooks.settings import CdsHooksSettings
from fhir_server.plugin_api import Manifest

MANIFEST = Manifest(
    name="fhir_cds_hooks",
    version="1.0.0",
    module="fhir_cds_hooks.plugin",
    summary="CDS Hooks 2.0 server that other plugins fill with services.",
    hooks=("register_collections", "register_routes", "register_scheduled_jobs", "register_services"),
    settings=CdsHooksSettings,
    provides=("cds-services",),
    sends="Requests for data to the servers in `fhir_servers`, with the token that the calling client gave for that.",
)

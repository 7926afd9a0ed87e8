"""A plugin whose operation works in steps, and goes on where it was."""

from fhir_server.plugin_api import Manifest

MANIFEST = Manifest(
    name="steps",
    version="1.0",
    module="steps.plugin",
    summary="works in steps",
    hooks=("register_operations",),
)

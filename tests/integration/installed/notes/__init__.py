"""A plugin that notes the changes that it is given in a file."""

from fhir_server.plugin_api import Manifest

MANIFEST = Manifest(
    name="notes",
    version="1.0",
    module="notes.plugin",
    summary="notes changes",
    hooks=("register_consumers", "register_scheduled_jobs"),
)

"""A plugin of the tests that misbehaves when it is told to."""

from fhir_server.plugin_api import Manifest

MANIFEST = Manifest(
    name="hanging", version="1.0", module="hanging.plugin", summary="Misbehaves.", hooks=("register_operations",)
)

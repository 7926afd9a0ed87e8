"""A plugin of the tests: takes orders of a laboratory by message."""

from fhir_server.plugin_api import Manifest

MANIFEST = Manifest(
    name="lab_orders",
    version="1.0",
    module="lab_orders.plugin",
    summary="Takes orders of a laboratory.",
    hooks=("on_start",),
    requires=("message-events",),
)

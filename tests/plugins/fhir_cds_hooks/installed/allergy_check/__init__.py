"""A plugin of the tests: warns of orders that the patient is allergic to."""

from fhir_server.plugin_api import Manifest

MANIFEST = Manifest(
    name="allergy_check",
    version="1.0",
    module="allergy_check.plugin",
    summary="Warns of orders that the patient is allergic to.",
    hooks=("on_start",),
    requires=("cds-services",),
)

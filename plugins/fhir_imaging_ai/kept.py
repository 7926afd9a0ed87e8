"""Kept: what the plugin remembers."""

from typing import Final

from fhir_server.plugin_api import Collection

DONE: Final = Collection("fhir_imaging_ai.done")
"""By image and version of a model: what became of it, so that it is looked at once."""

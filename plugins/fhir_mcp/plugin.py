"""The hooks of the plugin."""

from fhir_mcp.endpoint import Endpoint
from fhir_mcp.reading import reading_tools
from fhir_mcp.settings import McpSettings
from fhir_mcp.writing import writing_tools
from fhir_server.plugin_api import Route, hookimpl


@hookimpl
def register_routes(settings: McpSettings) -> list[Route]:
    """Add the endpoint and its metadata."""
    return Endpoint([*reading_tools(), *(writing_tools() if settings.allow_writes else [])]).routes()

"""MCP server: assistants read the record through tools, under the authority of who uses them."""

from fhir_mcp.settings import McpSettings
from fhir_server.plugin_api import Manifest

MANIFEST = Manifest(
    name="fhir_mcp",
    version="1.0.0",
    module="fhir_mcp.plugin",
    summary="Model Context Protocol server: assistants read the record under the user's scopes; read-only by default.",
    hooks=("register_routes",),
    settings=McpSettings,
    sends="What a tool answers goes to the client that called it with a user's token, as any FHIR answer does.",
)

"""The tools that write, where the setting allows them; each is held to the caller's scopes and to validation."""

from typing import Any, Final

from fhir_mcp.results import resource_text
from fhir_mcp.tools import Arguments, Tool
from fhir_server.plugin_api import BadRequest, PluginContext

_RESOURCE: Final = {"type": "object", "description": "The whole resource as FHIR JSON"}
_VERSION: Final = {"type": "string", "description": "Version that the change is made to", "maxLength": 64}


async def create(ctx: PluginContext, given: Arguments) -> str:
    """Create a resource."""
    resource = _typed(given["resource"])
    return resource_text(await ctx.client.create(resource), ctx.settings)


async def update(ctx: PluginContext, given: Arguments) -> str:
    """Write a new version of a resource."""
    resource = _typed(given["resource"])
    if not isinstance(resource.get("id"), str):
        raise BadRequest("an update needs the id of the resource", expression="resource.id")
    return resource_text(await ctx.client.update(resource, if_match=given["version"]), ctx.settings)


async def delete(ctx: PluginContext, given: Arguments) -> str:
    """Delete a resource."""
    await ctx.client.delete(given["type"], given["id"])
    return f"deleted {given['type']}/{given['id']}"


def writing_tools() -> list[Tool]:
    """Return the tools that write."""
    text = {"type": "string", "maxLength": 80}
    both: dict[str, dict[str, Any]] = {"resource": _RESOURCE, "version": _VERSION}
    return [
        Tool(
            "fhir_create", "Create", "Create a resource; it is validated first.",
            create, {"resource": _RESOURCE}, ("resource",), writes=True,
        ),
        Tool(
            "fhir_update", "Update", "Replace a resource that you have read, naming the version that you read.",
            update, both, ("resource", "version"), writes=True, destroys=True,
        ),
        Tool(
            "fhir_delete", "Delete", "Delete a resource; its history stays.",
            delete, {"type": text, "id": text}, ("type", "id"), writes=True, destroys=True,
        ),
    ]  # fmt: skip


def _typed(resource: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(resource.get("resourceType"), str):
        raise BadRequest("the resource has no resourceType", expression="resource")
    return resource

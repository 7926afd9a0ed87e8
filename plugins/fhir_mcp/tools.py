"""Tools: what an assistant may call, with the schema of its arguments.

Spec: https://modelcontextprotocol.io/specification/2025-06-18/server/tools
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fhir_mcp.messages import INVALID_PARAMS, RpcError
from fhir_server.plugin_api import PluginContext

Arguments = Mapping[str, Any]
Handler = Callable[[PluginContext, Arguments], Awaitable[str]]
_TYPES: Final[Mapping[str, type | tuple[type, ...]]] = {
    "string": str, "integer": int, "boolean": bool, "object": dict, "array": list,
}  # fmt: skip
_LONGEST: Final = 10_000


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool. parameters: JSON Schema of each argument. needs: names of those that have to be given."""

    name: str
    title: str
    description: str
    handler: Handler
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    writes: bool = False
    destroys: bool = False

    def shown(self) -> dict[str, Any]:
        """Return the tool as `tools/list` has it."""
        hints = {"readOnlyHint": not self.writes, "openWorldHint": False}
        if self.writes:
            hints |= {"destructiveHint": self.destroys, "idempotentHint": False}
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": {
                "type": "object", "properties": dict(self.parameters), "required": list(self.needs),
                "additionalProperties": False,
            },
            "annotations": {"title": self.title, **hints},
        }  # fmt: skip

    def check(self, arguments: Any) -> Arguments:
        """Hold arguments to the schema. Raises RpcError naming the first that does not fit."""
        if not isinstance(arguments, dict):
            raise _wrong(self, "arguments have to be an object")
        for name in self.needs:
            if name not in arguments:
                raise _wrong(self, f"it needs {name}")
        for name, value in arguments.items():
            schema = self.parameters.get(name)
            if schema is None:
                raise _wrong(
                    self, f"there is no argument {name[:80]!r}; there are {', '.join(self.parameters) or 'none'}"
                )
            if not _fits(schema, value):
                raise _wrong(self, f"{name} does not fit {dict(schema)}")
        return arguments


def _fits(schema: Mapping[str, Any], value: Any) -> bool:
    type_ = _TYPES[schema["type"]]
    if not isinstance(value, type_) or (isinstance(value, bool) and schema["type"] != "boolean"):
        return False
    if isinstance(value, str) and len(value) > schema.get("maxLength", _LONGEST):
        return False
    if isinstance(value, int) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        return False
    return "enum" not in schema or value in schema["enum"]


def _wrong(tool: Tool, said: str) -> RpcError:
    return RpcError(INVALID_PARAMS, f"{tool.name}: {said}")

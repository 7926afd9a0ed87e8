"""JSON-RPC 2.0 as MCP uses it: requests in, results and errors out.

Spec: https://modelcontextprotocol.io/specification/2025-06-18/basic
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fhir_server.plugin_api import decode, encode

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603

Id = str | int


class RpcError(Exception):
    """A request that cannot be done, with the code of JSON-RPC."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(said)
        self.code, self.said = code, said


@dataclass(frozen=True, slots=True)
class Message:
    """One message; without an id it is a notification, without a method a response."""

    method: str
    params: Mapping[str, Any] = field(default_factory=dict)
    id: Id | None = None


def read(raw: bytes) -> Message:
    """Read a message. Raises RpcError: it is none, or a batch, which MCP no longer has."""
    try:
        body = decode(raw)
    except ValueError:
        raise RpcError(PARSE_ERROR, "the body is not JSON") from None
    if not isinstance(body, dict) or body.get("jsonrpc") != "2.0":
        raise RpcError(INVALID_REQUEST, "send one JSON-RPC 2.0 message, not a batch")
    method, params, id_ = body.get("method"), body.get("params"), body.get("id")
    if method is None and ("result" in body or "error" in body):
        return Message("")
    if not isinstance(method, str) or not isinstance({} if params is None else params, dict):
        raise RpcError(INVALID_REQUEST, "a message has a method and, where it has params, an object of them")
    if isinstance(id_, bool) or not isinstance(id_, str | int | None):
        raise RpcError(INVALID_REQUEST, "an id is a text or an integer")
    return Message(method, params or {}, id_)


def result(id_: Id | None, value: Mapping[str, Any]) -> bytes:
    """Write the response to a request."""
    return encode({"jsonrpc": "2.0", "id": id_, "result": value})


def failure(id_: Id | None, error: RpcError) -> bytes:
    """Write the response to a request that cannot be done."""
    return encode({"jsonrpc": "2.0", "id": id_, "error": {"code": error.code, "message": error.said}})

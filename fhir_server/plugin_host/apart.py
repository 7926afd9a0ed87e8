"""Plugins apart: their operations run in a process of their own, and calls of them are handed there.

What is heavy, or foreign, or may take its process down with it, then takes down that alone (setting `plugins_apart`).
The other process has the same store, looks at the same grants and records what is done; docs/plugins.md.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from fhir_server.context import Context
from fhir_server.definitions import OperationFacts
from fhir_server.errors import Busy, FhirError, Issue
from fhir_server.model.exchange import FhirRequest, FhirResponse
from fhir_server.operations.operation import Call, CoreOperation
from fhir_server.plugins import Found, PluginFault
from fhir_server.settings import Settings

MODULE: Final = "fhir_server.serving.plugin_process"
ALLOWED: Final = frozenset(("register_collections", "register_migrations", "register_operations"))
_DESCRIBE_WITHIN: Final = 120
_ANSWER_WITHIN: Final = 600.0


class Described(msgspec.Struct, frozen=True):
    """An operation of a plugin apart, as its process tells of it."""

    facts: OperationFacts
    summary: str
    searches: bool = False
    links: frozenset[str] = frozenset()
    lenient: bool = False


class Answered(msgspec.Struct, frozen=True):
    """What a call came to: a response, or the issues of an error with its status."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = {}
    media_type: str | None = None
    issues: tuple[dict[str, Any], ...] = ()


class RefusedApart(FhirError):
    """An error that the plugin raised in its process."""

    def __init__(self, answer: Answered) -> None:
        issues = [
            Issue(each.get("diagnostics", ""), each["code"], each["severity"], tuple(each.get("expression", ())))
            for each in answer.issues
        ]
        super().__init__(issues[0].diagnostics if issues else "it failed", issues=issues)
        self.status = answer.status  # type: ignore[misc]  # that of the error there
        self.headers.update(answer.headers)


def socket_of(settings: Settings, name: str) -> Path:
    """Return where the process of a plugin listens."""
    return settings.data_dir / f"plugin-{name}.sock"


def remote_operations(found: Found, settings: Settings) -> list[CoreOperation]:
    """Ask a plugin, in a process of its own, what its operations are; return them as calls of that process.

    Raises:
        PluginFault: it cannot be loaded there, or has hooks that need to be in the process of the server.
    """
    name = found.manifest.name
    more = sorted(set(found.manifest.hooks) - ALLOWED)
    if more:
        raise PluginFault(
            f"plugin {name} cannot run apart, its hooks belong to the server's process: {', '.join(more)}"
        )
    return [_remote(each, socket_of(settings, name), name) for each in _described(name, settings)]


def _described(name: str, settings: Settings) -> Sequence[Described]:
    command = [sys.executable, "-m", MODULE, "describe", name]
    given = settings.model_dump_json().encode()
    done = subprocess.run(command, input=given, capture_output=True, timeout=_DESCRIBE_WITHIN, check=False)  # noqa: S603
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise PluginFault(f"plugin {name} cannot be loaded in its own process: {last}")
    return msgspec.json.decode(done.stdout, type=list[Described])


def _remote(described: Described, path: Path, name: str) -> CoreOperation:
    async def handle(ctx: Context, call: Call) -> FhirResponse:
        return await _called(path, name, call.request.but(grant=ctx.caller.grant, base=ctx.base, tenant=ctx.tenant))

    return CoreOperation(
        facts=described.facts, handler=handle, summary=described.summary, searches=described.searches,
        links=described.links, lenient=described.lenient,
    )  # fmt: skip


async def _called(path: Path, name: str, request: FhirRequest) -> FhirResponse:
    """Hand a call over. Raises Busy: the process does not answer, or died over it."""
    transport = httpx.AsyncHTTPTransport(uds=str(path))
    async with httpx.AsyncClient(transport=transport, base_url="http://plugin", timeout=_ANSWER_WITHIN) as client:
        try:
            answer = await client.post("/call", content=msgspec.json.encode(request))
        except httpx.TransportError as error:
            raise Busy(f"the process of the plugin {name} does not answer; it is started again") from error
    found = msgspec.json.decode(answer.content, type=Answered)
    if found.issues:
        raise RefusedApart(found)
    return FhirResponse(found.status, (found.body,), headers=found.headers, media_type=found.media_type)

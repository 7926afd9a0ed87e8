"""What one request has a MongoDB server do: commands on `versions`, and documents that come back."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent, register

from fhir_server.app import create_app
from fhir_server.settings import Settings

_LOG = ("versions", "parts")
_QUIET = 1.0


@dataclass(frozen=True, slots=True)
class Counted:
    """Commands that one request sends to the log, and documents that come back."""

    commands: int
    documents: int


@dataclass(slots=True)
class _Ear(CommandListener):
    """Hears what the driver of this process sends."""

    commands: int = 0
    documents: int = 0
    _asked: set[int] = field(default_factory=set)

    def started(self, event: CommandStartedEvent) -> None:
        """Count a command on the log."""
        of = event.command.get("collection") if event.command_name == "getMore" else event.command[event.command_name]
        if of in _LOG:
            self.commands += 1
            self._asked.add(event.request_id)

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Count what came back."""
        if event.request_id in self._asked:
            cursor = event.reply.get("cursor", {})
            self.documents += len(cursor.get("firstBatch", cursor.get("nextBatch", ())))

    def failed(self, event: CommandFailedEvent) -> None:
        """Count nothing."""


_EAR = _Ear()
register(_EAR)


async def counted(settings: Settings, requests: Mapping[str, bytes]) -> dict[str, Counted]:
    """Serve a store in this process, send it each request once, and tell what each had its server do."""
    found = {}
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://localhost", timeout=900) as http,
    ):
        for name, request in requests.items():
            await asyncio.sleep(_QUIET)  # what follows a write is not of the next request
            _EAR.commands = _EAR.documents = 0
            (await _sent(http, request)).raise_for_status()
            found[name] = Counted(_EAR.commands, _EAR.documents)
    return found


async def _sent(http: httpx.AsyncClient, request: bytes) -> httpx.Response:
    head, _, body = request.partition(b"\r\n\r\n")
    method, path, _ = head.split(b"\r\n")[0].decode().split(" ")
    return await http.request(method, path, content=body, headers={"content-type": "application/fhir+json"})

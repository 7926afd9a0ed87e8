"""An edge over a fake dispatch, and requests to it by plain ASGI."""

from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from fhir_server.api.application import Application, Running, make_application
from fhir_server.api.decode import Parts
from fhir_server.api.routes import Router
from fhir_server.definitions import load
from fhir_server.model.exchange import FhirRequest, FhirResponse
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Body, Version
from fhir_server.settings import Settings

PATIENT = b'{"resourceType":"Patient","id":"p","meta":{},"active":true,"birthDate":"1970-01-01"}'
INSTANT = 1_700_000_000_123


def version_of(data: bytes = PATIENT, number: int = 3) -> Version:
    """Return a stored version of Patient/p."""
    splice = data.index(b'"meta":{') + len(b'"meta":{') if data else 0
    return Version(1, ResourceKey("Patient", "p"), number, 1, INSTANT, "PUT", Body(data, splice))


@dataclass
class Fake:
    """Records what it is asked and answers what it is told."""

    answer: FhirResponse | Exception | Callable[[FhirRequest], Awaitable[FhirResponse]] = field(
        default_factory=lambda: FhirResponse.of_version(version_of())
    )
    requests: list[FhirRequest] = field(default_factory=list)

    async def __call__(self, request: FhirRequest) -> FhirResponse:
        self.requests.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        if isinstance(self.answer, FhirResponse):
            return self.answer
        return await self.answer(request)

    @property
    def asked(self) -> FhirRequest:
        """The last request."""
        return self.requests[-1]


def application(fake: Fake, **settings: Any) -> Application:
    """Return a started application over the fake."""

    async def ready() -> bool:
        return True

    @asynccontextmanager
    async def opened() -> Any:
        yield Running(fake, ready)

    definitions = load()
    app = make_application(Parts(definitions, Settings(**{"auth": "none"} | settings), Router(definitions)), opened)
    app.start(Running(fake, ready))
    return app


def client(fake: Fake, **settings: Any) -> httpx.AsyncClient:
    """Return a client that speaks ASGI to the application."""
    transport = httpx.ASGITransport(app=application(fake, **settings))
    return httpx.AsyncClient(transport=transport, base_url="http://fhir.example")


async def raw(fake: Fake, scope: dict[str, Any], messages: list[dict[str, Any]] | None = None, **settings: Any) -> Any:
    """Call the application with a hand-made scope; return status, headers and body."""
    waiting = list(messages or [{"type": "http.request", "body": b"", "more_body": False}])
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    base = {
        "type": "http",
        "method": "GET",
        "path": "/fhir",
        "raw_path": b"/fhir",
        "query_string": b"",
        "headers": [(b"host", b"fhir.example")],
        "scheme": "http",
        "client": ("127.0.0.1", 1),
        "server": ("192.0.2.1", 80),
    }
    await application(fake, **settings)({**base, **scope}, receive, send)
    if not sent:
        return None
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], dict(sent[0]["headers"]), body

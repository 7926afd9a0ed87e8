"""Which pages of other origins may call: those of registered apps, besides those that the settings name.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#considerations-for-cross-origin-resource-sharing-cors-support
"""

import re
from time import monotonic
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fhir_server.api import cors
from fhir_server.api.auth.service import Service
from fhir_server.auth.clients import origins_of
from fhir_server.errors import FhirError
from fhir_server.settings import Settings

_FRESH = 5.0
_TENANT = re.compile(r"/t/([^/]+)/")
_PUBLIC = re.compile(r"/(fhir/(metadata|\.well-known/[^/]+)|auth/(jwks|style\.json|user-access-brands\.json))$")
"""Documents about no data, which any page may read."""


class Origins:
    """The origins of the registered apps of each tenant; a new one is known within seconds in all workers."""

    def __init__(self, service: Service | None, settings: Settings | None = None) -> None:
        assert service is not None or settings is not None
        self._service = service
        self._named = (settings or service.settings).cors_origins  # type: ignore[union-attr]
        self._known: dict[str, tuple[float, frozenset[str]]] = {}

    async def allowed(self, path: str, origin: str) -> str:
        """Return the origins that are told to a page of an origin: all, its own, or none where it may not call."""
        named = self._named
        if "*" in named or _PUBLIC.search(path):
            return "*"
        found = _TENANT.search(path)
        return origin if origin in named or origin in await self._of(found[1] if found else "default") else ""

    async def _of(self, tenant: str) -> frozenset[str]:
        if self._service is None:
            return frozenset()
        known = self._known.get(tenant)
        if known is None or monotonic() - known[0] > _FRESH:
            try:
                desk = await self._service.desk_of(tenant, "")
            except (FhirError, KeyError):
                return frozenset()
            known = self._known[tenant] = monotonic(), await origins_of(desk)
        return known[1]


class Cors:
    """Lets pages of the origins that may call read what an application answers."""

    def __init__(self, app: ASGIApp, origins: Origins) -> None:
        self._app, self._origins = app, origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer preflights, and mark other answers."""
        if scope["type"] != "http" or not any(name == b"origin" for name, _ in scope["headers"]):
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        allowed = await self._origins.allowed(scope["path"], origin) if origin else ""
        if not allowed:
            return await self._app(scope, receive, send)
        if cors.is_preflight(scope["method"], headers):
            marks = cors.marks(allowed) + cors.PREFLIGHT
            await send({"type": "http.response.start", "status": 204, "headers": marks})
            return await send({"type": "http.response.body", "body": b""})

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                _mark(message, allowed)
            await send(message)

        return await self._app(scope, receive, marked)


def _mark(message: Any, allowed: str) -> None:
    found = MutableHeaders(raw=message["headers"])
    if "access-control-allow-origin" not in found:
        message["headers"] = [*message["headers"], *cors.marks(allowed)]

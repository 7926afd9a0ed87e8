"""The HTTP endpoints: discovery, services, feedback.

Spec: https://cds-hooks.hl7.org/2.0/
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID

from fhir_cds_hooks import feedback
from fhir_cds_hooks.cards import answer
from fhir_cds_hooks.client_token import Clients
from fhir_cds_hooks.faults import BrokenService, SlowService
from fhir_cds_hooks.prefetch import prefetched, source_of
from fhir_cds_hooks.registry import HookCall, Registry, Service
from fhir_server.plugin_api import (
    BadRequest,
    FhirError,
    InvalidResource,
    Issue,
    NotFound,
    PluginContext,
    Route,
    RouteRequest,
    RouteResponse,
    decode,
    encode,
)

logger = logging.getLogger(__name__)
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Accept",
    "Access-Control-Max-Age": "3600",
}
Handler = Callable[[PluginContext, RouteRequest], Awaitable[RouteResponse]]


class Endpoint:
    """Answers for the services of a registry."""

    def __init__(self, registry: Registry, clients: Clients) -> None:
        self._registry, self._clients = registry, clients

    def routes(self) -> list[Route]:
        """Return the routes; who calls is for us to find out, since CDS clients have no token of the FHIR server."""
        return [
            Route("/cds-services", _crossing(self.discovery), ("GET", "OPTIONS"), public=True),
            Route("/cds-services/{id}", _crossing(self.call), ("POST", "OPTIONS"), public=True),
            Route("/cds-services/{id}/feedback", _crossing(self.feedback), ("POST", "OPTIONS"), public=True),
        ]

    async def discovery(self, ctx: PluginContext, asked: RouteRequest) -> RouteResponse:
        """Name the services."""
        if not ctx.settings.open_discovery:
            await self._issuer(ctx, asked)
        return RouteResponse(200, encode({"services": self._registry.shown()}))

    async def call(self, ctx: PluginContext, asked: RouteRequest) -> RouteResponse:
        """Call one service."""
        issuer = await self._issuer(ctx, asked)
        service = self._service(asked)
        body = _request(_json(await asked.body()), service)
        source = await source_of(ctx, body)
        data = await prefetched(ctx, service, body, source)
        call = HookCall(
            ctx.tenant, body["hook"], body["hookInstance"], body["context"], data,
            str(body.get("fhirServer") or ""), body.get("extension") or {}, source.own, issuer,
        )  # fmt: skip
        return RouteResponse(200, encode(await _answered(ctx, service, call)))

    async def feedback(self, ctx: PluginContext, asked: RouteRequest) -> RouteResponse:
        """Take what users did with cards."""
        issuer = await self._issuer(ctx, asked)
        service = self._service(asked)
        items = feedback.read(_json(await asked.body()), ctx.settings.max_feedback)
        await feedback.keep(ctx, service.id, issuer, items)
        if service.on_feedback is not None:
            try:
                async with asyncio.timeout(ctx.settings.service_timeout):
                    await service.on_feedback(ctx.tenant, items)
            except Exception as error:  # it is kept, so the client need not send it again
                logger.error("CDS service %s failed on feedback: %s", service.id, type(error).__name__)
        return RouteResponse(200, b"{}")

    async def _issuer(self, ctx: PluginContext, asked: RouteRequest) -> str:
        return await self._clients.issuer(ctx, asked.headers.get("authorization", ""), asked.url)

    def _service(self, asked: RouteRequest) -> Service:
        service = self._registry.find(asked.path["id"])
        if service is None:
            raise NotFound("there is no such CDS service; GET cds-services names them", expression="http.url")
        return service


async def _answered(ctx: PluginContext, service: Service, call: HookCall) -> dict[str, Any]:
    """Return the cards of a service. Raises BrokenService, SlowService."""
    try:
        async with asyncio.timeout(ctx.settings.service_timeout):
            given = await service.handler(call)
    except TimeoutError:
        logger.error("CDS service %s took longer than %s s", service.id, ctx.settings.service_timeout)
        raise SlowService(f"the service {service.id} took too long") from None
    except FhirError:
        raise
    except Exception as error:
        logger.exception("CDS service %s failed", service.id, exc_info=_without_message(error))
        raise BrokenService(f"the service {service.id} failed") from None
    body, wrong = answer(given)
    if wrong:
        logger.error("CDS service %s gives what is no card: %s", service.id, "; ".join(wrong))
        raise BrokenService(f"the service {service.id} gave what is no card: {wrong[0]}")
    return body


def _without_message(error: BaseException) -> BaseException:
    """Return an error that tells where it arose and nothing else: messages quote what services were given."""
    return RuntimeError(type(error).__name__).with_traceback(error.__traceback__)


def _request(body: Any, service: Service) -> Mapping[str, Any]:
    """Hold a request to the specification. Raises BadRequest, InvalidResource with all faults at once."""
    if not isinstance(body, dict):
        raise BadRequest("the body is not a JSON object", expression="http.body")
    wrong = list(_faults(body, service))
    if wrong:
        issues = [Issue(said, "invalid", expression=(place,)) for place, said in wrong]
        raise InvalidResource(issues[0].diagnostics, issues=issues)
    return body


def _faults(body: Mapping[str, Any], service: Service) -> list[tuple[str, str]]:
    wrong = []
    if body.get("hook") != service.hook:
        wrong.append(("hook", f"hook: {service.id} is called by {service.hook}"))
    try:
        UUID(str(body.get("hookInstance")))
    except ValueError:
        wrong.append(("hookInstance", "hookInstance has to be a UUID"))
    if not isinstance(body.get("context"), dict):
        wrong.append(("context", "context has to be an object"))
    wrong += [
        (name, f"{name} has to be an object")
        for name in ("prefetch", "fhirAuthorization", "extension")
        if not isinstance(body.get(name) or {}, dict)
    ]
    if not isinstance(body.get("fhirServer") or "", str):
        wrong.append(("fhirServer", "fhirServer has to be a URL"))
    elif body.get("fhirAuthorization") and not body.get("fhirServer"):
        wrong.append(("fhirServer", "fhirAuthorization needs a fhirServer"))
    return wrong


def _json(raw: bytes) -> Any:
    try:
        return decode(raw)
    except ValueError as error:
        raise BadRequest(str(error), expression="http.body") from None


def _crossing(handler: Handler) -> Handler:
    """Let pages of the origins that the server allows call a handler, and read its errors."""

    async def answered(ctx: PluginContext, asked: RouteRequest) -> RouteResponse:
        headers = _allowed(ctx, asked)
        if asked.method == "OPTIONS":
            return RouteResponse(204, b"", "", {**headers, **(_PREFLIGHT if headers else {})})
        try:
            found = await handler(ctx, asked)
        except FhirError as error:
            error.headers.update(headers)
            raise
        return RouteResponse(found.status, found.body, found.media_type, {**found.headers, **headers})

    return answered


def _allowed(ctx: PluginContext, asked: RouteRequest) -> dict[str, str]:
    origin, origins = asked.headers.get("origin"), ctx.core.settings.cors_origins
    if origin is None or not ("*" in origins or origin in origins):
        return {}
    return {"Access-Control-Allow-Origin": "*" if "*" in origins else origin, "Vary": "Origin"}

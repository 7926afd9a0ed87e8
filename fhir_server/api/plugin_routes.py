"""Routes of plugins as HTTP: the caller is let in, what is done is recorded, errors are OperationOutcomes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.routing import Route as HttpRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from fhir_server.api.auth.origins import Cors
from fhir_server.api.auth.service import tenant_of
from fhir_server.api.body import late
from fhir_server.api.decode import MOUNT, OPERATOR, base_url_of
from fhir_server.api.errors import response_to
from fhir_server.api.headers import client_address, mapping, request_id
from fhir_server.api.places import place_of
from fhir_server.api.traced import named
from fhir_server.auth.scopes import parse_scopes
from fhir_server.context import Caller, Context
from fhir_server.errors import FhirError, Forbidden, TooLarge
from fhir_server.model.exchange import FhirRequest, FhirResponse
from fhir_server.plugin_host.context import Host
from fhir_server.plugin_host.faults import Faults
from fhir_server.plugins.registrations import Page, Route, RouteResponse, SocketRoute
from fhir_server.settings import Settings
from fhir_server.telemetry import tracing
from fhir_server.telemetry.logs import REQUEST_ID
from fhir_server.telemetry.numbers import REQUEST_SECONDS, REQUESTS

PREFIXES: Final = ("", "/t/{tenant}")
Served = Sequence[tuple[Host, Route | SocketRoute | Page]]


class _Asked:
    """RouteRequest over Starlette's request or WebSocket."""

    def __init__(self, http: Request | WebSocket, settings: Settings, base: str) -> None:
        self._http, self._settings = http, settings
        self.base, self.root = base, base.removesuffix(MOUNT)
        self.tenant = str(http.path_params.get("tenant", "default"))
        self.method = str(http.scope.get("method", "GET"))
        self.path: Mapping[str, str] = {k: str(v) for k, v in http.path_params.items() if k != "tenant"}
        self.headers: Mapping[str, str] = mapping(http.scope["headers"])
        self.query = tuple((name, value) for name, value in http.query_params.multi_items())
        self.address = client_address(http.scope, mapping(http.scope["headers"]), settings)
        place = place_of(http.scope)
        below = http.scope["path"].removeprefix(http.scope.get("root_path") or "")
        self.url = self.root + below.removeprefix(place.inside if place else "")

    async def body(self) -> bytes:
        """Return the whole body. Raises TooLarge."""
        chunks = bytearray()
        async for chunk in self.stream():
            chunks += chunk
            if len(chunks) > self._settings.max_body:
                raise TooLarge(f"the body is larger than {self._settings.max_body} bytes", expression="http.body")
        return bytes(chunks)

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes. Raises RequestTimeout: nothing came for `read_timeout`."""
        assert isinstance(self._http, Request)
        chunks = aiter(self._http.stream())
        while True:
            try:
                async with asyncio.timeout(self._settings.read_timeout):
                    chunk = await anext(chunks, None)
            except TimeoutError:
                raise late(self._settings) from None
            if chunk is None:
                return
            if chunk:
                yield chunk


class _Open:
    """Socket over Starlette's WebSocket."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket

    async def receive(self) -> str | bytes | None:
        """Return the next message; None when the other side has closed."""
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            return None
        text: str | bytes | None = message.get("text")
        return message.get("bytes") if text is None else text

    async def send(self, message: str | bytes) -> None:
        """Send. Raises ConnectionError."""
        try:
            if isinstance(message, str):
                await self._socket.send_text(message)
            else:
                await self._socket.send_bytes(message)
        except (WebSocketDisconnect, RuntimeError) as error:
            raise ConnectionError("nobody is there any more") from error

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close it, if it is open."""
        if self._socket.application_state is not WebSocketState.DISCONNECTED:
            await self._socket.close(code, reason)


def plugin_routes(served: Served, settings: Settings, faults: Faults) -> list[BaseRoute]:
    """Return the routes of plugins, below the root of each tenant."""
    return [_route(prefix, host, each, settings, faults) for prefix in PREFIXES for host, each in served]


def _route(prefix: str, host: Host, each: Any, settings: Settings, faults: Faults) -> BaseRoute:
    if isinstance(each, SocketRoute):
        return WebSocketRoute(f"{prefix}{each.path}", _socket(host, each, settings, faults))
    methods = list(each.methods) if isinstance(each, Route) else ["GET"]
    around = [Middleware(_CrossOrigin)] if isinstance(each, Route) and each.cross_origin else None
    return HttpRoute(f"{prefix}{each.path}", _http(host, each, settings, faults), methods=methods, middleware=around)


class _CrossOrigin:
    """Lets pages of the origins that may call FHIR call a route; its preflights come to a route for OPTIONS."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, as the application says of origins."""
        await Cors(self._app, scope["app"].origins)(scope, receive, send)


def _http(
    host: Host, route: Route | Page, settings: Settings, faults: Faults
) -> Callable[[Request], Awaitable[Response]]:
    name = f"{host.plugin.name}{route.path}"

    async def counted(http: Request) -> Response:
        REQUEST_ID.set(request_id(mapping(http.scope["headers"]))[0])
        if tracing.is_on():
            named(name)
        with REQUEST_SECONDS.timed(name):
            response = await answer(http)
        REQUESTS.add(name, "", str(response.status_code))
        return response

    async def answer(http: Request) -> Response:
        try:
            if faults.is_off(host.plugin.name):
                raise _Off(f"the plugin {host.plugin.name} is switched off; an administrator may enable it")
            return await _answered(host, route, http, settings)
        except ClientDisconnect:
            return Response(
                status_code=400
            )  # nobody reads it: the client hung up within its body, no fault of the plugin
        except Exception as error:
            if not isinstance(error, FhirError):
                faults.note(host.plugin.name, f"route {route.path}", error)
            return _refusal(response_to(error, REQUEST_ID.get()))

    return counted


class _Off(FhirError):
    status, code = 503, "not-supported"


async def _answered(host: Host, route: Route | Page, http: Request, settings: Settings) -> Response:
    base = base_url_of(place_of(http.scope), (http.scope, mapping(http.scope["headers"])), settings, _mount(http))
    asked = _Asked(http, settings, base)
    request = _as_fhir(host, route, http, asked, base)
    ctx = await host.context_for(request)
    answers: list[RouteResponse] = []

    async def run(inside: Context, request: FhirRequest) -> FhirResponse:
        need_scope(inside.caller, getattr(route, "scope", ""))
        for interaction, type_ in route.asks:
            if not inside.restriction.may(interaction, type_):
                raise Forbidden(f"{interaction} of {type_ or 'the system'} is not allowed")
        answers.append(await route.handler(host.within(inside), asked))
        return FhirResponse(answers[-1].status)

    if ctx.auditor is not None and not route.public:
        await ctx.auditor.watch(ctx, request, run, quiet=getattr(route, "sums_up", False))
    else:
        await run(ctx, request)
    return _response(answers[-1], settings)


def need_scope(caller: Caller, scope: str) -> None:
    """Hold a caller to a scope of a plugin; where nobody needs a token (`*`), nobody needs it. Raises Forbidden."""
    if scope and caller.grant != "*" and scope not in parse_scopes(caller.scopes):
        raise Forbidden(f"this asks for the scope {scope}", expression="http.authorization")


def _as_fhir(host: Host, route: Route | Page, http: Request, asked: _Asked, base: str) -> FhirRequest:
    """Return the request as authority and audit see it: an operation called after the plugin and its path."""
    operator = OPERATOR in http.scope.get("state", ())
    return FhirRequest(
        method=asked.method,
        interaction="capabilities" if route.public else "operation",
        base=base,
        operation=f"{host.plugin.name}{route.path}",
        query=asked.query,
        headers=asked.headers,
        tenant=tenant_of(http),
        request_id=REQUEST_ID.get(),
        grant="*" if operator else "",
        address=asked.address,
    )


def _mount(http: Request | WebSocket) -> str:
    place = place_of(http.scope)
    root = http.scope.get("app_root_path", http.scope.get("root_path", ""))
    return f"{root}{place.prefix if place else ''}{MOUNT}"


class _Stream(StreamingResponse):
    """A stream that ends when its reader takes nothing for a while: it holds a connection and, often, a snapshot."""

    def __init__(self, found: RouteResponse, patience: float) -> None:
        assert not isinstance(found.body, bytes)
        super().__init__(found.body, found.status, dict(found.headers), found.media_type or None)
        self._patience = patience

    async def stream_response(self, send: Send) -> None:
        """Send all chunks. Raises ConnectionError: nobody takes them."""

        async def sending(message: Message) -> None:
            try:
                async with asyncio.timeout(self._patience):
                    await send(message)
            except TimeoutError:
                raise ConnectionError("the reader takes nothing any more") from None

        await super().stream_response(sending)


def _response(found: RouteResponse, settings: Settings) -> Response:
    if isinstance(found.body, bytes):
        return Response(found.body, found.status, dict(found.headers), found.media_type or None)
    return _Stream(found, settings.send_timeout)


def _refusal(response: FhirResponse) -> Response:
    return Response(b"".join(response.body), response.status, dict(response.headers), "application/fhir+json")


def _socket(
    host: Host, route: SocketRoute, settings: Settings, faults: Faults
) -> Callable[[WebSocket], Awaitable[None]]:
    async def serve(socket: WebSocket) -> None:
        base = base_url_of(
            place_of(socket.scope), (socket.scope, mapping(socket.scope["headers"])), settings, _mount(socket)
        )
        wanted = [name for name in socket.scope.get("subprotocols", ()) if name in route.protocols]
        await socket.accept(subprotocol=wanted[0] if wanted else None)
        opened = _Open(socket)
        asked = _Asked(socket, settings, base.replace("ws", "http", 1) if base.startswith("ws") else base)
        try:
            if not faults.is_off(host.plugin.name):
                await route.handler(host, asked, opened)
        except (ConnectionError, FhirError):
            pass  # nobody is there, or was let in
        except Exception as error:
            faults.note(host.plugin.name, f"socket {route.path}", error)
        finally:
            await opened.close()

    return serve

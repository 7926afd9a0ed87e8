"""The application: FHIR paths go straight to the edge, all others through FastAPI."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from fhir_server.api.auth import Cors, Origins, Service, authorization_routes
from fhir_server.api.auth.service import DeskOf, Record, closed, silent, unrecorded
from fhir_server.api.decode import Parts
from fhir_server.api.edge import MOUNT, Dispatch, Edge, not_open
from fhir_server.api.headers import mapping
from fhir_server.api.nearby import Nearby
from fhir_server.api.openapi import Shown, document
from fhir_server.api.pages import ASSETS, Watched, assets
from fhir_server.api.pages import router as pages
from fhir_server.api.places import PLACE, placed
from fhir_server.api.secured import secured
from fhir_server.api.tenants import missing, refused, tenant_routes
from fhir_server.api.traced import noting, traced, traces
from fhir_server.api.traffic import Traffic
from fhir_server.auth.limits import Limits
from fhir_server.definitions import Definitions, OperationFacts
from fhir_server.errors import FhirError
from fhir_server.interactions.tenant_administration import TenantAdministration
from fhir_server.plugin_host.assembly import Assembly
from fhir_server.search.parameters import ParameterRegistry
from fhir_server.settings import Settings
from fhir_server.storage.base import StoreError, StoreUnavailable
from fhir_server.telemetry import tracing
from fhir_server.telemetry.health import Check, Checks, Finding, Report
from fhir_server.telemetry.process import Process, built
from fhir_server.telemetry.sharing import Board

TITLE = "FHIR R4 server"
VERSION = "0.1.0"
_BELOW = f"{MOUNT}/"
_BELOW_LENGTH = len(_BELOW)
_WELL_KNOWN = f"{MOUNT}/.well-known/"
_POLICY_VIOLATION = 1008
_SILENT: Any = dict.fromkeys(("tracing", "metrics", "logs", "operation_spans", "auto_configure"), False)
"""FastAPI's own telemetry tells of URLs and the messages of errors, to whatever the environment names."""


Hold = Callable[[str], AbstractAsyncContextManager[object]]


async def settled(tenant: str) -> None:
    """Nothing follows a write."""


async def no_numbers() -> None:
    """There is nothing to read."""


def nobody(tenant: str) -> AbstractAsyncContextManager[object]:
    """There is no tenant but the default one."""
    raise KeyError(tenant)


@dataclass(frozen=True, slots=True)
class Running:
    """What a started server offers; `ready` asks whether its store answers, `desk_of` gives what authorization needs of
    the tenant of a name, under a base URL; `record` takes what the audit of a tenant shall have; `hold` keeps a tenant
    open; `hosts` says which host serves which tenant; `tenants` administers them; `settled` waits until all consumers
    of the feed have what a tenant holds (for tests); `limits` are counted over all nodes; `numbers` reads anew those
    that lie in the record."""

    dispatch: Dispatch
    ready: Callable[[], Awaitable[bool]]
    desk_of: DeskOf = closed
    record: Record = unrecorded
    hold: Hold = nobody
    hosts: Mapping[str, str] = field(default_factory=dict)
    tenants: TenantAdministration | None = None
    settled: Callable[[str], Awaitable[None]] = settled
    limits: Limits | None = None
    numbers: Callable[[], Awaitable[None]] = no_numbers


Opened = Callable[[], AbstractAsyncContextManager[Running]]


NUMBERS = "numbers"
"""The folder, beside the data, in which the processes of a node tell each other their numbers."""


class Application(FastAPI):
    """FastAPI with the FHIR endpoint before its router, whose machinery would halve the rate of reads."""

    edge: Edge
    settings: Settings
    door: ASGIApp
    watched: Watched
    running: Running | None = None
    background: bool = True
    """Whether this process may run the feed, scheduled work and the like; read when the lifespan begins."""
    authorization: Service | None = None
    origins: Origins
    """Which pages may call; routes of plugins that say `cross_origin` ask it."""
    hosts: Mapping[str, str] = MappingProxyType({})
    nearby: Nearby | None = None
    """Set where nobody is asked for a token: whose requests are taken nevertheless."""
    assembly: Assembly | None = None
    traffic: Traffic
    role: str = "both"
    """What this process is for: `serving`, `background`, `both`, `owner`; for the numbers of processes."""
    checks: Checks
    """What `/health/ready` asks; whoever has something that can be unwell adds to it."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request, or run the lifespan."""
        if tracing.is_on() and scope["type"] == "http":
            return await traced(partial(self._answer, scope, receive, send), scope)
        return await self._answer(scope, receive, send)

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        if self.nearby is not None and (wrong := self.nearby.refusal(scope, self.hosts)) is not None:
            return await _turned_away(wrong, scope, receive, send)
        if scope["type"] == "http":
            if not self.hosts and _is_fhir(scope):
                return await self.door(scope, receive, send)
            there = placed(scope, mapping(scope["headers"]), self.hosts, self.settings)
            if there is not None:
                return await self._of_tenant(there, receive, send)
            if _is_fhir(scope):
                return await self.door(scope, receive, send)
            send = _beside(send)
        return await super().__call__(scope, receive, send)

    async def _of_tenant(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request to a tenant, which stays open meanwhile; FHIR ones are refused by the dispatcher."""
        place, refusal = scope[PLACE], None
        is_fhir = _is_fhir(scope, place.inside)
        async with AsyncExitStack() as stack:
            try:
                if self.running is not None:
                    await stack.enter_async_context(self.running.hold(place.tenant))
            except KeyError:
                refusal = missing(scope, self.settings)
            except (FhirError, StoreError) as error:
                refusal = refused(error)
            if is_fhir:
                await self.door(scope, receive, send)
            elif refusal is not None:
                await refusal(scope, receive, _beside(send))
            else:
                await super().__call__(scope, receive, _beside(send))

    def start(self, running: Running) -> None:
        """Answer requests from now on."""
        self.running, self.edge.dispatch, self.hosts = running, self.traffic.counted(running.dispatch), running.hosts
        self.watched.read = running.numbers
        if self.authorization is not None:
            self.authorization.desk_of, self.authorization.ask = running.desk_of, running.dispatch
            self.authorization.record = running.record
        if running.limits is not None:
            self.edge.limits = running.limits
            if self.authorization is not None:
                self.authorization.limits = running.limits

    def stop(self) -> None:
        """Answer requests no more."""
        self.running, self.edge.dispatch, self.hosts = None, not_open, {}
        if self.authorization is not None:
            self.authorization.desk_of, self.authorization.ask = closed, silent

    def administration(self) -> TenantAdministration | None:
        """Return what administers tenants, once the server is open."""
        return self.running.tenants if self.running else None

    async def ready(self) -> Report:
        """Return what the checks found; a server that is not open is not ready."""
        if self.running is None:
            return Report({"store": Finding("failing", "the server is starting or stopping")}, gated=True)
        return await self.checks.report()

    async def _store(self) -> Finding:
        return Finding() if self.running is not None and await self.running.ready() else Finding("failing", "closed")


def make_application(
    parts: Parts, opened: Opened, operations: Iterable[OperationFacts] = (), plugins: Iterable[BaseRoute] = ()
) -> Application:
    """Put the application together; its lifespan opens and closes the server."""
    application = Application(
        title=TITLE, version=VERSION, lifespan=partial(_lifespan, parts, opened), docs_url=None, redoc_url=None,
        openapi_url=None, telemetry=_SILENT,
    )  # fmt: skip
    shown = Shown(parts.definitions, tuple(operations))

    @cache
    def described() -> bytes:
        beside = get_openapi(title=TITLE, version=VERSION, routes=application.routes)
        return msgspec.json.encode(document(shown, beside, MOUNT))

    application.settings, application.checks = parts.settings, Checks()
    application.nearby = Nearby(parts.settings) if parts.settings.auth == "none" else None
    application.traffic = Traffic(
        parts.settings.slow_request,
        access=parts.settings.access_log,
        operations=[facts.code for facts in shown.operations],
        parameters=partial(_parameter_names, parts.definitions),
    )
    application.checks.add(Check("store", application._store, gates=True))
    application.door = application.edge = Edge(parts)
    signing_in = _authorized(application, parts)
    # Of routes beside FHIR: who signs in while the database is away is told so, as everybody else is.
    application.add_exception_handler(StoreUnavailable, lambda request, error: refused(error))
    application.router.routes.extend(tenant_routes(application.administration, application.authorization))
    application.router.routes.extend(signing_in)  # it has all else below /auth
    application.router.routes.extend(plugins)
    application.watched = Watched(parts.settings, described, application.ready)
    application.include_router(pages)
    application.mount(ASSETS, assets())
    return application


@asynccontextmanager
async def _lifespan(parts: Parts, opened: Opened, application: Application) -> AsyncIterator[None]:
    """Open the server, and close it at the end."""
    built(VERSION, parts.settings.storage)
    board = application.watched.board = Board(numbers_folder(parts.settings))
    process = Process(application.role, board, parts.settings.data_dir)
    with traces(parts.settings, application.role, VERSION):
        async with opened() as running:
            with process.watched():
                application.start(running)
                try:
                    yield
                finally:
                    application.stop()


def _authorized(application: Application, parts: Parts) -> Sequence[BaseRoute]:
    """Have tokens asked for, where the settings say so; return the routes at which they are got."""
    routes: Sequence[BaseRoute] = ()
    if parts.settings.auth == "smart":
        application.authorization = Service(parts.settings)
        if "*" not in parts.settings.cors_origins:
            application.door = Cors(application.edge, Origins(application.authorization))
        routes = authorization_routes(application.authorization)
    application.origins = Origins(application.authorization, parts.settings)
    return routes


async def _turned_away(error: FhirError, scope: Any, receive: Any, send: Any) -> None:
    """Answer a request that is not taken; a WebSocket is not opened."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
    else:
        await refused(error)(scope, receive, _beside(send))


def _beside(send: Any) -> Any:
    """Return `send` for what is not FHIR."""
    return secured(noting(send) if tracing.is_on() else send)


def numbers_folder(settings: Settings) -> Path | None:
    """Return where the processes of a node tell their numbers; None where there is but one."""
    several = settings.workers > 1 or settings.background == "own"
    return settings.data_dir / NUMBERS if several else None


def _parameter_names(definitions: Definitions) -> Collection[str]:
    """Return all words that names of search parameters are made of."""
    registry = ParameterRegistry.of_definitions(definitions)
    return {*registry.types, *(code for type_ in registry.types for code in registry.of(type_))}


def _is_fhir(scope: Any, inside: str = "") -> bool:
    """Tell whether a path is the endpoint or below it; `inside`: that of the tenant below `/t/`."""
    path: str = scope["path"]
    root = scope.get("root_path")
    if root or inside:
        path = path.removeprefix(f"{root or ''}{inside}")
    return (path[:_BELOW_LENGTH] == _BELOW and not path.startswith(_WELL_KNOWN)) or path == MOUNT

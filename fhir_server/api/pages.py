"""The pages beside FHIR: a first look for people, health for orchestrators, and the API document with Swagger UI."""

import gzip
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from fastapi.staticfiles import StaticFiles

from fhir_server.api.formats import takes_gzip
from fhir_server.api.headers import client_address, mapping
from fhir_server.api.observed import is_local, metrics, plugin_health, refresh
from fhir_server.plugin_host.assembly import Assembly
from fhir_server.plugins.registrations import Page
from fhir_server.settings import Settings
from fhir_server.telemetry.health import Report
from fhir_server.telemetry.sharing import Board

ASSETS = "/docs/assets"
_SCHEMA = "/openapi.json"

router = APIRouter()
"""Its functions get the application by the request: FastAPI keeps functions for ever, and with them what they hold."""


async def _nothing() -> None:
    """There is nothing to read."""


@dataclass(slots=True)
class Watched:
    """What the pages, health and numbers of an application are of, its attribute `watched`.

    The plugins are known once the application is put together. `document` gives the OpenAPI document, `ready` asks the
    checks of health.
    """

    settings: Settings
    document: Callable[[], bytes]
    ready: Callable[[], Awaitable[Report]]
    assembly: Assembly | None = None
    read: Callable[[], Awaitable[None]] = _nothing
    board: Board = field(default_factory=Board)
    _packed: bytes = b""

    def packed(self) -> bytes:
        """Return the OpenAPI document as gzip."""
        self._packed = self._packed or gzip.compress(self.document(), 6, mtime=0)
        return self._packed

    def pages(self) -> list[Page]:
        """Return the pages of plugins."""
        return [each for _, each in self.assembly.routes() if isinstance(each, Page)] if self.assembly else []


_HOME = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>FHIR R4 server</title>
<link rel="icon" href="docs/assets/favicon.png">
<style>
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 44rem; margin: 3rem auto; padding: 0 1rem; }
code { background: #eee8; padding: .1em .3em; }
</style>
<main>
<h1>FHIR R4 server</h1>
<p>This is the address of a health record that speaks <a href="https://hl7.org/fhir/R4/http.html">HL7 FHIR R4</a>
in JSON and XML. Clients use the endpoint <code>{base}</code>.</p>
<ul>
<li><a href="fhir/metadata?_pretty=true">Capability statement</a>: what this server can do</li>
{first}
<li><a href="docs">API documentation</a> to try out, and its <a href="openapi.json">OpenAPI document</a></li>
{pages}<li>Health: <a href="health/live">live</a>, <a href="health/ready">ready</a></li>
</ul>
</main>
</html>
"""
_OPEN = '<li><a href="fhir/Patient?_count=10&amp;_pretty=true">Patients</a>: a first search</li>'
_SIGN_IN = '<li><a href="auth/account">Your sign-in</a>: password, passkeys, which apps have access</li>'


@router.get("/", include_in_schema=False)
async def home(request: Request) -> HTMLResponse:
    """Show a first look for people."""
    base = f"{request.scope.get('root_path', '')}/fhir"
    watched = _watched(request)
    first = _OPEN if watched.settings.auth == "none" else _SIGN_IN
    return HTMLResponse(_HOME.replace("{base}", base).replace("{first}", first).replace("{pages}", _listed(watched)))


@router.get(_SCHEMA, include_in_schema=False)
async def schema(request: Request) -> Response:
    """Give the OpenAPI document."""
    watched = _watched(request)
    headers = {"vary": "Accept-Encoding"}
    if takes_gzip(request.headers.get("accept-encoding", "identity")):
        return Response(watched.packed(), media_type="application/json", headers={"content-encoding": "gzip"} | headers)
    return Response(watched.document(), media_type="application/json", headers=headers)


@router.get("/docs", include_in_schema=False)
async def docs() -> HTMLResponse:
    """Show Swagger UI."""
    shown = get_swagger_ui_html(
        openapi_url=_SCHEMA.lstrip("/"),
        title="FHIR R4 server",
        swagger_js_url=f"{ASSETS.lstrip('/')}/swagger-ui-bundle.js",
        swagger_css_url=f"{ASSETS.lstrip('/')}/swagger-ui.css",
        swagger_favicon_url=f"{ASSETS.lstrip('/')}/favicon.png",
        swagger_ui_parameters={"docExpansion": "none", "defaultModelsExpandDepth": -1, "filter": True},
    )
    return HTMLResponse(bytes(shown.body).replace(b"<html>", b'<html lang="en">', 1))


@router.get("/health/live", tags=["health"], summary="Whether the process runs")
async def live() -> dict[str, str]:  # noqa: D103  # what is said here is shown in the API document
    return {"status": "live"}


@router.get(
    "/health/ready",
    tags=["health"],
    summary="Whether requests are answered, and how plugins do",
    responses={503: {"description": "Not yet, or no longer"}},
)
async def is_ready(request: Request) -> JSONResponse:  # noqa: D103
    watched = _watched(request)
    found = await watched.ready()
    near = _is_near(request, watched)
    said: dict[str, object] = {"status": found.status, "checks": found.shown(near=near)}
    if watched.assembly is not None and watched.assembly.plugins.loaded:
        plugins = await plugin_health(watched.assembly)
        said["plugins"] = plugins if near else {name: {"state": each["state"]} for name, each in plugins.items()}
    return JSONResponse(said, 503 if found.gated else 200)


@router.get(
    "/metrics",
    tags=["health"],
    summary="Numbers for Prometheus",
    response_class=PlainTextResponse,
    responses={403: {"description": "Not from where this request came", "content": {"text/plain": {}}}},
)
async def numbers(request: Request) -> Response:  # noqa: D103
    watched = _watched(request)
    setting = watched.settings.metrics
    allowed = setting == "open" or (setting == "local" and _is_near(request, watched))
    if not allowed or watched.assembly is None:
        return Response("numbers are for this machine alone; see the setting metrics\n", 403, media_type="text/plain")
    await refresh(watched.assembly)
    await watched.read()
    text, media_type = metrics(watched.assembly, watched.board, request.headers.get("accept", ""))
    return Response(text, media_type=media_type)


def _watched(request: Request) -> Watched:
    found: Watched = request.app.watched
    return found


def _listed(watched: Watched) -> str:
    """Return the pages of plugins as items of the list."""
    items = [f'<li><a href="{escape(each.path.lstrip("/"))}">{escape(each.title)}</a></li>' for each in watched.pages()]
    return "".join(f"{item}\n" for item in items)


def _is_near(request: Request, watched: Watched) -> bool:
    """Tell whether a request comes from this machine."""
    return is_local(client_address(request.scope, mapping(request.scope["headers"]), watched.settings))


def assets() -> StaticFiles:
    """Serve Swagger UI from an installed package: the documentation works without the Internet."""
    return StaticFiles(directory=str(files("fastapi_offline") / "static"))

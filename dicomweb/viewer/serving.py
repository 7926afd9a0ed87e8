"""Serving: `/viewer` is OHIF where it is installed, else a page of our own; both ask our DICOMweb."""

import asyncio
import json
from functools import cache
from importlib.resources import files
from urllib.parse import urlsplit

from dicomweb.doors import settings_of
from dicomweb.viewer.folder import File, file_of, files_of, place_of
from fhir_server.plugin_api import NotFound, Page, PluginContext, Route, RouteRequest, RouteResponse

ROOT = "/viewer"
_OURS = {
    "launch": ("launch.html", "text/html; charset=utf-8"),
    "callback": ("launch.html", "text/html; charset=utf-8"),
    "session.js": ("session.js", "text/javascript; charset=utf-8"),
    "launch.js": ("launch.js", "text/javascript; charset=utf-8"),
    "simple": ("simple.html", "text/html; charset=utf-8"),
    "simple.js": ("simple.js", "text/javascript; charset=utf-8"),
    "simple.css": ("simple.css", "text/css; charset=utf-8"),
}
_ISOLATED = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_OUR_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# OHIF compiles shaders and WebAssembly, writes styles, and makes workers of blobs; it speaks with us alone.
_THEIR_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-eval' 'unsafe-inline' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "object-src 'self' blob:; frame-src 'self' blob:; base-uri 'self'; frame-ancestors 'none'"
)


def routes() -> tuple[Route, ...]:
    """Return what is served; nothing of it is of a patient, so nobody has to be known."""
    return (Route(f"{ROOT}/{{rest:path}}", serve, public=True),)


def pages() -> tuple[Page, ...]:
    """Return the entry of the list of pages."""
    return (Page(ROOT, "Images", begin, public=True),)


async def begin(ctx: PluginContext, asked: RouteRequest) -> RouteResponse:
    """Lead to the viewer, so that names are below it."""
    query = urlsplit(asked.url).query
    return RouteResponse(307, headers={"Location": f"{asked.root}{ROOT}/{'?' + query if query else ''}"})


async def serve(ctx: PluginContext, asked: RouteRequest) -> RouteResponse:
    """Answer with a file of the viewer. Raises NotFound."""
    name = asked.path.get("rest", "").strip("/")
    settings = settings_of(ctx)
    place = place_of(settings.viewer_folder)
    if name == "app-config.js":
        return _answer(configuration(ctx, asked), "text/javascript; charset=utf-8", _THEIR_POLICY)
    if name == "settings.json":
        return _answer(_launching(ctx), "application/json", _OUR_POLICY)
    if name in _OURS or not files_of(place):
        return _own(name)
    packed = "gzip" in asked.headers.get("accept-encoding", "")
    found = await asyncio.to_thread(file_of, place, name, packed=packed)
    if found is not None and name != "index.html":
        return _file(found)
    if "." in name.rpartition("/")[2] and not name.startswith("viewer"):
        raise NotFound("the viewer has no such file", expression="http.url")
    return await _index(ctx, asked)


async def _index(ctx: PluginContext, asked: RouteRequest) -> RouteResponse:
    """Answer with OHIF's page for each of its own paths, its addresses below ours."""
    page = await asyncio.to_thread(file_of, place_of(settings_of(ctx).viewer_folder), "index.html", packed=False)
    assert page is not None
    below = f"{_prefix(asked)}/"
    text = page.content.decode()
    text = text.replace("window.PUBLIC_URL = '/'", f"window.PUBLIC_URL = '{below}'").replace('="/', f'="{below}')
    session = f'<script src="{below}session.js"></script>'
    text = text.replace("<script", f"{session}<script", 1)
    return _answer(text.encode(), "text/html; charset=utf-8", _THEIR_POLICY)


def _own(name: str) -> RouteResponse:
    file, media_type = _OURS.get(name) or _OURS["simple"]
    if name not in _OURS and "." in name.rpartition("/")[2]:
        raise NotFound("the viewer has no such file", expression="http.url")
    return _answer(_page(file), media_type, _OUR_POLICY)


@cache
def _page(name: str) -> bytes:
    return files("dicomweb.viewer.pages").joinpath(name).read_bytes()


def _prefix(asked: RouteRequest) -> str:
    return urlsplit(asked.root).path.rstrip("/") + ROOT


def configuration(ctx: PluginContext, asked: RouteRequest) -> bytes:
    """Return OHIF's configuration: where our DICOMweb is, and what it can do."""
    root = f"{urlsplit(asked.root).path.rstrip('/')}/dicomweb"
    source = {
        "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
        "sourceName": "dicomweb",
        "configuration": {
            "friendlyName": "This server",
            "name": "this",
            "wadoUriRoot": f"{root}/wado",
            "qidoRoot": root,
            "wadoRoot": root,
            "qidoSupportsIncludeField": True,
            "imageRendering": "wadors",
            "thumbnailRendering": "wadors",
            "enableStudyLazyLoad": True,
            "supportsFuzzyMatching": True,
            "supportsWildcard": True,
            "staticWado": False,
            "singlepart": "bulkdata,video,pdf",
            "omitQuotationForMultipartRequest": True,
            "bulkDataURI": {"enabled": True, "relativeResolution": "instances"},
        },
    }
    config = {
        "name": "server",
        "routerBasename": _prefix(asked),
        "showStudyList": True,
        "extensions": [],
        "modes": [],
        "customizationService": {},
        "showWarningMessageForCrossOrigin": False,
        "showCPUFallbackMessage": True,
        "showLoadingIndicator": True,
        "strictZSpacingForVolumeViewport": True,
        "maxNumberOfWebWorkers": 3,
        "investigationalUseDialog": {"option": "never"},
        "dataSources": [source],
        "defaultDataSourceName": "dicomweb",
    }
    return f"window.config = {json.dumps(config)};\n".encode()


def _launching(ctx: PluginContext) -> bytes:
    """Return what the page that signs in has to know."""
    settings = settings_of(ctx)
    known = {
        "client": settings.viewer_client,
        "scopes": settings.viewer_scopes,
        "patient_scopes": settings.viewer_patient_scopes,
    }
    return json.dumps(known).encode()


def _answer(content: bytes, media_type: str, policy: str) -> RouteResponse:
    headers = {**_ISOLATED, "Content-Security-Policy": policy, "Cache-Control": "no-cache"}
    return RouteResponse(200, content, media_type, headers)


def _file(found: File) -> RouteResponse:
    kept = "public, max-age=31536000, immutable" if found.lasting else "no-cache"
    headers = {**_ISOLATED, "Content-Security-Policy": _THEIR_POLICY, "Cache-Control": kept, "Vary": "Accept-Encoding"}
    if found.packed:
        headers["Content-Encoding"] = "gzip"
    return RouteResponse(200, found.content, found.media_type, headers)

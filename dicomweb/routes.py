"""The paths of DICOMweb below `/dicomweb`, and who answers them: PS3.18 tables 10.1-1 and 9.1-1."""

from collections.abc import Awaitable, Callable
from typing import Final

from dicomweb.capabilities import capabilities
from dicomweb.model.values import Level
from dicomweb.qido.asking import need_uid
from dicomweb.qido.routes import counted, search
from dicomweb.stow.routes import store
from dicomweb.wado.bulk import bulk
from dicomweb.wado.frames import frames
from dicomweb.wado.metadata import metadata
from dicomweb.wado.rendering import rendered
from dicomweb.wado.retrieving import retrieve, wished
from dicomweb.wado.uri import wado_uri
from dicomweb.web import Asked
from fhir_server.plugin_api import (
    BadRequest,
    MethodNotAllowed,
    PluginContext,
    RouteRequest,
    RouteResponse,
    UnknownPath,
)

_NAMES: Final[tuple[tuple[str, Level], ...]] = (("studies", "study"), ("series", "series"), ("instances", "instance"))
_LEVELS: Final[dict[str, Level]] = dict(_NAMES)
_READS: Final[dict[str, Callable[[Asked], Awaitable[RouteResponse]]]] = {
    "metadata": metadata, "rendered": rendered, "thumbnail": rendered, "frames": frames, "bulkdata": bulk,
}  # fmt: skip


def asked_of(ctx: PluginContext, request: RouteRequest, path: str) -> Asked:
    """Read the path of a request. Raises UnknownPath, BadRequest."""
    parts = [each for each in path.split("/") if each]
    within: dict[Level, str] = {}
    for name, level in _NAMES:
        if len(parts) >= 2 and parts[0] == name and parts[1] not in _LEVELS and parts[1] != "count":
            need_uid(parts[1])
            within[level] = parts[1]
            parts = parts[2:]
        else:
            break
    return Asked(ctx, request, within, tuple(parts))


async def answer(ctx: PluginContext, request: RouteRequest) -> RouteResponse:
    """Answer a request below `/dicomweb`."""
    asked = asked_of(ctx, request, request.path.get("rest", ""))
    if request.method == "POST":
        return await _post(asked)
    if request.method == "DELETE":
        return await _delete(asked)
    rest = asked.rest
    if not rest:
        if not asked.within:
            return capabilities(asked)
        return await retrieve(asked)
    if rest[0] in _LEVELS and (len(rest) == 1 or rest[1:] == ("count",)):
        level = _LEVELS[rest[0]]
        if level not in asked.within and not _beside(level, asked):
            return await (search(asked, level) if len(rest) == 1 else counted(asked, level))
    if rest[0] in _READS and _fits(asked):
        if wished(asked) is not None:
            raise BadRequest("only whole objects are de-identified", expression="http.deidentify")
        reader = rendered if rest[-1] in ("rendered", "thumbnail") else _READS[rest[0]]
        return await reader(asked)
    raise UnknownPath("there is nothing here", expression="http.url")


def _beside(level: Level, asked: Asked) -> bool:
    """Tell whether a level that is searched lies above one that the path names."""
    order = ("study", "series", "instance")
    return any(order.index(each) >= order.index(level) for each in asked.within)


def _fits(asked: Asked) -> bool:
    kind, size = asked.rest[0], len(asked.rest)
    if kind == "frames":
        return "instance" in asked.within and (size == 2 or (size == 3 and asked.rest[2] in ("rendered", "thumbnail")))
    if kind == "bulkdata":
        return "instance" in asked.within and size > 1
    return bool(asked.within) and size == 1


async def _post(asked: Asked) -> RouteResponse:
    to_studies = asked.rest == ("studies",) and not asked.within
    if to_studies or (not asked.rest and set(asked.within) == {"study"}):
        return await store(asked)
    raise MethodNotAllowed("objects are stored at studies, or at one study", expression="http.method")


async def _delete(asked: Asked) -> RouteResponse:
    if asked.rest or not asked.within:
        raise MethodNotAllowed("studies, series and instances can be deleted", expression="http.method")
    await asked.archive.delete(asked.ctx, asked.within)
    return RouteResponse(204, b"", "")


async def by_uri(ctx: PluginContext, request: RouteRequest) -> RouteResponse:
    """Answer WADO-URI."""
    return await wado_uri(Asked(ctx, request))


async def options(ctx: PluginContext, request: RouteRequest) -> RouteResponse:
    """Say what can be done, to anybody."""
    return capabilities(Asked(ctx, request))

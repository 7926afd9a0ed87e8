"""Files of exports: kept for a while, downloaded by whoever asked for them."""

import secrets
from collections.abc import Mapping

from fhir_server.plugin_api import (
    BlobChange,
    Caller,
    Collection,
    NotFound,
    PluginContext,
    RecordChange,
    RecordField,
    Route,
    RouteRequest,
    RouteResponse,
    Where,
    scopes_contain,
)
from fhir_views.formats import FORMATS, Format

FILES = Collection("fhir_views.files", (RecordField("expires", "integer"),))
_PATH = "/views/files/{id}"
_PAGE = 100


def file_record(ctx: PluginContext, name: str, format_: Format, blob: str) -> RecordChange:
    """The record of a new file."""
    value = {
        "blob": blob,
        "name": f"{name}.{format_.extension}",
        "format": format_.name,
        "expires": ctx.now() + ctx.settings.export_life * 1000,
        "owner": _owner(ctx.caller),
        "scopes": ctx.caller.scopes,
    }
    return RecordChange(FILES.name, secrets.token_urlsafe(24), value)


def url_of(ctx: PluginContext, key: str) -> str:
    """Where a file is downloaded."""
    return ctx.base.removesuffix("/fhir") + _PATH.format(id=key)


def _owner(caller: Caller) -> str:
    opened = " emergency" if caller.emergency else ""
    return f"{caller.client} {caller.user or caller.name} {' '.join(caller.patients)}{opened}"


async def download(ctx: PluginContext, request: RouteRequest) -> RouteResponse:
    """Give a file to whoever asked for it, with a token that allows as much, and to administrators.

    Raises:
        NotFound: there is none, it has expired, or it is another's.
    """
    record = await ctx.store.get(FILES.name, request.path["id"])
    if record is None or int(str(record.value["expires"])) < ctx.now() or not _may(ctx.caller, record.value):
        raise NotFound("there is no such file; files of exports are kept for a while only", expression="http.url")
    value = record.value
    headers = {"content-disposition": f'attachment; filename="{value["name"]}"', "cache-control": "private, no-store"}
    body = await ctx.store.open(str(value["blob"]))
    return RouteResponse(200, body, FORMATS[str(value["format"])].media_types[0], headers)


def _may(caller: Caller, value: Mapping[str, object]) -> bool:
    mine = value["owner"] == _owner(caller) and scopes_contain(caller.scopes, str(value.get("scopes", "")))
    return caller.admin or mine


async def sweep(ctx: PluginContext) -> None:
    """Remove files that have expired."""
    while True:
        old = await ctx.store.find(FILES.name, [Where("expires", "<", ctx.now())], limit=_PAGE)
        for record in old:
            gone = RecordChange(FILES.name, record.key, None)
            await ctx.store.keep(BlobChange(str(record.value["blob"]), attach=False), records=[gone])
        if len(old) < _PAGE:
            return


ROUTE = Route(_PATH, download)

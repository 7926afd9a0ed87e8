"""Kick-off of an import: of files at URLs, or of one that is sent.

Spec: https://github.com/smart-on-fhir/bulk-import/blob/master/import.md
"""

from typing import Any

from fhir_bulk.fetching import check_url, limited, unpacked
from fhir_bulk.importing import ImportWork
from fhir_bulk.imports import IMPORTS, Import, Input
from fhir_bulk.kickoff import accepted, check_open, start
from fhir_bulk.records import find, may_see, owner_of, save
from fhir_server.plugin_api import (
    BadRequest,
    BadValue,
    Call,
    FhirRequest,
    FhirResponse,
    Forbidden,
    MethodNotAllowed,
    NotFound,
    PluginContext,
    RouteRequest,
    RouteResponse,
    decode,
)

LINK = "_import"
_FORMATS = ("application/fhir+ndjson", "application/ndjson", "ndjson")
_UPLOAD = "upload"
_WEEK = 7 * 86_400_000
_NAMES = frozenset(("inputFormat", "inputSource", "storageDetail", "mode", "input"))


async def import_files(ctx: PluginContext, call: Call) -> FhirResponse:
    """Answer `$import`: 202 with the status URL; within its job, do the work.

    Raises:
        BadRequest: not asked to be done beside, or files that may not be fetched.
    """
    id_ = call.request.parameter(LINK)
    if id_ is not None and ctx.core.in_job:
        return await _work(ctx, id_)
    if id_ is not None:
        raise BadRequest(f"$import has no parameter {LINK!r}", expression=f"http.{LINK}")
    if call.request.preference("respond-async") is None:
        raise BadRequest(
            "$import goes on beside the request: ask with the header `Prefer: respond-async`", expression="http.prefer"
        )
    if call.request.method != "POST":
        raise MethodNotAllowed("$import changes the record; POST it", expression="http.method")
    inputs = _inputs(ctx, call.request.body)
    return await _begun(ctx, call.request, inputs)


def _inputs(ctx: PluginContext, body: bytes) -> list[Input]:
    """Return the files that a Parameters resource, or a JSON object of the same names, asks for.

    Raises:
        BadRequest: it cannot be read, or asks for what is not supported or not allowed.
    """
    try:
        given = decode(body) if body else {}
    except ValueError as error:
        raise BadRequest(str(error), expression="http.body") from None
    if not isinstance(given, dict):
        raise BadRequest("$import takes a JSON object", expression="http.body")
    if given.get("resourceType") == "Parameters":
        given = _plain(given.get("parameter"))
    format_, files = given.get("inputFormat", "ndjson"), given.get("input")
    if format_ not in _FORMATS:
        raise BadValue(f"inputFormat {str(format_)[:100]!r} is not supported; it is {_FORMATS[0]}", expression="input")
    files = [files] if isinstance(files, dict) else files
    if not isinstance(files, list) or not files or not all(isinstance(each, dict) for each in files):
        raise BadRequest("$import needs `input`: files, each with a `url` and perhaps a `type`", expression="input")
    inputs = [Input(str(each.get("type", "")), str(each.get("url", ""))) for each in files]
    for each in inputs:
        check_url(ctx, each.url)
        check_type(ctx, each.type)
    return inputs


def _plain(parts: Any) -> dict[str, Any]:
    """Return parameters as an object: `input`, which may stand several times, as a list."""
    found: dict[str, Any] = {"input": []}
    for part in parts if isinstance(parts, list) else ():
        if not isinstance(part, dict):
            raise BadRequest("Parameters.parameter holds what is no object", expression="Parameters.parameter")
        name = str(part.get("name"))
        if name not in _NAMES:
            raise BadRequest(f"$import has no parameter {name[:80]!r}", expression="Parameters.parameter")
        value = next((value for key, value in part.items() if key.startswith("value")), None)
        value = _plain_part(part["part"]) if isinstance(part.get("part"), list) else value
        found |= {"input": [*found["input"], value]} if name == "input" else {name: value}
    return found


def _plain_part(parts: list[Any]) -> dict[str, Any]:
    named = [part for part in parts if isinstance(part, dict)]
    return {
        str(part.get("name")): next((value for key, value in part.items() if key.startswith("value")), None)
        for part in named
    }


def check_type(ctx: PluginContext, type_: str) -> None:
    """Raises BadValue: no type of resources; Forbidden: the caller may not write it."""
    if type_ and type_ not in ctx.core.definitions.resource_types:
        raise BadValue(f"input.type {type_[:80]!r} is no resource type", expression="http.body")
    if type_ and not any(ctx.core.restriction.may(each, type_) for each in ("create", "update")):
        raise Forbidden(f"the scopes of this client do not allow {type_} to be written", expression="http.body")


async def import_upload(ctx: PluginContext, asked: RouteRequest) -> RouteResponse:
    """Take a file of NDJSON, packed or not, and import it: `POST [root]/bulk/import?type=Patient`.

    Raises:
        BadRequest: it is too large, or broken.
    """
    kind = asked.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (*_FORMATS, "application/gzip", "application/x-ndjson"):
        raise BadRequest("send application/fhir+ndjson", expression="http.content-type")
    await check_open(ctx)
    type_ = dict(asked.query).get("type", "")
    check_type(ctx, type_)
    ref = await ctx.store.stage(limited(unpacked(asked.stream()), ctx.settings.import_bytes))
    request = FhirRequest("POST", "operation", asked.base, operation="import", tenant=asked.tenant)
    response = await _begun(ctx, request, [Input(type_, _UPLOAD, ref.id, ref.size)])
    return RouteResponse(response.status, b"".join(response.body), "application/fhir+json", dict(response.headers))


async def _begun(ctx: PluginContext, request: FhirRequest, inputs: list[Input]) -> FhirResponse:
    await check_open(ctx)
    now = ctx.now()
    found = Import(
        id=ctx.new_id(),
        owner=owner_of(ctx.caller),
        scopes=ctx.caller.scopes,
        request=f"{request.base}/$import",
        inputs=tuple(inputs),
        created=now,
        expires=now + _WEEK,
        token=ctx.core.settings.auth != "none",
    )
    await save(ctx, found, next((each.blob for each in inputs), ""))
    await start(ctx, request, (LINK, found.id))
    return accepted(ctx, "imports", found.id)


async def _work(ctx: PluginContext, id_: str) -> FhirResponse:
    found = await find(ctx, IMPORTS, id_)
    if found is None or not may_see(ctx, found):
        raise NotFound(f"the import {id_} was cancelled", expression="http.url")
    await ImportWork(ctx, found).run()
    return FhirResponse(200, (b"{}",), media_type="application/json")

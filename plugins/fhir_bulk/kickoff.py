"""Kick-off of an export: what is asked is checked before the 202, then a job does it.

Spec: https://hl7.org/fhir/uv/bulkdata/STU2/export.html#bulk-data-kick-off-request
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from urllib.parse import urlencode

from fhir_bulk.asked import Asked, Level, Reading
from fhir_bulk.exports import EXPORTS, Export
from fhir_bulk.imports import IMPORTS
from fhir_bulk.matches import MATCHES
from fhir_bulk.members import Members
from fhir_bulk.records import JOBS, find, may_see, owner_of, save
from fhir_bulk.running import Work
from fhir_server.plugin_api import (
    BadRequest,
    Call,
    FhirRequest,
    FhirResponse,
    Issue,
    NotFound,
    PluginContext,
    RecordChange,
    Snapshot,
    TooManyRequests,
    Where,
    outcome,
)

LINK = "_export"
"""Names the export in the request that its job runs; no client can use it, for it has to come from within a job."""


async def kick_off(ctx: PluginContext, call: Call) -> FhirResponse:
    """Answer `$export`: 202 with the status URL; within its job, do the work.

    Raises:
        BadRequest: not asked to be done beside, or parameters that cannot be read or are not supported.
        TooManyRequests: the client has too many unfinished ones.
    """
    id_ = call.request.parameter(LINK)
    if id_ is not None and ctx.core.in_job:
        return await _work(ctx, id_)
    if id_ is not None:
        raise BadRequest(f"$export has no parameter {LINK!r}", expression=f"http.{LINK}")
    if call.request.preference("respond-async") is None or ctx.core.jobs is None:
        raise BadRequest(
            "$export is answered with files that are made beside the request: ask with the header "
            "`Prefer: respond-async`",
            expression="http.prefer",
        )
    await check_open(ctx)
    export = await _made(ctx, call)
    await save(ctx, export)
    await start(ctx, call.request, (LINK, export.id))
    return accepted(ctx, "exports", export.id)


async def check_open(ctx: PluginContext) -> None:
    """Refuse a client that has too many unfinished jobs. Raises TooManyRequests."""
    mine = [Where("owner", "=", owner_of(ctx.caller)), Where("state", "=", "open")]
    most = ctx.settings.open_jobs
    count = sum(
        [len(await ctx.store.find(each.collection.name, mine, limit=most)) for each in (EXPORTS, IMPORTS, MATCHES)]
    )
    if count >= ctx.settings.open_jobs:
        error = TooManyRequests(f"{count} bulk jobs of this client are not finished: wait, or cancel one")
        error.headers["Retry-After"] = str(ctx.settings.retry_after)
        raise error


async def start(ctx: PluginContext, request: FhirRequest, link: tuple[str, str]) -> None:
    """Have a job do the work of a record; `link` names the record in its request."""
    assert ctx.core.jobs is not None
    inner = request.but(query=(link,), body=b"", headers={})
    response = await ctx.core.jobs.submit(ctx.core, inner)
    job = response.headers["Content-Location"].rpartition("/")[2]
    await ctx.store.put(RecordChange(JOBS.name, link[1], {"job": job}))


def accepted(ctx: PluginContext, kind: str, id_: str) -> FhirResponse:
    """Answer with where to ask how a job stands."""
    where = f"{root(ctx)}/bulk/{kind}/{id_}"
    told = outcome([Issue(f"this runs as a job; ask {where} for it", "informational", "information")])
    return FhirResponse(202, (told,), headers={"Content-Location": where})


def root(ctx: PluginContext) -> str:
    """Return the URL below which the routes of the tenant lie."""
    return ctx.base.removesuffix("/fhir")


async def _made(ctx: PluginContext, call: Call) -> Export:
    level: Level = "group" if call.request.type == "Group" else "patient" if call.request.type else "system"
    snapshot = await Snapshot.latest(ctx.core)
    reading = Reading(call, snapshot, ctx.core.definitions.resource_types)
    asked = reading.read(level)
    asked = replace(asked, patients=await _members(ctx, snapshot, asked, reading))
    _check_types(snapshot, asked, ctx)
    now = ctx.now()
    return Export(
        id=ctx.new_id(),
        owner=owner_of(ctx.caller),
        scopes=ctx.caller.scopes,
        request=_url(call.request),
        asked=asked,
        created=now,
        expires=now + 7 * 86_400_000,
        notes=tuple(reading.notes),
        token=ctx.settings.downloads == "token" and ctx.core.settings.auth != "none",
    )


async def _members(ctx: PluginContext, snapshot: Snapshot, asked: Asked, reading: Reading) -> tuple[str, ...] | None:
    """Hold the patients that are asked for to those there are. Raises NotFound: no such group; BadRequest."""
    if asked.level == "system" or (asked.level == "patient" and asked.patients is None):
        return None
    members = Members(snapshot, ctx.base)
    if asked.level == "group" and not await members.exists(asked.group):
        raise NotFound(f"there is no Group/{asked.group}", expression="http.url")
    if asked.patients is None:
        return None
    there = await members.of(asked.group) if asked.level == "group" else await members.known(asked.patients)
    return tuple(_known(asked.patients, frozenset(there), reading))


def _known(asked: Sequence[str], there: Collection[str], reading: Reading) -> Iterator[str]:
    for id_ in asked:
        if id_ in there:
            yield id_
        else:
            reading.unsupported(f"patient: there is no Patient/{id_}, or it is no member of the group", "http.patient")


def _check_types(snapshot: Snapshot, asked: Asked, ctx: PluginContext) -> None:
    if not asked.types and not any(map(snapshot.may, ctx.core.definitions.resource_types)):
        raise BadRequest("the scopes of this client allow no type to be read", expression="http.url")


def _url(request: FhirRequest) -> str:
    """Return the URL of the request; without the parameters of a POST, as the manifest has it."""
    path = "/".join(part for part in (request.base, request.type, request.id, "$export") if part)
    return f"{path}?{urlencode(request.query, safe=':,/|$*')}" if request.query else path


async def _work(ctx: PluginContext, id_: str) -> FhirResponse:
    export = await find(ctx, EXPORTS, id_)
    if export is None or not may_see(ctx, export):
        raise NotFound(f"the export {id_} was cancelled", expression="http.url")
    await Work(ctx, export).run()
    return FhirResponse(200, (b"{}",), media_type="application/json")

"""`$meta`: the profiles, tags and security labels of a resource, or all those in use on a type or the system.

Spec: https://hl7.org/fhir/R4/resource-operation-meta.html
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from fhir_server.context import Context
from fhir_server.errors import Gone, NotFound, PreconditionFailed
from fhir_server.interactions.preconditions import etags
from fhir_server.interactions.visibility import visible_version
from fhir_server.model.exchange import FhirRequest
from fhir_server.model.version import Version, instant
from fhir_server.operations.facts import r4
from fhir_server.operations.meta_values import joined
from fhir_server.operations.operation import Call, CoreOperation
from fhir_server.operations.outputs import Outputs
from fhir_server.search import query as q
from fhir_server.search.restrict import restrict

_PAGE = 1_000
_LABELLED = ("_tag", "_security", "_profile")


class _Stored(msgspec.Struct):
    meta: dict[str, Any] = msgspec.field(default_factory=dict)


_decoder = msgspec.json.Decoder(_Stored)


async def _run(ctx: Context, call: Call) -> Outputs:
    request = call.request
    if request.id is None:
        return Outputs([("return", await _in_use(ctx, request.type))])
    version = await the_version(ctx, request)
    return Outputs([("return", meta_of(version))], version=version)


async def the_version(ctx: Context, request: FhirRequest) -> Version:
    """Return the version that a call is on.

    Raises:
        NotFound: there is none, or the caller may not see it.
        Gone: it is a deletion.
    """
    version = await _read(ctx, request)
    if version is None or not await visible_version(ctx, version):
        raise NotFound(f"there is no {request.key}", expression="http.url")
    if version.deleted:
        raise Gone(f"{version.key} was deleted as version {version.version}", expression="http.url")
    tags = request.headers.get("if-match")
    if tags is not None and str(version.version) not in etags(tags) and tags.strip() != "*":
        raise PreconditionFailed(f"{version.key} is at version {version.version}", expression="http.if-match")
    return version


async def _read(ctx: Context, request: FhirRequest) -> Version | None:
    if request.vid is None:
        return await ctx.store.read(request.key)
    number = int(request.vid) if request.vid.isascii() and request.vid.isdigit() and len(request.vid) < 16 else 0
    return await ctx.store.read_version(request.key, number) if number else None


def meta_of(version: Version) -> Mapping[str, Any]:
    """Return the whole meta of a version, with what the server owns of it."""
    own = {"versionId": str(version.version), "lastUpdated": instant(version.last_updated)}
    return {**own, **_decoder.decode(version.body.data).meta}


async def _in_use(ctx: Context, type_: str | None) -> Mapping[str, Any]:
    """Return the labels of all resources that have any."""
    meta: Mapping[str, Any] = {}
    async for version in _labelled(ctx, type_):
        meta = joined(meta, _decoder.decode(version.body.data).meta)
    return {name: value for name, value in meta.items() if name in ("profile", "security", "tag")}


async def _labelled(ctx: Context, type_: str | None) -> AsyncIterator[Version]:
    types = (type_,) if type_ else tuple(t for t in ctx.parameters.types if ctx.restriction.may("search-type", t))
    node = q.Or(tuple(q.Missing(code, False) for code in _LABELLED))
    search = restrict(q.Search(dict.fromkeys(types, node), count=_PAGE), ctx.restriction.visibility)
    while True:
        page = await ctx.store.search(search)
        for version in page.versions:
            yield version
        if page.next is None:
            return
        search = replace(search, after=page.next)


meta = CoreOperation(
    facts=r4("Resource-meta"),
    handler=_run,
    summary="The meta of a resource or of one version; on a type or the system all labels in use.",
)

"""The FHIR patch interaction: JSON Patch, FHIRPath Patch and XML Patch, by id and by condition.

A JSON object that is no resource is read as a JSON Merge Patch, which clients such as fhirpy send.

Spec: https://hl7.org/fhir/R4/http.html#patch
"""

import asyncio
from typing import Literal

from fhir_server.context import Context, Planned
from fhir_server.errors import (
    BadRequest,
    Gone,
    InvalidResource,
    MultipleMatches,
    NotFound,
    PreconditionFailed,
    UnsupportedMediaType,
)
from fhir_server.interactions.conditional import Find, find
from fhir_server.interactions.findings import Wishes
from fhir_server.interactions.preconditions import if_match
from fhir_server.interactions.prepare import INLINE, minified, parse, prepare
from fhir_server.interactions.targets import Target
from fhir_server.interactions.visibility import visible
from fhir_server.interactions.write import write
from fhir_server.model.exchange import FhirRequest, FhirResponse
from fhir_server.model.json import decode, encode
from fhir_server.model.version import Version
from fhir_server.storage.base import Condition

Kind = Literal["json", "fhirpath", "xml", "merge"]
_KINDS: dict[str, Kind] = {
    "application/json-patch+json": "json",
    "application/xml-patch+xml": "xml",
    "application/fhir+json": "fhirpath",
    "application/merge-patch+json": "fhirpath",
}


async def patch(ctx: Context, request: FhirRequest) -> FhirResponse:
    """Answer `PATCH [base]/Patient/123` and `PATCH [base]/Patient?identifier=...`.

    Raises:
        NotFound, Gone: there is nothing to patch.
        BadRequest: the patch cannot be read, or cannot be applied.
        InvalidResource: what comes out breaks rules of FHIR.
        PreconditionFailed: If-Match does not hold.
        MultipleMatches: several resources match the condition.
    """
    return await write(ctx, request, plan_patch)


async def plan_patch(ctx: Context, request: FhirRequest) -> Planned:
    """Plan a patch on the version that is current now; if that changes before the commit, it is made again."""
    target = await settle_patch(ctx, request)
    patched = await apply(ctx, request, target)
    prepared = await prepare(ctx, patched, target.key, same_id=True, wishes=Wishes.of(request))
    return Planned((target.change("PATCH", prepared),), target.key, guessed=True, issues=prepared.issues)


async def settle_patch(ctx: Context, request: FhirRequest, find: Find = find) -> Target:
    """Find the version to patch."""
    version, conditions = await _find(ctx, request, find)
    tags = if_match(request)
    if tags is not None and tags != ("*",) and str(version.version) not in tags:
        raise PreconditionFailed(f"{version.key} is at version {version.version}", expression="http.if-match")
    return Target(version.key, version.version, conditions, version, guessed=True)


async def _find(ctx: Context, request: FhirRequest, find: Find) -> tuple[Version, tuple[Condition, ...]]:
    if request.id is None:
        matches = await find(ctx, request.type or "", request.query)
        if not matches.versions:
            raise NotFound(f"the condition finds no {request.type} to patch", expression="http.url")
        if len(matches.versions) > 1:
            raise MultipleMatches(f"the condition matches several {request.type}", expression="http.url")
        return matches.versions[0], (matches.condition,)
    version = await ctx.store.read(request.key)
    if version is None or not await visible(ctx, version):
        raise NotFound(f"there is no {request.key} to patch", expression="http.url")
    if version.deleted:
        raise Gone(f"{version.key} was deleted as version {version.version}", expression="http.url")
    return version, ()


async def apply(ctx: Context, request: FhirRequest, target: Target) -> bytes:
    """Return the patched resource as JSON. Raises BadRequest, UnsupportedMediaType or InvalidResource."""
    size = len(target.found.body.data) if target.found else 0
    if len(request.body) + size > INLINE:
        return await asyncio.to_thread(apply_now, ctx, request, target)
    return apply_now(ctx, request, target)


def apply_now(ctx: Context, request: FhirRequest, target: Target) -> bytes:
    """Do the work of `apply` where the caller stands."""
    kind = _KINDS.get(request.content_type.partition(";")[0].strip())
    if kind is None or target.found is None:
        raise UnsupportedMediaType(
            f"a patch is one of {', '.join(_KINDS)}, not {request.content_type[:80]!r}", expression="http.content-type"
        )
    body: bytes | dict[str, object] = request.body
    if kind == "fhirpath":
        body = parse(minified(request.body), ctx.settings.max_depth)
        if "resourceType" not in body:
            kind = "merge"
        elif body["resourceType"] != "Parameters":
            raise BadRequest("a FHIRPath patch is a Parameters resource", expression="Parameters")
    resource = decode(target.found.stamped())
    patched = ctx.apply_patch(kind, resource, body, ctx.definitions)
    if patched.get("id") != target.key.id or patched.get("resourceType") != target.key.type:
        raise InvalidResource("a patch cannot change the id or the type", expression=f"{target.key.type}.id")
    return encode(patched)

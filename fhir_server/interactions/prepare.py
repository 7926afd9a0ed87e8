"""The one road from the bytes of a resource to what a Change holds: decode, check, validate, make body, extract."""

import asyncio
from dataclasses import dataclass
from typing import Any

from fhir_server.context import Context
from fhir_server.errors import BadJson, BadRequest, InvalidResource, Issue
from fhir_server.interactions.findings import NO_WISHES, Wishes, validated
from fhir_server.interactions.integrity import targets
from fhir_server.interactions.stored_body import stored_body
from fhir_server.model.json import JsonError, decode, minify
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Body
from fhir_server.search.entries import IndexEntries

INLINE = 64_000
"""Bytes up to which a resource is prepared on the event loop; larger ones go to a thread, so that others are served."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A resource ready to be written: stored bytes, index rows and, where integrity is kept, what it refers to.

    `issues` are findings that do not stand in the way of the write, as far as the client asked for them.
    """

    body: Body
    entries: IndexEntries
    requires: tuple[ResourceKey, ...] = ()
    issues: tuple[Issue, ...] = ()


async def prepare(
    ctx: Context, raw: bytes, key: ResourceKey, *, same_id: bool = False, wishes: Wishes = NO_WISHES
) -> Prepared:
    """Check a resource as it came and make it ready under `key`.

    same_id: the resource has to carry the id of `key` (an update); else its own id and what the server owns of meta
        are ignored (a create).

    Raises:
        BadRequest: broken JSON, another type than the URL names, another id.
        InvalidResource: it breaks rules of FHIR; all findings at once.
    """
    if len(raw) <= INLINE:
        return prepare_now(ctx, raw, key, same_id=same_id, wishes=wishes)
    return await asyncio.to_thread(prepare_now, ctx, raw, key, same_id=same_id, wishes=wishes)


def prepare_now(
    ctx: Context, raw: bytes, key: ResourceKey, *, same_id: bool = False, wishes: Wishes = NO_WISHES
) -> Prepared:
    """Do the work of `prepare` where the caller stands."""
    return prepare_small(ctx, minified(raw), key, same_id=same_id, wishes=wishes)


def prepare_small(
    ctx: Context, small: bytes, key: ResourceKey, *, same_id: bool = False, wishes: Wishes = NO_WISHES
) -> Prepared:
    """Do the same with a resource that is minified already."""
    resource = parse(small, ctx.settings.max_depth)
    check_type(resource, key.type)
    if same_id:
        _check_id(resource, key)
    resource["id"] = key.id
    if not isinstance(resource.get("meta", {}), dict):
        raise BadRequest("meta is not an object", expression=f"{key.type}.meta")
    issues = validated(ctx, resource, key.type, wishes)
    if key.type == "SearchParameter":
        _check_search_parameter(ctx, resource)
    entries = ctx.extractor.extract(key.type, resource, own_base=ctx.base)
    requires = _requires(ctx, resource, key) if ctx.settings.integrity_on_write else ()
    return Prepared(stored_body(small, resource, key), entries, requires, issues)


def _requires(ctx: Context, resource: dict[str, Any], key: ResourceKey) -> tuple[ResourceKey, ...]:
    """Return what has to exist; events of the audit are kept outside of the record, where no commit sees them."""
    found = targets(resource, key)
    return found if ctx.auditor is None else tuple(each for each in found if each.type != "AuditEvent")


def minified(raw: bytes) -> bytes:
    """Remove white space; raises BadJson for what is not JSON."""
    if not raw:
        raise BadJson("the request has no body; a resource is needed", expression="http.body")
    try:
        return minify(raw)
    except JsonError as error:
        raise BadJson(str(error), expression="http.body") from None


def parse(raw: bytes, max_depth: int) -> dict[str, Any]:
    """Parse a JSON object strictly; raises BadJson."""
    try:
        resource = decode(raw, max_depth=max_depth)
    except JsonError as error:
        raise BadJson(str(error), expression="http.body") from None
    if not isinstance(resource, dict):
        raise BadJson("the body is not a JSON object", expression="http.body")
    return resource


def check_type(resource: dict[str, Any], type_: str) -> None:
    """Hold the resource to the type that the URL names. Raises BadRequest."""
    found = resource.get("resourceType")
    if found != type_:
        said = f"a {found}" if isinstance(found, str) else "no resource: it has no resourceType"
        raise BadRequest(f"the URL names {type_}, but the body is {said}", expression=type_)


def _check_id(resource: dict[str, Any], key: ResourceKey) -> None:
    """Spec: https://hl7.org/fhir/R4/http.html#update"""
    found = resource.get("id")
    if found is None:
        raise BadRequest(f"an update needs the id in the body too: {key.id!r}", expression=f"{key.type}.id")
    if found != key.id:
        raise BadRequest(f"the URL names {key}, but the body has the id {found!r}", expression=f"{key.type}.id")


def _check_search_parameter(ctx: Context, resource: dict[str, Any]) -> None:
    """Refuse an active SearchParameter that could never answer: once stored it is in force for everybody.

    Spec: https://hl7.org/fhir/R4/searchparameter.html
    """
    if resource.get("status") != "active":
        return
    try:
        ctx.parameters.check(resource)
    except ValueError as error:
        raise InvalidResource(str(error), expression="SearchParameter.expression") from None

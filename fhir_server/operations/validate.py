"""`$validate`: whether a resource could be created, updated or deleted, without doing it.

Spec: https://hl7.org/fhir/R4/resource-operation-validate.html
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from fhir_server.context import Context
from fhir_server.definitions import OperationFacts
from fhir_server.errors import BadRequest, BadValue, Issue
from fhir_server.interactions.integrity import targets
from fhir_server.interactions.outcome import outcome
from fhir_server.interactions.visibility import visible, visible_keys
from fhir_server.model.json import decode
from fhir_server.model.keys import ResourceKey
from fhir_server.operations.facts import r4
from fhir_server.operations.meta import the_version
from fhir_server.operations.operation import Call, CoreOperation
from fhir_server.operations.outputs import Outputs
from fhir_server.operations.referenced import validated_with_references
from fhir_server.search import query as q

_NAMED = 10
_BASE = "http://hl7.org/fhir/StructureDefinition/"
Json = Mapping[str, Any]


async def _run(ctx: Context, call: Call) -> Outputs:
    """Answer with an OperationOutcome, also where the resource is bad.

    Raises:
        BadRequest: there is nothing to validate, or `mode` is none.
        NotFound, Gone: the instance that is to be validated does not exist.
    """
    mode = call.inputs.one("mode", "")
    if mode not in _MODES:
        raise BadValue(f"mode is create, update, delete or profile, not {mode[:40]!r}", expression="mode")
    issues = await _MODES[mode](ctx, call)
    return Outputs([("return", outcome(issues or [_fine(mode)]))])


def _fine(mode: str) -> Issue:
    return Issue("may be deleted" if mode == "delete" else "no fault was found", "informational", "information")


async def _delete(ctx: Context, call: Call) -> list[Issue]:
    """Tell whether a delete would be refused. Spec: https://hl7.org/fhir/R4/http.html#delete"""
    if call.request.id is None:
        raise BadRequest("mode=delete is about one resource: call $validate on it", expression="http.url")
    version = await the_version(ctx, call.request)
    if not ctx.settings.integrity_on_delete or not (referrers := await _referrers(ctx, version.key)):
        return []
    seen = await visible_keys(ctx, referrers[:_NAMED])
    by = ", ".join(map(str, seen)) or "other resources"
    more = " and others" if seen and len(referrers) > len(seen) else ""
    return [Issue(f"cannot be deleted: it is referred to by {by}{more}", "conflict", expression=(version.key.type,))]


async def _referrers(ctx: Context, key: ResourceKey) -> list[ResourceKey]:
    """Return resources that refer to this one, whether the caller may see them or not: a delete would find them."""
    types = ctx.definitions.resource_types
    includes = tuple(q.Include(type_, "*", key.type, reverse=True) for type_ in sorted(types))
    page = await ctx.store.search(q.Search({key.type: q.Ids((key.id,))}, count=1, includes=includes))
    return [version.key for version in page.included if version.key != key]


async def _create(ctx: Context, call: Call) -> list[Issue]:
    return await _checked(ctx, call)


async def _update(ctx: Context, call: Call) -> list[Issue]:
    """Check the id too. Spec: https://hl7.org/fhir/R4/http.html#update"""
    issues = await _checked(ctx, call)
    resource, id_ = call.inputs.one("resource"), call.request.id
    if resource is None:
        return issues
    given, type_ = resource.get("id"), resource["resourceType"]
    if not isinstance(given, str) or (id_ is not None and given != id_):
        wanted = f"the id of the URL, {id_!r}" if id_ is not None else "the id of what it updates"
        return [*issues, Issue(f"an update needs {wanted}, in the body", "invalid", expression=(f"{type_}.id",))]
    if not ctx.settings.update_create and await _unknown(ctx, ResourceKey(type_, given)):
        issues.append(Issue(f"there is no {type_}/{given[:64]} to update", "not-found", expression=(f"{type_}.id",)))
    return issues


async def _unknown(ctx: Context, key: ResourceKey) -> bool:
    version = await ctx.store.read(key)
    return version is None or not await visible(ctx, version)


async def _profile(ctx: Context, call: Call) -> list[Issue]:
    if "profile" not in call.inputs.values:
        raise BadRequest("mode=profile needs the parameter profile", expression="profile")
    return await _checked(ctx, call)


async def _checked(ctx: Context, call: Call) -> list[Issue]:
    """Find all that there is to say, whatever the settings: more than a write would be refused for."""
    resource = call.inputs.one("resource")
    if resource is None:
        if call.request.id is None:
            raise BadRequest("$validate needs a resource", expression="resource")
        resource = decode((await the_version(ctx, call.request)).stamped())
    own = _BASE + str(resource.get("resourceType"))
    profiles = tuple(profile for profile in call.inputs.many("profile") if profile != own)
    issues = await validated_with_references(ctx, resource, call.request.type, profiles)
    issues += [
        issue for profile in profiles for issue in _must_support(ctx, profile, str(resource.get("resourceType")))
    ]
    if any(issue.severity == "error" for issue in issues):
        return sorted(issues, key=lambda issue: issue.severity != "error")
    return [*_search_parameter(ctx, resource), *await _missing(ctx, resource), *issues]


def _must_support(ctx: Context, profile: str, type_: str) -> list[Issue]:
    """List what a profile that was asked for wants to be supported, for who writes or reads such resources."""
    paths = ctx.validator.must_support(profile)
    said = f"{profile} marks as must-support: {', '.join(paths)}"
    return [Issue(said, "informational", "information", (type_,))] if paths else []


def _search_parameter(ctx: Context, resource: Json) -> list[Issue]:
    """An active SearchParameter that could never answer is refused too."""
    if resource["resourceType"] != "SearchParameter" or resource.get("status") != "active":
        return []
    try:
        ctx.parameters.check(dict(resource))
    except ValueError as error:
        return [Issue(str(error), "invariant", expression=("SearchParameter.expression",))]
    return []


async def _missing(ctx: Context, resource: Json) -> list[Issue]:
    """Name references to what does not exist, where such are refused."""
    if not ctx.settings.integrity_on_write:
        return []
    type_ = resource["resourceType"]
    wanted = targets(resource, ResourceKey(type_, str(resource.get("id", ""))))
    found = await ctx.store.read_many(wanted)
    there = {key for key, version in found.items() if not version.deleted}
    return [
        Issue(f"refers to {key}, which does not exist", "not-found", expression=(type_,))
        for key in wanted
        if key not in there
    ]


_MODES: Mapping[str, Callable[[Context, Call], Awaitable[list[Issue]]]] = {
    "": _create,
    "create": _create,
    "update": _update,
    "delete": _delete,
    "profile": _profile,
}


def _facts() -> OperationFacts:
    """R4 takes one profile, and a resource at the URL of its type; we take several, and any resource at the base."""
    facts = r4("Resource-validate")
    parameters = (replace(p, max=None) if p.name == "profile" else p for p in facts.parameters)
    return replace(facts, system=True, parameters=tuple(parameters))


validate = CoreOperation(
    facts=_facts(),
    handler=_run,
    summary="Whether a resource could be created, updated or deleted; nothing is stored.",
)

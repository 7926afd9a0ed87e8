"""`$diff`: what changed between two versions of a resource, or between two resources, as a FHIRPath Patch."""

import asyncio
import re
from collections.abc import Mapping
from typing import Any

from fhir_server.context import Context
from fhir_server.errors import BadRequest, BadValue, Forbidden, Gone, InvalidResource, NotFound
from fhir_server.interactions.visibility import visible_version
from fhir_server.model.json import decode
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.operations.facts import own
from fhir_server.operations.operation import Call, CoreOperation
from fhir_server.operations.outputs import Outputs, Typed
from fhir_server.operations.patch_between import patch_between

Json = Mapping[str, Any]
_REFERENCE = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/([1-9][0-9]{0,14}))?", re.ASCII)


async def _versions(ctx: Context, call: Call) -> Outputs:
    """Compare two versions; by default those that the latest change lies between."""
    key, inputs = call.request.key, call.inputs
    if call.request.vid is not None or ("version" in inputs.values and "from" in inputs.values):
        raise BadRequest("the versions are named by from and to, or by version alone", expression="http.url")
    newer = await _version(ctx, key, inputs.one("to"))
    first = inputs.one("version", inputs.one("from"))
    older = await _version(ctx, key, max(1, newer.version - 1) if first is None else first)
    return await _compared(ctx, decode(older.stamped()), decode(newer.stamped()))


async def _resources(ctx: Context, call: Call) -> Outputs:
    """Compare two resources, given or referred to."""
    old, new = [await _resource(ctx, name, call.inputs.one(name)) for name in ("from", "to")]
    if old["resourceType"] != new["resourceType"]:
        raise BadRequest("from and to are of two types; a patch cannot change the type", expression="Parameters")
    return await _compared(ctx, old, new)


async def _resource(ctx: Context, name: str, given: Any) -> Json:
    if isinstance(given, dict) and "resourceType" in given:
        return given
    text = given.get("reference") if isinstance(given, dict) else given
    found = _REFERENCE.fullmatch(text.removeprefix(f"{ctx.base}/")) if isinstance(text, str) else None
    if found is None:
        raise BadValue(f"{name} is neither a resource nor a reference to one of this server", expression=name)
    key = ResourceKey(found[1], found[2])
    if not ctx.restriction.may("vread" if found[3] else "read", key.type):
        raise Forbidden(f"read of {key.type} is not allowed", expression=name)
    body: Json = decode((await _version(ctx, key, int(found[3]) if found[3] else None)).stamped())
    return body


async def _version(ctx: Context, key: ResourceKey, number: int | None) -> Version:
    """Return a version, the current one without a number.

    Raises:
        NotFound: there is none, or the caller may not see it.
        Gone: it is a deletion.
    """
    version = await (ctx.store.read(key) if number is None else ctx.store.read_version(key, number))
    if version is None or not await visible_version(ctx, version):
        raise NotFound(f"there is no {f'version {number} of ' if number else ''}{key}", expression="http.url")
    if version.deleted:
        raise Gone(f"version {version.version} of {key} is its deletion", expression="http.url")
    return version


async def _compared(ctx: Context, old: Json, new: Json) -> Outputs:
    operations = await asyncio.to_thread(_patch, ctx, old, new)
    return Outputs([("operation", Typed("parts", operation["part"])) for operation in operations])


def _patch(ctx: Context, old: Json, new: Json) -> list[dict[str, Any]]:
    """Compare what is known to be well formed: a store may hold what came in unvalidated."""
    for resource in (old, new):
        if issues := ctx.validator.check(resource, level="structure"):
            raise InvalidResource("only valid resources can be compared", issues=issues)
    return patch_between(old, new, ctx.definitions)


diff = CoreOperation(
    facts=own("diff"),
    handler=_versions,
    summary="What changed between two versions of a resource, as a FHIRPath Patch.",
)
diff_resources = CoreOperation(
    facts=own("diff-resources"),
    handler=_resources,
    summary="What makes the second of two resources of the first, as a FHIRPath Patch.",
)

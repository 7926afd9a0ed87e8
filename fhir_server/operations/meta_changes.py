"""`$meta-add` and `$meta-delete`: labels put on a resource or taken off, all else left as it is.

Spec: https://hl7.org/fhir/R4/resource-operation-meta-add.html,
https://hl7.org/fhir/R4/resource-operation-meta-delete.html
"""

from collections.abc import Callable, Mapping
from typing import Any

from fhir_server.context import Context, Planned
from fhir_server.errors import BadRequest, Forbidden
from fhir_server.interactions.preconditions import if_match
from fhir_server.interactions.prepare import prepare
from fhir_server.interactions.write import commit
from fhir_server.model.json import encode, members
from fhir_server.model.version import Version
from fhir_server.operations.facts import r4
from fhir_server.operations.meta import meta_of, the_version
from fhir_server.operations.meta_values import joined, without
from fhir_server.operations.operation import Call, CoreOperation, Handler
from fhir_server.operations.outputs import Outputs
from fhir_server.storage.base import Change

Changed = Callable[[Mapping[str, Any], Mapping[str, Any]], dict[str, Any]]


def _handler(changed: Changed) -> Handler:
    async def run(ctx: Context, call: Call) -> Outputs:
        given = call.inputs.one("meta")
        if not isinstance(given, dict) or not any(given.get(name) for name in ("profile", "tag", "security")):
            raise BadRequest("meta names no profile, tag or security label", expression="Meta")
        if call.request.vid is not None:
            raise BadRequest("the meta of an old version is part of the record and stays", expression="http.url")
        version = await _write(ctx, call, given, changed)
        return Outputs([("return", meta_of(version))], version=version)

    return run


async def _write(ctx: Context, call: Call, given: Mapping[str, Any], changed: Changed) -> Version:
    """Write the new version; where labels do not change, there is none."""

    async def plan() -> Planned:
        version = await the_version(ctx, call.request)
        old = {name: value for name, value in meta_of(version).items() if name not in ("versionId", "lastUpdated")}
        new = changed(old, given)
        if new == old:
            return Planned((), version.key, found=version)
        removed = _labels_removed(ctx, old, new)
        prepared = await prepare(ctx, _with_meta(version.body.data, new), version.key, same_id=True)
        change = Change(
            version.key, "PUT", prepared.body, prepared.entries, version.version,
            requires=prepared.requires, unlabels=removed,
        )  # fmt: skip
        return Planned((change,), version.key, guessed=if_match(call.request) is None)

    planned, result = await commit(ctx, plan)
    version = result.written[0].version if result.written else planned.found
    if version is None:
        raise AssertionError("there is a version, written or found")
    return version


def _labels_removed(ctx: Context, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Tell whether security labels go. Raises Forbidden for who may not take them off."""
    removed = len(new.get("security", ())) < len(old.get("security", ()))
    caller = ctx.caller
    if removed and not caller.admin and set(caller.roles).isdisjoint(ctx.settings.label_removers):
        raise Forbidden("security labels are taken off by who is trusted with that", expression="Meta.security")
    return removed


def _with_meta(data: bytes, meta: Mapping[str, Any]) -> bytes:
    """Put another meta into stored bytes, or none if nothing is left of it; all other members keep their bytes."""
    parts = {**members(data), "meta": encode(meta)}
    if not meta:
        del parts["meta"]
    return b"{" + b",".join([encode(name) + b":" + value for name, value in parts.items()]) + b"}"


meta_add = CoreOperation(
    facts=r4("Resource-meta-add", affects_state=True),
    handler=_handler(joined),
    summary="Add profiles, tags and security labels; a new version, nothing else changes.",
)
meta_delete = CoreOperation(
    facts=r4("Resource-meta-delete", affects_state=True),
    handler=_handler(without),
    summary="Take profiles, tags and security labels away; a new version, nothing else changes.",
)

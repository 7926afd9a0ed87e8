"""Several resources at once, for plugins: who refers to a resource, and one commit of many resources."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fhir_server.context import Commit, Context
from fhir_server.errors import Busy, Forbidden
from fhir_server.interactions.entries import breathe
from fhir_server.interactions.integrity import targets
from fhir_server.interactions.prepare import prepare
from fhir_server.interactions.stored_body import stored_body
from fhir_server.model.json import encode
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.search.query import Node, Or, Reference, ReferenceValue, Search
from fhir_server.search.restrict import restrict
from fhir_server.storage.base import Change, Condition, ConditionChanged, Method

_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Put:
    """A resource to write under its own id.

    expected: the version that it was read at; 0 for a new one.
    trusted: only what the plugin itself changed differs from what is stored, so it is not validated again.
    """

    resource: Mapping[str, Any]
    expected: int
    trusted: bool = False

    @property
    def key(self) -> ResourceKey:
        """Type and id."""
        return ResourceKey(str(self.resource["resourceType"]), str(self.resource["id"]))


@dataclass(frozen=True, slots=True)
class Referrers:
    """Who refers to a resource now: those that may be seen, and how many may not. `condition`: that these are all."""

    versions: tuple[Version, ...]
    withheld: int
    condition: Condition


async def referring(ctx: Context, key: ResourceKey) -> Referrers:
    """Find the current resources that refer to another by anything that is indexed, links to patients included."""
    whole = Search({type_: node for type_ in ctx.parameters.types if (node := _naming(ctx, type_, key))}, count=_PAGE)
    visibility = ctx.restriction.visibility
    seen = await _all(ctx, restrict(whole, visibility))
    there = seen if visibility.unrestricted else await _all(ctx, whole)
    versions = seen
    if ctx.deciders is not None and ctx.deciders.shows:
        versions = [await ctx.deciders.version(ctx, version) for version in seen]
    found = frozenset(version.key for version in there)
    return Referrers(tuple(versions), len(there) - len(seen), Condition(whole, found))


def _naming(ctx: Context, type_: str, key: ResourceKey) -> Node | None:
    table = ctx.parameters.indexed(type_)
    codes = [code for code, parameter in table.items() if parameter.type == "reference"]
    value = (ReferenceValue(key.type, key.id),)
    return Or(tuple(Reference(code, value, (key.type,)) for code in codes)) if codes else None


async def _all(ctx: Context, search: Search) -> list[Version]:
    found: list[Version] = []
    while True:
        page = await ctx.store.search(search)
        found += page.versions
        if page.next is None:
            return found
        search = replace(search, after=page.next)


async def put_all(ctx: Context, commit: Commit, puts: Sequence[Put], only_if: Condition | None) -> tuple[Version, ...]:
    """Write all or nothing, in one commit; return the versions in order.

    Raises:
        Forbidden: one is outside of what was granted.
        InvalidResource: one breaks rules of FHIR.
        PreconditionFailed: one is no longer at its version. Busy: the condition no longer holds.
    """
    changes = []
    for number, put in enumerate(puts):
        changes.append(await _change(ctx, put))
        await breathe(number)
    if only_if is not None and changes:
        changes[0] = replace(changes[0], conditions=(only_if,))
    try:
        result = await commit(changes)
    except ConditionChanged as error:
        raise Busy("somebody wrote what this is about at the same time; try again") from error
    return tuple(each.version for each in result.written if each.version is not None)


async def _change(ctx: Context, put: Put) -> Change:
    key = put.key
    kind = "update" if put.expected else "create"
    if not ctx.restriction.may(kind, key.type):
        raise Forbidden(f"{kind} of {key.type} is not allowed", expression=key.type)
    method: Method = "PUT" if put.expected else "POST"
    raw = encode(put.resource)
    if put.trusted:
        entries = ctx.extractor.extract(key.type, dict(put.resource), own_base=ctx.base)
        requires = targets(put.resource, key) if ctx.settings.integrity_on_write else ()
        body = stored_body(raw, put.resource, key)
        return Change(key, method, body, entries, put.expected, requires=requires)
    made = await prepare(ctx, raw, key, same_id=True)
    return Change(key, method, made.body, made.entries, put.expected, requires=made.requires)

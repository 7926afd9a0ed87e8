"""The last gate before the store: whether the caller may write each of these changes.

Every write of a request goes through `ctx.commit`, so this is the one place where new content is held to what was
granted: an app for one patient cannot write a record of another, nor move a record there.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from fhir_server.context import Context
from fhir_server.errors import Forbidden
from fhir_server.interactions.labels import keeping_labels
from fhir_server.interactions.masking import keeping_hidden, whole
from fhir_server.interactions.visibility import holds, holds_of
from fhir_server.model.json import decode
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.search.entries import IndexEntries
from fhir_server.search.match import Found
from fhir_server.search.parameters_links import CONTENT
from fhir_server.search.query import EVERYTHING
from fhir_server.storage.base import Change, MissingTargets


@dataclass(frozen=True, slots=True)
class _Future:
    """A version that is not written yet."""

    key: ResourceKey
    last_updated: int


async def admit(ctx: Context, changes: Sequence[Change]) -> list[Change]:
    """Let the changes pass; return them with the labels that stay, and bound to the versions that were looked at.

    Raises:
        Forbidden: one of them is not granted. The answer is the same whether or not a hidden resource is there.
        MissingTargets: one refers to what the caller may not know of, as if that were not there.
    """
    now, changes = ctx.now(), [await _with_hidden(ctx, change) for change in changes]
    beside = {c.key: Found(_Future(c.key, now), c.entries) for c in changes if c.method != "DELETE"}
    admitted = []
    for change in changes:
        current = await _current(ctx, change)
        if not await _granted(ctx, change, current, beside):
            raise Forbidden(f"{change.key.type}: this write is outside of what was granted", expression=change.key.type)
        await _check_named(ctx, change, current, beside)
        kept = change if current is None else keeping_labels(ctx, change, current)
        kept = _heeding_the_visible(ctx, kept)
        admitted.append(_bound(ctx, kept, current))
    return admitted


async def _current(ctx: Context, change: Change) -> Version | None:
    """Return what is there; nothing needs to be read for a create under a new id."""
    if change.method == "POST" and change.expected == 0:
        return None
    current = await ctx.store.read(change.key)
    return None if current is None or current.deleted else whole(current)


async def _with_hidden(ctx: Context, change: Change) -> Change:
    """Return the change with what is masked for the caller, as it stands in the current version."""
    mask = ctx.restriction.mask
    current = await _current(ctx, change) if mask is not None else None
    return change if mask is None or current is None else keeping_hidden(ctx, mask, change, current)


async def _granted(ctx: Context, change: Change, current: Version | None, beside: Mapping[ResourceKey, Found]) -> bool:
    type_ = change.key.type
    # An update that creates is an update: .../scopes-and-launch-context.html#scopes-for-requesting-fhir-resources
    letter = "d" if change.method == "DELETE" else "c" if change.method == "POST" else "u"
    scoped = ctx.restriction.writable(letter, type_)  # type: ignore[arg-type]  # one of the three
    if current is not None and not (
        await holds(ctx, scoped, current) and await holds(ctx, ctx.restriction.permitted(type_), current)
    ):
        return False
    if change.method == "DELETE" or scoped == EVERYTHING:
        return True
    return await holds_of(ctx, scoped, beside[change.key].version, change.entries, beside)


async def _check_named(
    ctx: Context, change: Change, current: Version | None, beside: Mapping[ResourceKey, Found]
) -> None:
    """Hold references to what the caller may know of: where they have to exist, hidden ones are as good as none.

    Who points to content makes it readable, so that is asked for in any case.
    """
    if ctx.restriction.nameable.unrestricted:
        return
    contents = await _new_contents(ctx, change, current)
    missing = [key for key in change.requires if not await _known(ctx, key, beside)]
    if missing:
        raise MissingTargets(change.key, missing)
    for key in contents:
        if not await _known(ctx, key, beside):
            raise Forbidden(f"{change.key.type} names content that it may not", expression=change.key.type)


async def _new_contents(ctx: Context, change: Change, current: Version | None) -> Iterable[ResourceKey]:
    named = _contents(change.entries)
    if not named or current is None:
        return sorted(named)
    resource = decode(current.body.data)
    before = ctx.extractor.some(current.key.type, resource, frozenset((CONTENT,)), own_base=ctx.base)
    return sorted(named - _contents(before))


def _contents(entries: IndexEntries) -> set[ResourceKey]:
    return {
        ResourceKey(type_, id_) for code, type_, id_, _, _ in entries.references if code == CONTENT and type_ and id_
    }


async def _known(ctx: Context, key: ResourceKey, beside: Mapping[ResourceKey, Found]) -> bool:
    if key in beside:
        return True
    predicate = ctx.restriction.nameable.of(key.type)
    if predicate == EVERYTHING:
        return True
    version = await ctx.store.read(key)
    return version is not None and not version.deleted and await holds(ctx, predicate, version)


def _heeding_the_visible(ctx: Context, change: Change) -> Change:
    """A delete is refused for what the caller can know of: a refusal for anything else would tell that it is there."""
    visibility = ctx.restriction.visibility
    seen = visibility.beside or visibility
    return replace(change, heeding=seen) if change.keep_referenced and not seen.unrestricted else change


def _bound(ctx: Context, change: Change, current: Version | None) -> Change:
    """Insist on the version that was looked at: nobody may exchange it before the commit."""
    if change.expected is not None or ctx.restriction.nameable.unrestricted:
        return change
    if change.method == "DELETE" and current is None:
        return change
    return replace(change, expected=current.version if current else 0)

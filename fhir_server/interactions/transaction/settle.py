"""Which resource each write of a transaction is about, and that no two are about the same."""

from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from fhir_server.context import Context, Planned
from fhir_server.errors import BadRequest, FhirError, Issue
from fhir_server.interactions.create import new_target, settle_create
from fhir_server.interactions.delete import plan_delete
from fhir_server.interactions.entries import breathe, located
from fhir_server.interactions.patch import settle_patch
from fhir_server.interactions.targets import Target
from fhir_server.interactions.transaction.overlay import Overlay
from fhir_server.interactions.transaction.references import named_with_version
from fhir_server.interactions.transaction.steps import Step
from fhir_server.interactions.update import settle_update
from fhir_server.model.keys import ResourceKey

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Settled:
    """The targets of creates, updates and patches, and the plans of deletes, by the index of their entry; `overlay` is
    what conditional references are resolved against."""

    targets: Mapping[int, Target]
    deletes: Mapping[int, Planned]
    overlay: Overlay

    def written(self) -> Iterable[tuple[int, ResourceKey]]:
        """Yield the entries and the resources that they write; a create that found its match writes none."""
        for index, target in self.targets.items():
            if not target.answers:
                yield index, target.key
        for index, planned in self.deletes.items():
            for change in planned.changes:
                yield index, change.key


async def settle(ctx: Context, steps: Iterable[Step]) -> Settled:
    """Settle every write, in the order of the specification: deletes, creates, updates and patches.

    Spec: https://hl7.org/fhir/R4/http.html#trules

    Raises:
        FhirError: a condition or precondition fails, or two entries are about one resource.
    """
    by_kind: dict[str, list[Step]] = {}
    for step in steps:
        by_kind.setdefault(step.kind, []).append(step)
    overlay = Overlay()
    deletes = await _settle_deletes(ctx, by_kind.get("delete", ()), overlay)
    targets = await _settle_creates(ctx, by_kind.get("create", ()), overlay)
    targets |= await _settle_updates(ctx, by_kind, overlay)
    settled = Settled(targets, deletes, overlay)
    _refuse_overlaps(settled)
    return settled


async def _settle_deletes(ctx: Context, steps: Iterable[Step], overlay: Overlay) -> dict[int, Planned]:
    deletes = {step.entry.index: await _at(step, plan_delete(ctx, step.request)) for step in steps}
    overlay.deleted.update(change.key for planned in deletes.values() for change in planned.changes)
    return deletes


async def _settle_creates(ctx: Context, steps: Iterable[Step], overlay: Overlay) -> dict[int, Target]:
    targets: dict[int, Target] = {}
    for step in steps:
        if step.entry.headers or step.request.query:
            target = await _at(step, settle_create(ctx, step.request, overlay.find))
        else:
            target = new_target(ctx, step.request)
        targets[step.entry.index] = target
        if not target.answers:
            overlay.written[target.key] = step.entry.resource
        await breathe(len(targets))
    return targets


async def _settle_updates(ctx: Context, by_kind: Mapping[str, list[Step]], overlay: Overlay) -> dict[int, Target]:
    """Settle updates and patches; none of them sees another, so that their order makes no difference."""
    targets: dict[int, Target] = {}
    updates = by_kind.get("update", ())
    versioned = named_with_version(step.entry.resource for steps in by_kind.values() for step in steps)
    for step in updates:
        target = await _at(step, settle_update(ctx, step.request, overlay.find))
        if versioned and not versioned.isdisjoint((step.entry.full_url, str(target.key))):
            target = await _with_version(ctx, target)
        targets[step.entry.index] = target
    for step in by_kind.get("patch", ()):
        targets[step.entry.index] = await _at(step, settle_patch(ctx, step.request, overlay.find))
    for step in updates:
        overlay.written[targets[step.entry.index].key] = step.entry.resource
    return targets


async def _with_version(ctx: Context, target: Target) -> Target:
    """Fix the version that an update makes, so that references can name it.

    Spec: https://hl7.org/fhir/R4/http.html#trules ("Version-specific references should remain ...")
    """
    expected = target.expected
    if expected is None:
        current = await ctx.store.read(target.key)
        expected = 0 if current is None else current.version
    return msgspec.structs.replace(target, expected=expected, guessed=True, force=True)


async def _at(step: Step, work: Awaitable[T]) -> T:
    try:
        return await work
    except FhirError as error:
        raise located(error, step.entry) from error


def _refuse_overlaps(settled: Settled) -> None:
    """Spec: https://hl7.org/fhir/R4/http.html#trules ("If any resource identities overlap ... SHALL fail")"""
    keys = [key for _, key in settled.written()]
    if len(set(keys)) == len(keys):
        return
    first: dict[ResourceKey, int] = {}
    issues = []
    for index, key in settled.written():
        other = first.setdefault(key, index)
        if other != index:
            said = f"entries {other} and {index} are both about {key}"
            issues.append(Issue(said, "invalid", expression=(f"Bundle.entry[{index}]",)))
    if issues:
        raise BadRequest(issues[0].diagnostics, issues=issues)

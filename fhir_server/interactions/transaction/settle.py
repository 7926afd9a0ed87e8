"""Which resource each write of a transaction is about, and that no two are about the same."""

from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from fhir_server.context import Context, Planned
from fhir_server.errors import BadRequest, FhirError, Issue
from fhir_server.interactions.create import settle_create
from fhir_server.interactions.delete import plan_delete
from fhir_server.interactions.entries import located
from fhir_server.interactions.patch import settle_patch
from fhir_server.interactions.targets import Target
from fhir_server.interactions.transaction.overlay import Overlay
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
    overlay, deletes, targets = Overlay(), {}, {}
    for step in by_kind.get("delete", ()):
        planned = deletes[step.entry.index] = await _at(step, plan_delete(ctx, step.request))
        overlay.delete(change.key for change in planned.changes)
    for step in by_kind.get("create", ()):
        target = targets[step.entry.index] = await _at(step, settle_create(ctx, step.request, overlay.find))
        if not target.answers:
            overlay.write(target.key, step.entry.resource)
    targets |= await _settle_updates(ctx, by_kind, overlay)
    settled = Settled(targets, deletes, overlay)
    _refuse_overlaps(settled)
    return settled


async def _settle_updates(ctx: Context, by_kind: Mapping[str, list[Step]], overlay: Overlay) -> dict[int, Target]:
    """Settle updates and patches; none of them sees another, so that their order makes no difference."""
    targets: dict[int, Target] = {}
    updates = by_kind.get("update", ())
    for step in updates:
        targets[step.entry.index] = await _at(step, settle_update(ctx, step.request, overlay.find))
    if any(b"/_history/" in step.entry.resource for steps in by_kind.values() for step in steps):
        targets = {index: await _with_version(ctx, target) for index, target in targets.items()}
    for step in by_kind.get("patch", ()):
        targets[step.entry.index] = await _at(step, settle_patch(ctx, step.request, overlay.find))
    for step in updates:
        overlay.write(targets[step.entry.index].key, step.entry.resource)
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
    first: dict[ResourceKey, int] = {}
    issues = []
    for index, key in settled.written():
        other = first.setdefault(key, index)
        if other != index:
            said = f"entries {other} and {index} are both about {key}"
            issues.append(Issue(said, "invalid", expression=(f"Bundle.entry[{index}]",)))
    if issues:
        raise BadRequest(issues[0].diagnostics, issues=issues)

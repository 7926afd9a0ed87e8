"""The whole of a transaction as Changes: links rewritten, resources prepared, conditions attached."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from fhir_server.context import Context
from fhir_server.errors import FhirError, InvalidResource, Issue
from fhir_server.interactions.entries import located
from fhir_server.interactions.findings import Wishes
from fhir_server.interactions.patch import apply_now
from fhir_server.interactions.prepare import INLINE, Prepared, minified, prepare_small
from fhir_server.interactions.targets import Target
from fhir_server.interactions.transaction.references import References
from fhir_server.interactions.transaction.settle import Settled, settle
from fhir_server.interactions.transaction.steps import Step
from fhir_server.interactions.transaction.targets_of_links import find_links
from fhir_server.model.version import Version
from fhir_server.storage.base import Change, Condition, Method

_METHODS: dict[str, Method] = {"create": "POST", "update": "PUT", "patch": "PATCH"}


@dataclass(frozen=True, slots=True)
class Plan:
    """What to commit.

    `places` says which changes an entry made, from and to; `found` what a create found instead of writing; `issues`
    what was found about it that does not stand in the way.
    """

    changes: tuple[Change, ...]
    places: Mapping[int, tuple[int, int]]
    found: Mapping[int, Version]
    guessed: bool
    issues: Mapping[int, Sequence[Issue]] = field(default_factory=dict)


async def plan(ctx: Context, steps: Sequence[Step]) -> Plan:
    """Plan all writes.

    Raises:
        FhirError: an entry cannot be done; expressions name its place. Invalid resources are all named at once.
    """
    settled = await settle(ctx, steps)
    references, conditions = await find_links(ctx, steps, settled)
    prepared = await _prepare(ctx, steps, settled, references)
    return _assemble(steps, settled, prepared, conditions)


async def _prepare(
    ctx: Context, steps: Sequence[Step], settled: Settled, references: References
) -> Mapping[int, Prepared]:
    work = [step for step in steps if _is_written(settled.targets.get(step.entry.index))]
    if sum(len(step.entry.resource) for step in work) <= INLINE:
        return _prepare_now(ctx, work, settled, references)
    return await asyncio.to_thread(_prepare_now, ctx, work, settled, references)


def _is_written(target: Target | None) -> bool:
    return target is not None and not target.answers


def _prepare_now(
    ctx: Context, steps: Sequence[Step], settled: Settled, references: References
) -> Mapping[int, Prepared]:
    prepared: dict[int, Prepared] = {}
    issues: list[Issue] = []
    for step in steps:
        target = settled.targets[step.entry.index]
        try:
            prepared[step.entry.index] = _prepare_one(ctx, step, target, references)
        except InvalidResource as error:
            issues += located(error, step.entry).issues
        except FhirError as error:
            raise located(error, step.entry) from error
    if issues:
        raise InvalidResource(f"{len(issues)} findings in the entries of the Bundle", issues=issues)
    return prepared


def _prepare_one(ctx: Context, step: Step, target: Target, references: References) -> Prepared:
    raw = minified(apply_now(ctx, step.request, target)) if step.kind == "patch" else step.entry.resource
    small = references.rewrite(raw, step.entry.full_url)
    same_id = step.kind == "update" and step.request.id is not None
    return prepare_small(ctx, small, target.key, same_id=same_id, wishes=Wishes.of(step.request))


def _assemble(
    steps: Sequence[Step], settled: Settled, prepared: Mapping[int, Prepared], conditions: Sequence[Condition]
) -> Plan:
    changes: list[Change] = []
    places: dict[int, tuple[int, int]] = {}
    found: dict[int, Version] = {}
    held = list(conditions)
    for step in steps:
        index, before = step.entry.index, len(changes)
        target = settled.targets.get(index)
        if step.kind == "delete":
            changes += settled.deletes[index].changes
            held += settled.deletes[index].conditions
        elif target is not None and target.answers and target.found is not None:
            found[index] = target.found
            held += target.conditions
        elif target is not None:
            changes.append(target.change(_METHODS[step.kind], prepared[index]))
        places[index] = (before, len(changes))
    issues = {index: one.issues for index, one in prepared.items() if one.issues}
    return Plan(_holding(changes, held), places, found, _guessed(settled), issues)


def _holding(changes: list[Change], conditions: Sequence[Condition]) -> tuple[Change, ...]:
    """Give the first change the conditions that belong to no change of their own."""
    if changes and conditions:
        changes[0] = replace(changes[0], conditions=(*changes[0].conditions, *conditions))
    return tuple(changes)


def _guessed(settled: Settled) -> bool:
    return any(target.guessed for target in settled.targets.values()) or any(
        planned.guessed for planned in settled.deletes.values()
    )

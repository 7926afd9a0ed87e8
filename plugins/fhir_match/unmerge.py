"""`Patient/$unmerge`: undoes a merge exactly where nobody wrote since, and names the rest."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fhir_match.merge import provenance
from fhir_match.pair import named, patient_of
from fhir_match.records import Merge, Moved, latest, moved_by
from fhir_match.references import turned_back
from fhir_match.result import content
from fhir_server.plugin_api import (
    BadRequest,
    Beside,
    Call,
    Conflict,
    FhirError,
    Forbidden,
    Issue,
    Outputs,
    PluginContext,
    Put,
    ResourceKey,
    Version,
    decode,
    outcome,
)

_SLICE = 50


@dataclass(slots=True)
class _Plan:
    """What an undoing will write, and what it leaves: resources, and elements of the two patients."""

    puts: list[Put] = field(default_factory=list)
    restored: int = 0
    left: list[ResourceKey] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)


async def unmerge(ctx: PluginContext, call: Call) -> Outputs:
    """Answer a call.

    Raises:
        BadRequest, NotFound: there is no such patient.
        Conflict: it was not merged, or its target has itself given way to another since.
        Forbidden: something that was moved is beyond what the caller may see.
    """
    done = await _find(ctx, call)
    plan = await _plan(ctx, done)
    if call.inputs.one("preview", False):
        return _answer(ctx, plan, [put.resource for put in plan.puts[:2]], done=False)
    undone = replace(done, undone=ctx.now())
    history = provenance(ctx, _at_versions_of(plan, done), "unmerge")
    puts = [*plan.puts, Put(history, 0)]
    versions = await ctx.client.put_all(puts, beside=Beside([undone.change()]))
    return _answer(ctx, plan, [version.stamped() for version in versions[:2]], done=True)


async def _find(ctx: PluginContext, call: Call) -> Merge:
    source = await patient_of(ctx, call.inputs.one("source-patient"), "source-patient")
    done = await latest(ctx, f"Patient/{source['id']}")
    if done is None:
        raise Conflict(f"Patient/{source['id']} was not merged here, or that is undone", expression="source-patient")
    target = call.inputs.one("target-patient")
    if target is not None and f"Patient/{named(ctx.base, target)}" != done.target:
        raise BadRequest(f"Patient/{source['id']} was not merged into that patient", expression="target-patient")
    if (later := await latest(ctx, done.target)) is not None:
        raise Conflict(
            f"{done.target} has itself given way to {later.target} since: undo that first", expression="source-patient"
        )
    return done


async def _plan(ctx: PluginContext, done: Merge) -> _Plan:
    plan = _Plan()
    for reference, versions in ((done.source, done.source_versions), (done.target, done.target_versions)):
        await _restore_patient(ctx, plan, reference, versions)
    moved = await moved_by(ctx, done)
    current = await ctx.client.versions_of([each.key for each in moved])
    for number, each in enumerate(moved):
        _restore(plan, each, current.get(each.key), done)
        if number % _SLICE == _SLICE - 1:
            await asyncio.sleep(0)  # others are served between the slices
    hidden = [each.key for each in moved if each.key not in current]
    if hidden and await _any_there(ctx, hidden):
        raise Forbidden(
            "more was moved than you may see: somebody who may see and change all of it has to undo the merge",
            expression="source-patient",
        )
    return plan


async def _any_there(ctx: PluginContext, keys: Sequence[ResourceKey]) -> bool:
    """Tell whether resources that the caller does not see are there at all."""
    found = await ctx.core.store.read_many(keys)
    return any(not version.deleted for version in found.values())


def _restore(plan: _Plan, moved: Moved, version: Version | None, done: Merge) -> None:
    """Plan to turn the references of one resource back, if it is as the merge left it."""
    if version is None or version.version != moved.version:
        plan.left.append(moved.key)
        return
    try:
        resource = turned_back(decode(version.body.data), moved.places, done.target, done.source)
    except LookupError:
        plan.left.append(moved.key)
        return
    plan.restored += 1
    plan.puts.append(Put(content(resource), version.version, trusted=True))


async def _restore_patient(ctx: PluginContext, plan: _Plan, reference: str, versions: tuple[int, int]) -> None:
    """Plan to give a patient back the elements that are as the merge left them."""
    id_ = reference.partition("/")[2]
    current = await ctx.client.read("Patient", id_)
    before, after = [await _version(ctx, id_, number) for number in versions]
    restored, changed = _undone(before, after, content(current))
    plan.puts.append(Put(restored, int(current["meta"]["versionId"])))
    plan.issues += [
        Issue(f"{reference}: {name} was changed since and stays", "informational", "warning", (f"Patient.{name}",))
        for name in changed
    ]


async def _version(ctx: PluginContext, id_: str, number: int) -> dict[str, Any]:
    try:
        return content(await ctx.client.vread("Patient", id_, str(number)))
    except FhirError as error:
        raise Conflict(
            f"version {number} of Patient/{id_} is gone, so the merge cannot be undone", expression="source-patient"
        ) from error


def _undone(
    before: Mapping[str, Any], after: Mapping[str, Any], current: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Return the patient with the elements of before where the merge changed them and nobody since; and the others.

    An array that was changed since loses what the merge added to it, as far as that still stands there.
    """
    result = dict(current)
    kept = []
    for name in dict.fromkeys((*before, *after)):
        old, new, now = before.get(name), after.get(name), current.get(name)
        if old == new:
            continue
        if now == new:
            value = old
        elif isinstance(now, list) and isinstance(new, list):
            value = _without_added(old or [], new, now)
            kept += [name] if value == now else []
        else:
            kept.append(name)
            continue
        result[name] = value
    return {name: value for name, value in result.items() if value not in (None, [])}, kept


def _without_added(old: Sequence[Any], new: Sequence[Any], now: Sequence[Any]) -> list[Any]:
    return [item for item in now if item in old or item not in new]


def _at_versions_of(plan: _Plan, done: Merge) -> Merge:
    """Return the merge as if it had left both patients at the versions that they are at now."""
    source, target = (put.expected for put in plan.puts[:2])
    return replace(
        done, source_versions=(done.source_versions[0], source), target_versions=(done.target_versions[0], target)
    )


def _answer(ctx: PluginContext, plan: _Plan, patients: Sequence[Any], *, done: bool) -> Outputs:
    verb = "refer" if done else "would refer"
    issues = [Issue(f"{plan.restored} resources {verb} to the source again", "informational", "information")]
    if plan.left:
        said = f"{len(plan.left)} resources were written or deleted since and stay as they are"
        issues.append(Issue(said, "informational", "warning"))
    left = [("left", {"reference": str(key)}) for key in _named(ctx, plan.left)]
    body = outcome([*issues, *plan.issues])
    return Outputs([("outcome", body), ("source", patients[0]), ("target", patients[1]), *left])


def _named(ctx: PluginContext, keys: Sequence[ResourceKey]) -> Iterator[ResourceKey]:
    yield from keys[: ctx.settings.most_named]

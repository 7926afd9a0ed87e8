"""`Patient/$merge`: makes one record of two, in one transaction.

Spec: https://build.fhir.org/patient-operation-merge.html
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fhir_match.pair import Pair, pair
from fhir_match.records import Merge, Moved, moved_changes
from fhir_match.references import turned
from fhir_match.result import content, merged_source, merged_target
from fhir_match.settings import MatchSettings
from fhir_server.plugin_api import (
    Beside,
    Busy,
    Call,
    Conflict,
    Forbidden,
    Issue,
    Outputs,
    PluginContext,
    Put,
    Referrers,
    ResourceKey,
    TooCostly,
    Version,
    decode,
    instant,
    outcome,
)

KEPT: Final = frozenset(("AuditEvent", "Bundle", "Provenance"))
"""Types whose references stay: they say how things were. Documents and messages are whole in themselves, and signed."""
_TRIES: Final = 3
_SLICE: Final = 50


@dataclass(slots=True)
class Plan:
    """What a merge will write, and what it leaves.

    puts: target, source, then what was moved. left: why resources, or references in them, stay as they are.
    """

    two: Pair
    referrers: Referrers
    puts: list[Put] = field(default_factory=list)
    moved: list[Moved] = field(default_factory=list)
    references: int = 0
    left: Counter[str] = field(default_factory=Counter)


async def merge(ctx: PluginContext, call: Call) -> Outputs:
    """Answer a call.

    Raises:
        BadRequest, InvalidResource, Conflict: what is named cannot be merged.
        Forbidden: the caller may not change all that refers to the source; a merge is whole or not at all.
        TooCostly: more refers to the source than one transaction takes.
    """
    preview = bool(call.inputs.one("preview", False))
    for attempt in range(_TRIES):
        plan = await _plan(ctx, call)
        if preview:
            return _answer(call, plan, plan.puts[0].resource, done=False)
        try:
            versions = await _write(ctx, plan)
        except Busy:
            if attempt == _TRIES - 1:
                raise
            continue
        return _answer(call, plan, versions[0].stamped(), done=True)
    raise AssertionError("the last attempt returns or raises")


async def _plan(ctx: PluginContext, call: Call) -> Plan:
    two = await pair(ctx, call.inputs)
    source, target = f"Patient/{two.source['id']}", f"Patient/{two.target['id']}"
    plan = Plan(two, await ctx.client.referring(ResourceKey("Patient", two.source["id"])))
    settings: MatchSettings = ctx.settings
    if plan.referrers.withheld:
        raise Forbidden(
            "more refers to the source than you may see: somebody who may see and change all of it has to merge them",
            expression="source-patient",
        )
    if len(plan.referrers.versions) > settings.most_moved:
        raise TooCostly(f"more than {settings.most_moved} resources refer to {source}", expression="source-patient")
    plan.puts += [
        Put(content(merged_target(ctx.base, two, call.inputs)), _version(two.target)),
        Put(content(merged_source(ctx.base, two)), _version(two.source)),
    ]
    for number, version in enumerate(plan.referrers.versions):
        if str(version.key) not in (source, target):
            _move(plan, version, (source, target, ctx.base))
        if number % _SLICE == _SLICE - 1:
            await asyncio.sleep(0)  # others are served between the slices
    return plan


def _move(plan: Plan, version: Version, way: tuple[str, str, str]) -> None:
    """Plan to turn the references of one resource."""
    if version.key.type in KEPT:
        plan.left[f"{version.key.type}: it tells how things were"] += 1
        return
    found = turned(decode(version.body.data), *way)
    if found.versioned:
        plan.left["references to one version of the source"] += found.versioned
    if found.places:
        plan.references += len(found.places)
        plan.puts.append(Put(content(found.resource), version.version, trusted=True))
        plan.moved.append(Moved(version.key, version.version + 1, found.places))


async def _write(ctx: PluginContext, plan: Plan) -> tuple[Version, ...]:
    source, target = plan.two.source, plan.two.target
    before = _version(source), _version(target)
    done = Merge(
        ctx.new_id(), f"Patient/{source['id']}", f"Patient/{target['id']}", (before[0], before[0] + 1),
        (before[1], before[1] + 1), ctx.now(), len(plan.moved),
    )  # fmt: skip
    puts = [*plan.puts, Put(provenance(ctx, done, "merge"), 0)]
    records = [done.change(), *moved_changes(done, plan.moved, ctx.settings.moved_per_record)]
    return await ctx.client.put_all(puts, only_if=plan.referrers, beside=Beside(records))


def provenance(ctx: PluginContext, done: Merge, activity: str) -> dict[str, Any]:
    """Return the Provenance of a merge or its undoing: who brought both patients to these versions."""
    caller = ctx.caller
    who = {"reference": caller.subject} if caller.subject else {"display": caller.name}
    step = 0 if activity == "merge" else 1
    versions = (done.target_versions[1] + step, done.source_versions[1] + step)
    names = (done.target, done.source)
    return {
        "resourceType": "Provenance",
        "id": ctx.new_id(),
        "target": [{"reference": f"{name}/_history/{n}"} for name, n in zip(names, versions, strict=True)],
        "recorded": instant(ctx.now()),
        "activity": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle", "code": activity}]
        },
        "agent": [{"who": who}],
    }


def _answer(call: Call, plan: Plan, result: Any, *, done: bool) -> Outputs:
    verb = "now refer" if done else "would refer"
    counts = Counter(each.key.type for each in plan.moved)
    types = ", ".join(f"{count} {type_}" for type_, count in sorted(counts.items())) or "nothing"
    said = f"{plan.references} references in {len(plan.moved)} resources {verb} to the target: {types}"
    issues = [Issue(said, "informational", "information"), *_left(plan.left)]
    given = {"resourceType": "Parameters", "parameter": list(call.inputs.parts)}
    return Outputs([("input", given), ("outcome", outcome(issues)), ("result", result)])


def _left(left: Counter[str]) -> Sequence[Issue]:
    return [Issue(f"left as they are: {count} x {why}", "informational", "warning") for why, count in left.items()]


def _version(resource: dict[str, Any]) -> int:
    version = str(resource["meta"]["versionId"])
    if not version.isdigit():
        raise Conflict("this version has no number", expression="Patient.meta.versionId")
    return int(version)

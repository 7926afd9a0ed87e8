"""Outcomes: what became of the patients of whom something was said, as far as the record tells."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fhir_ai.inputs.times import millis
from fhir_ai.registry.recorder import PREDICTIONS, UNKNOWN, Said
from fhir_server.plugin_api import PluginContext, RecordChange, ResourceKey, Where, decode

_AT_ONCE = 500


async def linked(ctx: PluginContext, rows: Sequence[Said]) -> list[Said]:
    """Return what was said, with the outcomes that are known by now; new ones are kept.

    A death by the due time is the outcome; nobody dead and the time over is none. A death without a date counts where
    the record had it by the due time.
    """
    waiting = [row for row in rows if row.outcome == UNKNOWN and row.probability is not None]
    patients = await _patients(ctx, sorted({row.patient for row in waiting}))
    found = {row.key: _outcome(row, patients.get(row.patient), ctx.now()) for row in waiting}
    made = [replace(row, outcome=found.get(row.key, row.outcome)) for row in rows]
    changed = [row for row, before in zip(made, rows, strict=True) if row.outcome != before.outcome]
    for start in range(0, len(changed), _AT_ONCE):
        await ctx.store.put(*(row.put() for row in changed[start : start + _AT_ONCE]))
    return made


async def sweep(ctx: PluginContext, before: int) -> int:
    """Remove what was said before a time; return how much."""
    gone = 0
    while True:
        found = await ctx.store.find(PREDICTIONS.name, [Where("at", "<", before)], limit=_AT_ONCE)
        if not found:
            return gone
        await ctx.store.put(*(RecordChange(PREDICTIONS.name, each.key, None) for each in found))
        gone += len(found)


async def _patients(ctx: PluginContext, ids: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for start in range(0, len(ids), _AT_ONCE):
        keys = [ResourceKey("Patient", id_) for id_ in ids[start : start + _AT_ONCE]]
        for key, version in (await ctx.own.versions_of(keys)).items():
            found[key.id] = decode(version.stamped())
    return found


def _outcome(row: Said, patient: Any, now: int) -> int:
    if patient is None:
        return UNKNOWN
    died = millis(patient.get("deceasedDateTime"))
    if died is not None and died <= row.due:
        return 1
    if patient.get("deceasedBoolean") is True:
        known = millis(patient["meta"]["lastUpdated"]) or now
        return 1 if known <= row.due else UNKNOWN
    return 0 if now > row.due else UNKNOWN

"""`$triage` of a Patient, an Encounter, or of somebody at a kiosk."""

from collections.abc import Iterator
from typing import Any

from fhir_ai.inputs import Finder, Record
from fhir_ai.inputs.cache import cached, with_given
from fhir_ai.inputs.diagnoses import codings, recent_codes
from fhir_ai.inputs.record import Wanted
from fhir_ai.operations.asked import Asked, asked
from fhir_ai.operations.deciding import TRIAGE_INPUTS, Decision, decide
from fhir_ai.operations.making import stored, unseen
from fhir_ai.operations.triage_output import ACTIONS, NAME, basis, minutes, resources, status_of
from fhir_ai.settings import AiSettings
from fhir_server.plugin_api import Call, Outputs, PluginContext


async def triage(ctx: PluginContext, call: Call) -> Outputs:
    """Answer a call.

    Raises:
        NotFound: there is no such patient that the caller may see.
        BadRequest: what came cannot be read.
    """
    settings: AiSettings = ctx.settings
    whom = await asked(ctx, call)
    record = await _record(ctx, whom, settings)
    codes, keys = _symptoms(whom, record, settings.symptom_hours)
    decision = decide(Finder(record, whom.given), codes, keys)
    made = resources(ctx, whom, decision)
    if whom.persist:
        made = await stored(ctx, NAME, made, basis(decision))
    guidance, risk, flag = made
    answer: list[tuple[str, Any]] = [("guidance", guidance), ("risk", risk), ("flag", flag)]
    return Outputs([*answer, *_said(decision, whom, record, settings)])


async def _record(ctx: PluginContext, whom: Asked, settings: AiSettings) -> Record:
    came = whom.of_type("Observation"), whom.of_type("Condition")
    if not whom.stored:
        return Record(whom.patient, ctx.now(), *came)
    wanted = Wanted(TRIAGE_INPUTS, settings.triage_hours, settings.most_observations, medicines=False)
    read = await cached(ctx).record(ctx, whom.patient, wanted)
    return with_given(read, came=whom.came)


def _symptoms(whom: Asked, record: Record, hours: float) -> tuple[frozenset[str], frozenset[str]]:
    """Return codes and keys of the symptoms of now: those stated, recent Conditions, reasons of the Encounter."""
    codes = {each for each in whom.symptoms if "|" in each}
    codes |= {code for code, _ in recent_codes(record.conditions, record.now, hours)}
    for reason in (whom.encounter or {}).get("reasonCode", ()):
        codes |= {f"{system}|{code}" for system, code in codings(reason)}
    return frozenset(codes), frozenset(each for each in whom.symptoms if "|" not in each)


def _said(decision: Decision, whom: Asked, record: Record, settings: AiSettings) -> Iterator[tuple[str, Any]]:
    yield "status", status_of(decision)
    if decision.acuity is not None:
        yield "acuity", decision.acuity
        yield "wait", minutes(settings.triage_waits[decision.acuity - 1])
    yield "action", ACTIONS[decision.acuity]
    for rule in decision.rules:
        told: list[tuple[str, Any]] = [("name", rule.name), ("because", rule.because)]
        if rule.acuity is not None:
            told.append(("acuity", rule.acuity))
        yield "rule", [*told, *([("source", rule.source)] if rule.source else [])]
    for each in decision.missing:
        yield "missing", [("name", each.name), ("title", each.title), ("state", each.state), ("because", each.because)]
    for change in decision.changes:
        yield "change", change
    for note in (*decision.notes, *_notes(whom, record)):
        yield "note", note


def _notes(whom: Asked, record: Record) -> Iterator[str]:
    yield from unseen(record.hidden)
    if record.cut:
        yield "There are more observations than one triage looks at; the older ones were left out."
    if whom.patient.get("deceasedBoolean") or whom.patient.get("deceasedDateTime"):
        yield "The Patient is recorded as deceased: check that this is the right person."

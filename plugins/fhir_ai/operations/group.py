"""`Group/$risk-assess`: the risks of all members, a line for each, as a job that goes on where it was when its process
dies.

Spec: https://hl7.org/fhir/R4/async.html
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fhir_ai.inputs import Finder
from fhir_ai.inputs.many import patients, read_many
from fhir_ai.inputs.record import Record, Wanted
from fhir_ai.operations.computing import Computed, Left, chosen, compute
from fhir_ai.operations.predicting import INPATIENT, inputs_with_fallback
from fhir_ai.operations.risk import asked_models, horizons, left_out
from fhir_ai.operations.risk_output import assessment
from fhir_ai.registry import Serving, serving_of
from fhir_ai.registry.machines import machine
from fhir_ai.scores import SCORES
from fhir_ai.settings import AiSettings
from fhir_server.plugin_api import (
    BadValue,
    Call,
    FhirResponse,
    Forbidden,
    JobFile,
    PluginContext,
    TooCostly,
    encode,
)

NDJSON: Final = "application/fhir+ndjson"
_AT_ONCE: Final = 100
_FILE: Final = 1_000
_TURN: Final = 20
_MOST_GROUPS: Final = 100


@dataclass(frozen=True, slots=True)
class Choice:
    """Scores and models of a call. named: the caller chose them, and is told why one was not computed."""

    scores: tuple[str, ...]
    models: tuple[str, ...]
    serving: Serving
    named: bool

    def wanted(self, settings: AiSettings) -> Wanted:
        """Return what they need of a record."""
        inputs = [each for name in self.scores for each in SCORES[name].inputs]
        inputs += [each for name in self.models for each in inputs_with_fallback(self.serving.models[name])]
        names = tuple(dict.fromkeys(each.name for each in inputs))
        hours = max([settings.risk_hours, *(each.window for each in inputs)])
        return Wanted(names, hours, settings.most_observations)

    async def outcomes(self, finder: Finder, patient: str, settings: AiSettings) -> list[Computed | Left]:
        """Compute them for one patient; models are asked for many at once."""
        found = [compute(SCORES[name], finder, second_hand=settings.second_hand) for name in self.scores]
        return found + await asked_models(self.serving, list(self.models), patient, finder, settings)


async def group_risk_assess(ctx: PluginContext, call: Call) -> FhirResponse:
    """Answer a call: NDJSON with a Parameters for each member, in the order of their ids.

    Raises:
        NotFound: there is no such group that the caller may see.
        TooCostly: it has more members than are assessed while the caller waits.
        BadValue: a model that is not known, or a horizon that is no time.
    """
    settings: AiSettings = ctx.settings
    choice = await _choice(ctx, call)
    ids = await members(ctx, str(call.request.id))
    job = ctx.job
    if job is None:
        if len(ids) > settings.group_at_once:
            said = f"the group has {len(ids)} members; for over {settings.group_at_once} ask with Prefer: respond-async"
            raise TooCostly(said, expression="http.headers.prefer")
        return FhirResponse(200, [text async for text in _lines(ctx, choice, ids)] or [b""], media_type=NDJSON)
    left = [id_ for id_ in ids if id_ > str(job.checkpoint.get("after", ""))]
    for start in range(0, len(left), _FILE):
        part = left[start : start + _FILE]
        blob = await ctx.store.stage(_told(ctx, choice, part, (len(ids) - len(left) + start, len(ids))))
        name = f"{len(job.files) + 1}.Parameters.ndjson"
        await job.save({"after": part[-1]}, [JobFile(name, blob.id, blob.size, NDJSON)])
    return FhirResponse(200, stream=_all(ctx, job.files), media_type=NDJSON)


async def _choice(ctx: PluginContext, call: Call) -> Choice:
    horizon, wanted = call.inputs.one("horizon"), [str(each) for each in call.inputs.many("model")]
    if horizon is not None and horizon <= 0:
        raise BadValue("the horizon is a number of days above zero", expression="horizon")
    serving = await serving_of(ctx)
    known = horizons(serving, serving.of_kind("panel") if wanted else ())
    names = chosen(known, wanted, None if horizon is None else float(horizon))
    scores = tuple(name for name in names if name in SCORES)
    return Choice(scores, tuple(name for name in names if name in serving.models), serving, bool(wanted))


async def members(ctx: PluginContext, id_: str) -> list[str]:
    """Return the ids of the patients that are active in a group and in the groups in it, each once, in order."""
    found: set[str] = set()
    waiting, seen = [id_], {id_}
    while waiting:
        group = await ctx.client.read("Group", waiting.pop())
        for each in group.get("member", ()):
            reference = str(each.get("entity", {}).get("reference", "")).removeprefix(f"{ctx.base}/")
            type_, _, member = reference.partition("/")
            if each.get("inactive"):
                continue
            if type_ == "Patient":
                found.add(member.partition("/")[0])
            elif type_ == "Group" and member not in seen:
                if len(seen) == _MOST_GROUPS:
                    raise TooCostly(f"more than {_MOST_GROUPS} groups stand in one another", expression="Group.member")
                seen.add(member)
                waiting.append(member)
    return sorted(found)


async def _told(ctx: PluginContext, choice: Choice, ids: Sequence[str], at: tuple[int, int]) -> AsyncIterator[bytes]:
    """Yield the lines and say how far the job came. at: members before these, and of all."""
    done, of = at
    async for text in _lines(ctx, choice, ids):
        yield text
        done += 1
        ctx.progress(min(done, of), of)


async def _lines(ctx: PluginContext, choice: Choice, ids: Sequence[str]) -> AsyncIterator[bytes]:
    """Yield a line for each; patients who are gone or may not be seen have none."""
    wanted = choice.wanted(ctx.settings)
    for start in range(0, len(ids), _AT_ONCE):
        known = {str(each["id"]): each async for each in patients(ctx.client, ids[start : start + _AT_ONCE])}
        if not known:
            continue
        read = await read_many(ctx.client, sorted(known), ctx.now(), wanted)
        inside = await _inpatients(ctx, choice, known)
        records = (read[id_].record(known[id_], ctx.now(), wanted.since(ctx.now())) for id_ in sorted(known))
        for turn in _turns(list(records)):
            for text in await asyncio.gather(*(_line(ctx, choice, record, inside) for record in turn)):
                yield text
            await asyncio.sleep(0)


def _turns(records: list[Record]) -> Iterator[list[Record]]:
    """Yield a few at a time: enough for one run of a model, and not so many that others wait long for their turn."""
    for start in range(0, len(records), _TURN):
        yield records[start : start + _TURN]


async def _line(ctx: PluginContext, choice: Choice, record: Record, inside: frozenset[str]) -> bytes:
    settings: AiSettings = ctx.settings
    patient = dict(record.patient)
    finder = Finder(record, {"region": settings.region, INPATIENT.name: patient["id"] in inside})
    outcomes = await choice.outcomes(finder, str(patient["id"]), settings)
    risks = [
        assessment(ctx, patient, each, machine(each.model) if each.model else None)
        for each in outcomes
        if isinstance(each, Computed)
    ]
    left = [each for each in outcomes if isinstance(each, Left)] if choice.named else []
    parameters = [
        {"name": "patient", "valueReference": {"reference": f"Patient/{patient['id']}"}},
        *({"name": "risk", "resource": each} for each in risks),
        *({"name": "not-computed", "part": _parts(left_out(each))} for each in left),
    ]
    return encode({"resourceType": "Parameters", "parameter": parameters}) + b"\n"


async def _inpatients(ctx: PluginContext, choice: Choice, ids: Iterable[str]) -> frozenset[str]:
    """Return who of these is in hospital now, where a model asks for that and the caller may know it."""
    asked = any(choice.serving.models[name].manifest.setting == "inpatient" for name in choice.models)
    if not asked or not ctx.settings.models:
        return frozenset()
    named = ",".join(f"Patient/{id_}" for id_ in ids)
    now = [("patient", named), ("status", "in-progress"), ("class", "IMP,ACUTE,NONAC")]
    found: set[str] = set()
    try:
        async for each in ctx.client.each("Encounter", now):
            found.add(str(each.get("subject", {}).get("reference", "")).rpartition("/")[2])
    except Forbidden:
        return frozenset()
    return frozenset(found)


def _parts(values: list[tuple[str, Any]]) -> list[dict[str, Any]]:
    coded = frozenset(("model", "code", "name", "state"))
    return [
        {"name": name, "part": _parts(value)}
        if isinstance(value, list)
        else {"name": name, "valueCode" if name in coded else "valueString": value}
        for name, value in values
    ]


async def _all(ctx: PluginContext, files: Sequence[JobFile]) -> AsyncIterator[bytes]:
    for file in files:
        async for chunk in await ctx.store.open(file.blob):
            yield chunk

"""`Patient/$risk-assess`: a RiskAssessment for each score and model that holds, and why the others do not."""

from collections.abc import Iterable, Mapping
from typing import Any

from fhir_ai.features.through import viewed
from fhir_ai.inputs import Finder, Record
from fhir_ai.inputs.cache import cached, with_given
from fhir_ai.inputs.record import Wanted
from fhir_ai.models import Model
from fhir_ai.operations.asked import Asked, asked
from fhir_ai.operations.computing import Computed, Left, chosen, compute
from fhir_ai.operations.making import stored, unseen
from fhir_ai.operations.predicting import INPATIENT, inputs_with_fallback, own_inputs, predict
from fhir_ai.operations.risk_output import NAME, assessment
from fhir_ai.registry import Serving, serving_of
from fhir_ai.registry.machines import machine, machine_of
from fhir_ai.scores import SCORES
from fhir_ai.scores.score import Input
from fhir_ai.settings import AiSettings
from fhir_server.plugin_api import BadValue, Call, Outputs, PluginContext


async def risk_assess(ctx: PluginContext, call: Call) -> Outputs:
    """Answer a call.

    Raises:
        NotFound: there is no such patient that the caller may see.
        BadValue: a model that is not known, or a horizon that is no time.
    """
    settings: AiSettings = ctx.settings
    horizon = call.inputs.one("horizon")
    if horizon is not None and horizon <= 0:
        raise BadValue("the horizon is a number of days above zero", expression="horizon")
    serving = await serving_of(ctx)
    wanted = [str(each) for each in call.inputs.many("model")]
    known = horizons(serving, serving.of_kind("panel") if wanted else ())
    names = chosen(known, wanted, None if horizon is None else float(horizon))
    models = {name: serving.models[name] for name in names if name in serving.models}
    whom = await asked(ctx, call, own_inputs(models.values()))
    scores = [SCORES[name] for name in names if name in SCORES]
    inputs = [
        *(each for score in scores for each in score.inputs),
        *(each for model in models.values() for each in inputs_with_fallback(model)),
    ]
    record = await record_for(ctx, whom, inputs, settings)
    stay = await _stay(ctx, whom, list(models.values()), settings)
    finder = Finder(record, {"region": settings.region, **stay, **whom.given})
    outcomes = [compute(score, finder, second_hand=settings.second_hand) for score in scores]
    outcomes += await asked_models(serving, list(models), str(whom.patient.get("id", "")), finder, settings)
    made = await _made(ctx, whom, [each for each in outcomes if isinstance(each, Computed)])
    left = [("not-computed", left_out(each)) for each in outcomes if isinstance(each, Left)]
    notes = [("note", text) for text in (*_notes(record, settings), *_of_other_times(known, wanted, names, horizon))]
    return Outputs([*(("risk", each) for each in made), *left, *notes])


def horizons(serving: Serving, named: Iterable[str] = ()) -> dict[str, float]:
    """Return the days that each score and each model about a risk is about, by name; models of panels where named."""
    models = [*serving.of_kind("risk"), *set(serving.of_kind("panel")).intersection(named)]
    return {name: score.horizon for name, score in SCORES.items()} | {
        name: serving.models[name].manifest.horizon for name in models
    }


async def asked_models(
    serving: Serving, names: list[str], patient: str, finder: Finder, settings: AiSettings
) -> list[Computed | Left]:
    """Ask models; where one cannot answer, the published scores that it names do."""
    seen = through_views(serving, names, finder) if settings.models else finder
    found = [await predict(serving, name, patient, seen, settings) for name in names]
    instead = dict.fromkeys(name for each in found if isinstance(each, Left) for name in each.instead)
    scores = [SCORES[name] for name in instead if name in SCORES]
    return [*found, *(compute(score, finder, second_hand=settings.second_hand) for score in scores)]


def through_views(serving: Serving, names: list[str], finder: Finder) -> Finder:
    """Return a finder that sees the record through the views of features, as training does, where one may be asked."""
    settings = {serving.models[name].manifest.setting for name in names}
    if serving.views is None or not ("any" in settings or (settings and finder.find(INPATIENT).value is True)):
        return finder
    return viewed(serving.views, finder)


async def _made(ctx: PluginContext, whom: Asked, done: list[Computed]) -> list[dict[str, Any]]:
    """Return the assessments; stored, where the caller wants that, with the Device of each model."""
    if not (whom.persist and done):
        return [assessment(ctx, whom.patient, each, machine(each.model) if each.model else None) for each in done]
    machines = {each.score.name: await machine_of(ctx, each.model) for each in done if each.model is not None}
    made = [assessment(ctx, whom.patient, each, machines.get(each.score.name)) for each in done]
    cards = {each.device: each.card for each in machines.values()}
    return await stored(ctx, NAME, made, basis_of(made), cards)


async def _stay(ctx: PluginContext, whom: Asked, models: list[Model], settings: AiSettings) -> dict[str, bool]:
    """Say whether the patient is in hospital now, where a model asks for that."""
    if not settings.models or not any(model.manifest.setting == "inpatient" for model in models):
        return {}
    now = [("patient", f"Patient/{whom.patient['id']}"), ("status", "in-progress"), ("class", "IMP,ACUTE,NONAC")]
    return {INPATIENT.name: await ctx.client.count("Encounter", now) > 0}


async def record_for(ctx: PluginContext, whom: Asked, inputs: list[Input], settings: AiSettings) -> Record:
    """Read of the record what inputs are found in, with what came with the call before it."""
    names = tuple(dict.fromkeys(each.name for each in inputs))
    hours = max([settings.risk_hours, *(each.window for each in inputs)])
    read = await cached(ctx).record(ctx, whom.patient, Wanted(names, hours, settings.most_observations))
    return with_given(read, came=whom.came)


def left_out(left: Left) -> list[tuple[str, Any]]:
    """Return the output that names a score that was not computed, and why."""
    parts: list[tuple[str, Any]] = [
        ("model", left.score.name), ("title", left.score.title), ("code", left.code), ("because", left.because)
    ]  # fmt: skip
    return [*parts, *(("input", [("name", each.name), ("state", each.state)]) for each in left.inputs)]


def basis_of(made: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Return what assessments rest on, each once."""
    found = {each["reference"]: each for risk in made for each in risk.get("basis", ())}
    return list(found.values())


def _of_other_times(known: Mapping[str, float], wanted: list[str], names: list[str], horizon: Any) -> list[str]:
    """Say which of those that were named are about another time, or that nothing is about this one."""
    if not names and not wanted:
        return [f"No score or model is about {horizon:g} days."]
    others = [name for name in dict.fromkeys(wanted) if name not in names]
    return [f"{name} is about {known[name]:g} days, not {horizon:g}: it was not asked." for name in others]


def _notes(record: Record, settings: AiSettings) -> list[str]:
    said = [] if settings.models else ["Learned models are switched off; these are published scores alone."]
    said += unseen(record.hidden)
    if record.cut:
        said.append("There are more observations than one call looks at; the older ones were left out.")
    if record.patient.get("deceasedBoolean") or record.patient.get("deceasedDateTime"):
        said.append("The Patient is recorded as deceased: check that this is the right person.")
    return said

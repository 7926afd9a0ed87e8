"""`Patient/$risk-assess`: a RiskAssessment for each published score that holds, and why the others do not."""

from typing import Any

from fhir_ai.inputs import Finder, Record, read_record
from fhir_ai.inputs.record import Wanted
from fhir_ai.operations.asked import Asked, asked
from fhir_ai.operations.computing import Computed, Left, chosen, compute
from fhir_ai.operations.making import stored
from fhir_ai.operations.risk_output import NAME, assessment
from fhir_ai.scores import SCORES
from fhir_ai.scores.score import Score
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
    scores = chosen(SCORES, map(str, call.inputs.many("model")), None if horizon is None else float(horizon))
    whom = await asked(ctx, call)
    record = await _record(ctx, whom, scores, settings)
    finder = Finder(record, {"region": settings.region, **whom.given})
    outcomes = [compute(score, finder, second_hand=settings.second_hand) for score in scores]
    done = [each for each in outcomes if isinstance(each, Computed)]
    made = [assessment(ctx, whom.patient, each) for each in done]
    if whom.persist and made:
        made = await stored(ctx, NAME, made, _basis(made))
    left = [("not-computed", _left(each)) for each in outcomes if isinstance(each, Left)]
    notes = [("note", text) for text in _notes(record, settings)]
    return Outputs([*(("risk", each) for each in made), *left, *notes])


async def _record(ctx: PluginContext, whom: Asked, scores: list[Score], settings: AiSettings) -> Record:
    inputs = [each for score in scores for each in score.inputs]
    names = tuple(dict.fromkeys(each.name for each in inputs))
    hours = max([settings.risk_hours, *(each.window for each in inputs)])
    read = await read_record(ctx.client, whom.patient, ctx.now(), Wanted(names, hours, settings.most_observations))
    return Record(
        read.patient, read.now, [*whom.of_type("Observation"), *read.observations],
        [*whom.of_type("Condition"), *read.conditions],
        [*whom.of_type("MedicationRequest", "MedicationStatement"), *read.medicines], read.cut,
    )  # fmt: skip


def _left(left: Left) -> list[tuple[str, Any]]:
    parts: list[tuple[str, Any]] = [
        ("model", left.score.name), ("title", left.score.title), ("code", left.code), ("because", left.because)
    ]  # fmt: skip
    return [*parts, *(("input", [("name", each.name), ("state", each.state)]) for each in left.inputs)]


def _basis(made: list[dict[str, Any]]) -> list[dict[str, str]]:
    found = {each["reference"]: each for risk in made for each in risk.get("basis", ())}
    return list(found.values())


def _notes(record: Record, settings: AiSettings) -> list[str]:
    said = [] if settings.models else ["Learned models are switched off; these are published scores alone."]
    if record.cut:
        said.append("There are more observations than one call looks at; the older ones were left out.")
    if record.patient.get("deceasedBoolean") or record.patient.get("deceasedDateTime"):
        said.append("The Patient is recorded as deceased: check that this is the right person.")
    return said

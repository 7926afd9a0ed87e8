"""Predicting: learned models beside the scores, each within its cohort, or why it was not asked."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from fhir_ai.inputs import Finder
from fhir_ai.models import MODELS, Model, NotComputed, Prediction
from fhir_ai.operations.computing import AMISS, Computed, Left
from fhir_ai.scores.score import Input, Result, Score, Values
from fhir_ai.scores.vocabulary import VOCABULARY
from fhir_ai.settings import AiSettings

_DAY: Final = 24.0
INPATIENT: Final = Input("inpatient", "Inpatient encounter", kind="boolean", window=_DAY)
_CODES: Final[Mapping[str, str]] = {"cohort": "not-applicable", "input": "missing", "unavailable": "unavailable"}


def model_inputs(model: Model) -> tuple[Input, ...]:
    """Return what a model is asked with, as inputs that are found in a record; measurements count for a day."""
    found = [INPATIENT]
    for each in model.manifest.features:
        known = VOCABULARY.get(each.name)
        if known is not None:
            found.append(replace(known, window=_DAY) if known.kind == "number" and known.window else known)
        elif each.levels:
            found.append(Input(each.name, each.title, kind="code", codes=tuple(each.levels)))
        else:
            found.append(Input(each.name, each.title, each.unit, low=each.low, high=each.high))
    return tuple(found)


OWN_INPUTS: Final = frozenset(each.name for model in MODELS.values() for each in model_inputs(model))
"""Names that callers may state for models, beyond those of the vocabulary."""


async def predict(model: Model, finder: Finder, settings: AiSettings) -> Computed | Left:
    """Ask one model, as far as it may be asked."""
    score = _as_score(model)
    if not settings.models:
        return Left(score, "off", "learned models are switched off; published scores and red flags stay")
    found = {each.name: finder.find(each) for each in score.inputs}
    values: Values = {name: each.value for name, each in found.items() if each.value is not None}
    said = await model.ask(values, settings.model_timeout)
    if isinstance(said, NotComputed):
        at_fault = tuple(each for each in found.values() if each.name == said.input)
        return Left(score, _CODES.get(said.kind, "unavailable"), said.reason, at_fault)
    amiss = tuple(each for each in found.values() if each.state in AMISS)
    return Computed(score, _result(said), found, amiss, model_version=f"{said.version}, sha256 {said.sha256[:12]}")


def _as_score(model: Model) -> Score:
    manifest = model.manifest
    return Score(
        name=manifest.name, title=manifest.title, inputs=model_inputs(model), compute=lambda values: Result(0, "class"),
        source=f"model card docs/ai/models, {manifest.name} {manifest.version}", outcome=manifest.outcome,
        horizon=manifest.horizon, limits=manifest.cohort,
    )  # fmt: skip


def _result(said: Prediction) -> Result:
    sure = f"the conformal set is {' or '.join(said.possible)}" if said.possible else "the conformal set is empty"
    uncertain = "" if len(said.possible) == 1 else ": uncertain, for a clinician to judge"
    flagged = "above" if said.flagged else "below"
    meaning = f"{flagged} the threshold of the model's card; {sure}{uncertain}"
    if said.missing:
        meaning += f"; without {', '.join(said.missing)}"
    return Result(said.probability, "probability", "", meaning, said.contributions, "logit")

"""Predicting: learned models beside the scores, each within its cohort, or why it was not asked."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from fhir_ai.inputs import Finder, Found
from fhir_ai.models import Model, NotComputed, Prediction
from fhir_ai.operations.computing import AMISS, Computed, Left
from fhir_ai.registry import Serving
from fhir_ai.scores import SCORES
from fhir_ai.scores.score import Input, Result, Score, Values
from fhir_ai.scores.vocabulary import VOCABULARY
from fhir_ai.settings import AiSettings

_DAY: Final = 24.0
_YES_NO: Final = frozenset(("false", "true"))
INPATIENT: Final = Input("inpatient", "Inpatient encounter", kind="boolean", window=_DAY)
_CODES: Final[Mapping[str, str]] = {"cohort": "not-applicable", "input": "missing", "unavailable": "unavailable"}


def model_inputs(model: Model) -> tuple[Input, ...]:
    """Return what a model is asked with, as inputs that are found in a record; measurements count for a day."""
    found = [INPATIENT] if model.manifest.setting == "inpatient" else []
    for each in model.manifest.features:
        known = VOCABULARY.get(each.name)
        if known is not None:
            found.append(replace(known, window=_DAY) if known.kind == "number" and known.window else known)
        elif set(each.levels) == _YES_NO:  # a treatment or a diagnosis that is not recorded counts as no
            found.append(Input(each.name, each.title, kind="boolean", window=0, required=False, default=False))
        elif each.levels:
            found.append(Input(each.name, each.title, kind="code", codes=tuple(each.levels)))
        else:
            found.append(Input(each.name, each.title, each.unit, low=each.low, high=each.high))
    return tuple(found)


def inputs_with_fallback(model: Model) -> tuple[Input, ...]:
    """Return the inputs of a model, and of the scores that answer in its place."""
    instead = [SCORES[name] for name in model.manifest.fallback if name in SCORES]
    return (*model_inputs(model), *(each for score in instead for each in score.inputs))


def own_inputs(models: Iterable[Model]) -> frozenset[str]:
    """Return the names that callers may state for models, beyond those of the vocabulary."""
    return frozenset(each.name for model in models for each in model_inputs(model))


def model_values(model: Model, finder: Finder) -> tuple[dict[str, Found], Values]:
    """Return what became of a model's inputs, and the values of those that are there: to ask, and to train on."""
    found = {each.name: finder.find(each) for each in model_inputs(model)}
    return found, {name: each.value for name, each in found.items() if each.value is not None}


async def predict(serving: Serving, name: str, patient: str, finder: Finder, settings: AiSettings) -> Computed | Left:
    """Ask the version of a model that serves a patient (logical id; empty for one outside of the record)."""
    champion = serving.models[name]
    if not settings.models:
        said = "learned models are switched off; published scores and red flags stay"
        return Left(_as_score(champion), "off", said)
    found, values = model_values(champion, finder)
    answer = await serving.ask(name, patient, values, settings.model_timeout)
    score = _as_score(answer.model)
    if isinstance(answer.said, NotComputed):
        return _left(score, answer.said, found, answer.model.manifest.fallback)
    amiss = tuple(each for each in found.values() if each.state in AMISS)
    version = f"{answer.said.version}, sha256 {answer.said.sha256[:12]}"
    return Computed(
        score, _result(answer.said), found, amiss, version, answer.model, canary=answer.role == "canary",
        possible=answer.said.possible,
    )  # fmt: skip


def _left(score: Score, said: NotComputed, found: Mapping[str, Found], fallback: tuple[str, ...]) -> Left:
    at_fault = tuple(each for each in found.values() if each.name == said.input)
    if said.kind != "unavailable" or not fallback:
        return Left(score, _CODES.get(said.kind, "unavailable"), said.reason, at_fault)
    titles = " and ".join(SCORES[name].title for name in fallback if name in SCORES)
    return Left(score, "unavailable", f"{said.reason}; published scores in its place: {titles}", at_fault, fallback)


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
    return Result(said.probability, "probability", f"{flagged} the threshold", meaning, said.contributions, "logit")

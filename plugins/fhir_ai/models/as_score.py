"""A model in the shape of a Score, so that whatever asks for scores can ask for a model in the same way."""

from fhir_ai.models.errors import ModelError, ModelUnavailable, OutsideCohort
from fhir_ai.models.manifest import Feature
from fhir_ai.models.model import TIMEOUT, Model
from fhir_ai.models.vector import within_cohort
from fhir_ai.scores.score import Implausible, Input, Result, Score, Values
from fhir_ai.scores.vocabulary import FOR_EVER, VOCABULARY

_DAY = 24.0
_ENCOUNTER = Input("inpatient", "Inpatient encounter", kind="boolean", window=FOR_EVER, required=False)


def score_of(model: Model, timeout: float = TIMEOUT) -> Score:
    """Present a model as a Score: `applies` is its cohort, `compute` its prediction within `timeout` seconds.

    `compute` raises ValueError, with the reason, where the model cannot answer.
    """
    manifest = model.manifest
    area = _area(model)
    return Score(
        name=manifest.name,
        title=f"{manifest.title}, a trained model",
        inputs=(_ENCOUNTER, *map(_input, manifest.features)),
        compute=lambda values: _result(model, values, timeout),
        source=f"trained model {manifest.name} {manifest.version}, SHA-256 {manifest.sha256}{area}; docs/ai/models",
        outcome=manifest.outcome,
        horizon=manifest.horizon,
        limits=f"{manifest.cohort}; a trained model, no published score, not validated elsewhere",
        applies=lambda values: _refusal(model, values),
    )


def _area(model: Model) -> str:
    try:
        return f", AUROC {model.card()['auroc']['value']:.3f} on patients whom it never saw"
    except (ModelUnavailable, KeyError, TypeError, ValueError):
        return ""


def _input(feature: Feature) -> Input:
    """Ask for a feature with the window of the vocabulary and the limits of the model."""
    known = VOCABULARY.get(feature.name)
    kind = known.kind if known else "boolean" if set(feature.levels) == {"false", "true"} else "number"
    codes = tuple(feature.levels) if feature.levels and kind != "boolean" else ()
    return Input(
        name=feature.name,
        title=feature.title,
        unit=feature.unit,
        kind="code" if codes else kind,
        codes=codes,
        low=feature.low if not feature.levels else float("-inf"),
        high=feature.high if not feature.levels else float("inf"),
        window=known.window if known else FOR_EVER if feature.levels else _DAY,
        required=feature.required,
    )


def _refusal(model: Model, values: Values) -> str | None:
    try:
        within_cohort(model.manifest, values)
    except OutsideCohort as reason:
        return str(reason)
    return None


def _result(model: Model, values: Values, timeout: float) -> Result:
    try:
        prediction = model.predict(values, timeout)
    except ModelError as error:
        if error.kind == "input":
            raise Implausible(error.input, str(error)) from error
        raise ValueError(str(error)) from error
    sure = "the model is sure enough" if len(prediction.possible) == 1 else "uncertain: both outcomes stay possible"
    missing = f"; counted as missing: {', '.join(prediction.missing)}" if prediction.missing else ""
    return Result(
        value=prediction.probability,
        kind="probability",
        meaning=f"chance of {model.manifest.outcome}, by a trained model; {sure}{missing}",
        contributions=prediction.contributions,
        link="logit",
    )

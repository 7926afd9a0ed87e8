"""What a computed score is in FHIR: a RiskAssessment.

R4 wants probabilityDecimal as a percentage: https://hl7.org/fhir/R4/riskassessment-definitions.html
"""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from fhir_ai.operations.computing import Computed
from fhir_ai.operations.making import HOME, SCORE, VERSION, about, author, concept, labelled, references
from fhir_ai.registry.resources import MODEL, Machine
from fhir_ai.scores.score import Contribution, Result
from fhir_server.plugin_api import PluginContext, Resource, instant

NAME: Final = "risk-assess"
CONTRIBUTION: Final = f"{HOME}/StructureDefinition/risk-contribution"
CONFORMAL: Final = f"{HOME}/StructureDefinition/risk-conformal-set"
_DAY_MS: Final = 86_400_000
_RISK: Final = "http://terminology.hl7.org/CodeSystem/risk-probability"
_BANDS: Final = frozenset(("negligible", "low", "moderate", "high", "certain"))
_SAME: Final = {"intermediate": "moderate", "medium": "moderate"}
_CENT: Final = Decimal("0.01")


def assessment(ctx: PluginContext, patient: Resource, done: Computed, machine: Machine | None = None) -> dict[str, Any]:
    """Return the RiskAssessment of a score, or of a model, which is its author then."""
    score, result = done.score, done.result
    named = (SCORE if done.model is None else MODEL, score.name)
    return labelled(
        {
            "resourceType": "RiskAssessment",
            "status": "preliminary" if done.amiss else "final",
            "method": concept(f"{score.title}, version {done.model_version or VERSION}", named),
            "code": concept(score.outcome or score.title),
            "subject": about(patient),
            "occurrenceDateTime": instant(ctx.now()),
            "performer": author(NAME) if machine is None else machine.author(),
            "basis": references(each.reference for each in done.found.values() if each.value is not None),
            "prediction": [_prediction(ctx, done)],
            "note": [{"text": text} for text in _notes(done, result)],
        }
    )


def _prediction(ctx: PluginContext, done: Computed) -> dict[str, Any]:
    score, result = done.score, done.result
    extensions = [*_contributions(result), *_conformal(done)]
    prediction: dict[str, Any] = {"extension": extensions} if extensions else {}
    prediction["outcome"] = concept(score.outcome or score.title)
    if result.kind == "probability":
        prediction["probabilityDecimal"] = percentage(result.value)
    band = _SAME.get(result.band, result.band)
    if band in _BANDS:
        prediction["qualitativeRisk"] = concept(result.band, (_RISK, band))
    elif result.band:
        prediction["qualitativeRisk"] = concept(result.band)
    if score.horizon:
        end = ctx.now() + int(score.horizon * _DAY_MS)
        prediction["whenPeriod" if score.horizon < 1 else "whenRange"] = (
            {"start": instant(ctx.now()), "end": instant(end)} if score.horizon < 1 else _range(score.horizon)
        )
    prediction["rationale"] = f"{_value(result)}{f': {result.meaning}' if result.meaning else ''}"
    return prediction


def _contributions(result: Result) -> list[dict[str, Any]]:
    """Return what each input added, for programs; the notes say it for people."""
    return [_contributed(part, result.link) for part in result.contributions]


def _conformal(done: Computed) -> list[dict[str, Any]]:
    """Return the set of outcomes that a model leaves open; both in it, or none, mean that it does not know."""
    if done.possible is None:
        return []
    return [{"url": CONFORMAL, "extension": [{"url": "outcome", "valueString": each} for each in done.possible]}]


def _contributed(part: Contribution, link: str) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [{"url": "input", "valueString": part.input}]
    if isinstance(part.value, bool):
        parts.append({"url": "value", "valueBoolean": part.value})
    elif isinstance(part.value, int | float):
        parts.append({"url": "value", "valueDecimal": Decimal(f"{part.value:.10g}")})
    elif part.value is not None:
        parts.append({"url": "value", "valueString": part.value})
    parts += [{"url": "points", "valueDecimal": Decimal(f"{part.points:.10g}")}, {"url": "link", "valueCode": link}]
    return {"url": CONTRIBUTION, "extension": parts}


def percentage(probability: float) -> Decimal:
    """Return a probability (0 to 1) as R4 wants it: a percentage, to a hundredth."""
    return (Decimal(repr(probability)) * 100).quantize(_CENT, ROUND_HALF_UP)


def _range(days: float) -> dict[str, Any]:
    """Return the time that a risk is of, from now."""
    years = days / 365.25
    whole = round(years)
    value, unit, code = (whole, "years", "a") if whole and abs(years - whole) < 0.02 else (days, "days", "d")
    low, high = (
        {"value": Decimal(f"{each:g}"), "unit": unit, "system": "http://unitsofmeasure.org", "code": code}
        for each in (0, value)
    )
    return {"low": low, "high": high}


def _value(result: Result) -> str:
    if result.kind == "probability":
        return f"{percentage(result.value)}%"
    whole = result.kind == "points" and result.value == int(result.value)
    return f"{result.value:g} points" if whole else f"{result.value:.4g}"


def _notes(done: Computed, result: Result) -> list[str]:
    """Say what each input added, what was not recorded, what was left out, and for whom the score holds."""
    score = done.score
    kind = "A learned model" if done.model_version else "A published score"
    said = [f"{score.title} is {_value(result)}. {kind}, not a diagnosis."]
    if done.canary:
        said.append("A challenger on trial, shown to a share of the patients; not the champion of this model.")
    said += [_contribution(part, result) for part in result.contributions]
    assumed = [each.title for each in done.found.values() if each.state == "assumed" and each.value is False]
    if assumed:
        said.append(f"Not recorded, and counted as no: {', '.join(assumed)}")
    said += [f"Not used: {each.title}: {each.because}" for each in done.amiss]
    if score.limits:
        said.append(f"Holds for: {score.limits}")
    if not score.enabled:
        said.append("The formula is known at second hand: do not act on it alone.")
    return [*said, f"Source: {score.source}"]


def _contribution(part: Contribution, result: Result) -> str:
    scale = {"identity": "points", "log": "on the log scale", "logit": "log odds", "cloglog": "log hazard"}[result.link]
    value = part.value
    shown = f"{value:g}" if isinstance(value, float) else str(value)
    named = part.input if value is None else f"{part.input} = {shown}"
    return f"{named}: {part.points:+.4g} {scale}{f' ({part.because})' if part.because else ''}"

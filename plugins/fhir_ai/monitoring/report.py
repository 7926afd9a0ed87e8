"""Report: how a version of a model does on the patients of this server, and which bounds that breaks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from fhir_ai.models import Model, ModelUnavailable
from fhir_ai.monitoring.adwin import Adwin
from fhir_ai.monitoring.gaps import Gap, gaps_of
from fhir_ai.monitoring.reference import Shift, shift_of
from fhir_ai.monitoring.statistics import auroc_interval, brier, calibration
from fhir_ai.registry.recorder import UNKNOWN, Said
from fhir_ai.settings import AiSettings

_PER_CENT: Final = 100


@dataclass(frozen=True, slots=True)
class Discrimination:
    """How well probabilities tell those with the outcome from those without, over n patients whose outcome is known.

    auroc: with its 95 % interval. line: intercept and slope of the calibration. observed, predicted: mean outcome,
    mean probability. alerts: per 100.
    """

    n: int
    events: int
    auroc: tuple[float, float, float] | None
    brier: float
    line: tuple[float, float] | None
    observed: float
    predicted: float
    sensitivity: float | None
    ppv: float | None
    alerts: float


@dataclass(frozen=True, slots=True)
class Broken:
    """A bound that does not hold. name: of the setting."""

    name: str
    said: str


@dataclass(frozen=True, slots=True)
class Report:
    """Figures of one version over a time. shown: whether people saw what it said, or it was a shadow.

    changes: cuts of ADWIN on the stream of probabilities. unanswered: share of calls without a probability, by kind.
    overridden: share of clinicians' answers that overrode it; None where there are none.
    """

    model: str
    version: str
    since: int
    until: int
    n: int
    shown: int
    shifts: Sequence[Shift] = ()
    probability: Shift | None = None
    changes: int = 0
    alerts: float = 0.0
    unanswered: Mapping[str, float] = field(default_factory=dict)
    outcomes: Discrimination | None = None
    gaps: Sequence[Gap] = ()
    overridden: tuple[int, float] | None = None
    broken: Sequence[Broken] = ()


def report_of(
    model: Model, rows: Sequence[Said], settings: AiSettings, period: tuple[int, int],
    overridden: tuple[int, float] | None = None,
) -> Report:  # fmt: skip
    """Make the report of what a version said, oldest first."""
    answered = [row for row in rows if row.probability is not None]
    expected = _reference(model)
    features = expected.get("features", {})
    shifts = [shift_of(name, spread, [row.values.get(name) for row in rows]) for name, spread in features.items()]
    chances = [row.probability for row in answered if row.probability is not None]
    of = expected.get("probability")
    kinds = {row.kind for row in rows if row.kind}
    found = Report(
        model=model.manifest.name, version=model.manifest.version, since=period[0], until=period[1], n=len(rows),
        shown=sum(row.role != "shadow" for row in rows),
        shifts=shifts if rows else [],
        probability=shift_of("probability", of, chances) if of and chances else None,
        changes=_changes(chances), alerts=_PER_CENT * _share(row.flagged for row in answered),
        unanswered={kind: _share(row.kind == kind for row in rows) for kind in sorted(kinds)},
        outcomes=discrimination([row for row in answered if row.outcome != UNKNOWN]),
        gaps=gaps_of(answered), overridden=overridden,
    )  # fmt: skip
    return _judged(found, model, settings)


def discrimination(rows: Sequence[Said]) -> Discrimination | None:
    """Measure what was said against what became of the patients; None where that is known of nobody."""
    if not rows:
        return None
    outcome = [float(row.outcome) for row in rows]
    chance = [row.probability or 0.0 for row in rows]
    flagged, events = [row for row in rows if row.flagged], int(sum(outcome))
    hits = sum(row.outcome for row in flagged)
    return Discrimination(
        n=len(rows), events=events, auroc=auroc_interval(outcome, chance), brier=brier(outcome, chance),
        line=calibration(outcome, chance), observed=events / len(rows), predicted=sum(chance) / len(rows),
        sensitivity=hits / events if events else None, ppv=hits / len(flagged) if flagged else None,
        alerts=_PER_CENT * len(flagged) / len(rows),
    )  # fmt: skip


def _judged(found: Report, model: Model, settings: AiSettings) -> Report:
    return replace(found, broken=list(_breaks(found, model, settings)))


def _breaks(found: Report, model: Model, settings: AiSettings) -> Iterator[Broken]:
    """Yield the bounds that do not hold; fewer patients than `monitor_least` break none."""
    least = settings.monitor_least
    for shift in (*found.shifts, *([found.probability] if found.probability else [])):
        if shift.psi is not None and shift.n >= least and shift.psi > settings.monitor_psi:
            yield Broken("monitor_psi", f"{shift.name} shifted: PSI {shift.psi:.2f}, bound {settings.monitor_psi:g}")
        if found.n >= least and shift.missing > settings.monitor_missing:
            yield Broken("monitor_missing", f"{shift.name} is missing {shift.missing:.0%} more often than in training")
    if found.n >= least and found.unanswered.get("unavailable", 0.0) > settings.monitor_unavailable:
        share = found.unanswered["unavailable"]
        yield Broken("monitor_unavailable", f"it could not answer {share:.0%} of the calls")
    if found.outcomes is not None and found.outcomes.n >= least:
        yield from _outcome_breaks(found.outcomes, model, settings)
    if (
        found.overridden is not None
        and found.overridden[0] >= least
        and found.overridden[1] > settings.monitor_overridden
    ):
        yield Broken("monitor_overridden", f"clinicians overrode {found.overridden[1]:.0%} of it")


def _outcome_breaks(found: Discrimination, model: Model, settings: AiSettings) -> Iterator[Broken]:
    published = _auroc_of(model)
    if found.auroc is not None and published is not None:
        value, _, high = found.auroc
        if high < published - settings.monitor_auroc:
            said = f"AUROC {value:.3f} (at most {high:.3f}); its card says {published:.3f}"
            yield Broken("monitor_auroc", f"{said}, and {settings.monitor_auroc:g} less is the bound")
    gap = abs(found.observed - found.predicted)
    if gap > settings.monitor_calibration:
        said = f"predicted {found.predicted:.3f} on average, observed {found.observed:.3f}"
        yield Broken("monitor_calibration", f"{said}; they may differ by {settings.monitor_calibration:g}")


def _reference(model: Model) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = model.card().get("reference", {})
    except ModelUnavailable:
        return {}
    return found


def _auroc_of(model: Model) -> float | None:
    try:
        return float(model.card()["auroc"]["value"])
    except (ModelUnavailable, KeyError, TypeError, ValueError):
        return None


def _changes(chances: Sequence[float]) -> int:
    window = Adwin()
    for each in chances:
        window.update(each)
    return window.changes


def _share(found: Any) -> float:
    each = list(found)
    return sum(each) / len(each) if each else 0.0

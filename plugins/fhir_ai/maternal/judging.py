"""Judging a pregnancy: which warning criteria its newest measurements meet, and how they grew over the visits.

A criterion is met by what was measured alone; what was not measured counts as normal, and is named.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fhir_ai.inputs import Finder, Found
from fhir_ai.operations.deciding import criteria
from fhir_ai.scores import SCORES
from fhir_ai.scores.score import Input, Value

ALERTING: Final = (("mewc", 1), ("mewt", 2))
"""Scores whose criteria alert, and the points from which they do."""
_VITALS: Final = ("systolic", "diastolic", "heart_rate", "respiratory_rate", "spo2", "temperature")


@dataclass(frozen=True, slots=True)
class Judgement:
    """met: criteria that are met, by input, as text. at: of the newest measurement among them, or among all.

    values: what was measured, by input. references: of the Observations that it rests on. missing: titles of the vital
    signs that were not measured in time.
    """

    met: Mapping[str, str]
    at: int
    values: Mapping[str, Value] = field(default_factory=dict)
    references: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()

    def settles(self, earlier: Mapping[str, Any]) -> bool:
        """Tell whether all that was met before has been measured anew, and is not met any more."""
        return not self.met and all(name in self.values for name in earlier)


def judge(finder: Finder) -> Judgement:
    """Judge what was found; the finder knows that the patient is pregnant."""
    inputs = {each.name: each for name, _ in ALERTING for each in SCORES[name].inputs}
    found = {name: finder.find(each) for name, each in inputs.items()}
    values = {name: each.value for name, each in found.items() if each.value is not None}
    met: dict[str, str] = {}
    for name, least in ALERTING:
        score = SCORES[name]
        parts = criteria(score, values)
        if sum(part.points for part in parts) >= least:
            for part in parts:
                if part.points and part.input in values:
                    said = f"{inputs[part.input].title} {_shown(values[part.input], inputs[part.input])}"
                    met.setdefault(part.input, f"{said}, {part.because or 'met'} ({score.title})")
    used = [found[name] for name in (met or values) if found[name].reference]
    return Judgement(
        met, max((each.at for each in used), default=0), values, tuple(dict.fromkeys(each.reference for each in used)),
        tuple(found[name].title for name in _VITALS if found[name].value is None), _faults(found),
    )  # fmt: skip


def _faults(found: Mapping[str, Found]) -> tuple[str, ...]:
    return tuple(
        f"{each.title}: {each.because}"
        for each in found.values()
        if each.state in ("implausible", "unit", "contradictory")
    )


def _shown(value: Value, wanted: Input) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g} {wanted.unit}".strip() if isinstance(value, int | float) else str(value)


def visit(judgement: Judgement, weeks: float | None, risk: str) -> dict[str, Any]:
    """Return what is kept of a visit, to tell how pressure and risk grew."""
    kept: dict[str, Any] = {"at": judgement.at, "met": len(judgement.met), "risk": risk}
    for name in ("systolic", "diastolic"):
        if isinstance(judgement.values.get(name), int | float):
            kept[name] = judgement.values[name]
    return kept | ({"weeks": round(weeks, 1)} if weeks is not None else {})


def growth(visits: list[dict[str, Any]]) -> str:
    """Say how pressure and risk went over the visits; no limit is drawn on it, for none is published for alerts."""
    pressures = [each for each in visits if "systolic" in each and "diastolic" in each]
    said = []
    if len(pressures) > 1:
        first, last = pressures[0], pressures[-1]
        mean = [(each["systolic"] + 2 * each["diastolic"]) / 3 for each in (first, last)]
        said.append(
            f"blood pressure over {len(pressures)} visits from {first['systolic']:g}/{first['diastolic']:g} to "
            f"{last['systolic']:g}/{last['diastolic']:g} mm[Hg] (mean {mean[1] - mean[0]:+.0f})"
        )
    risks = [each["risk"] for each in visits if each.get("risk")]
    changes = [risk for number, risk in enumerate(risks) if number == 0 or risk != risks[number - 1]]
    if len(changes) > 1:
        said.append(f"risk of pre-eclampsia by the USPSTF criteria: {' to '.join(changes)}")
    return "; ".join(said)

"""Checks of one result: ranges, reference change value, Westgard's rules. Pure functions.

Reference change value: 2^0.5 x Z x CV, in its log-normal form (Fokkema 2006).
Westgard's rules: https://doi.org/10.1093/clinchem/27.3.493
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any, Final

from fhir_ai.findings.lab.analytes import Analyte, table
from fhir_ai.findings.lab.reading import Finding, Reading, Severity, bounds_of
from fhir_ai.inputs.diagnoses import codings

_Z95: Final = 1.96
_Z99: Final = 2.576
_DAY: Final = 86_400_000
SEXES: Final[Mapping[str, str]] = {"248152002": "female", "248153007": "male", "F": "female", "M": "male"}
_PANIC: Final = frozenset(("HH", "LL", "AA", "HU", "LU"))
_FEWEST: Final = 12
_MANY: Final = 20
RULES: Final[Mapping[str, str]] = {
    "1_3s": "over 3 standard deviations from the mean",
    "2_2s": "the second over 2 standard deviations on the same side",
    "R_4s": "two over 4 standard deviations apart",
    "4_1s": "the fourth over 1 standard deviation on the same side",
    "10_x": "the tenth on the same side of the mean",
}


def ranges(reading: Reading, age: float | None, sex: str) -> tuple[list[Finding], list[str]]:
    """Check a result against the critical limits, its own reference range, else the table's.

    Returns:
        What stands out, and why something could not be checked.
    """
    found = [*_critical(reading, age), *_flagged(reading)]
    own = [each for each in reading.resource.get("referenceRange", ()) if _is_about(each, age, sex)]
    limits = [bounds for each in own if (bounds := bounds_of(reading, each)) is not None and any_of(bounds)]
    if limits:
        outside = [_outside(reading, each) for each in limits]
        said = f"outside its own reference range {_span(limits[0])}"
        return [*found, *([_ranged(reading, said, "")] if all(outside) else [])], []
    left = ["its own reference range cannot be read in its unit"] if own else []
    interval = reading.analyte.interval(age, sex)
    if interval is None:
        who = "without an age" if age is None else f"at {age:.0f} years"
        return found, [*left, f"no reference interval of {reading.analyte.title} is known {who}"]
    if _outside(reading, (interval.low, interval.high)):
        said = f"outside the reference interval {_span((interval.low, interval.high))}"
        found.append(_ranged(reading, said, table().sources[interval.source]))
    return found, left


def change_limits(analyte: Analyte, cv_analytical: float | None, z: float) -> tuple[float, float] | None:
    """Return by how much (-0.3, 0.43) a result of a steady person may change, log-normal; None: nothing is known."""
    if analyte.cv_within is None:
        return None
    own = analyte.cv_within / 2 if cv_analytical is None else cv_analytical
    total = math.hypot(analyte.cv_within, own) / 100
    spread = z * math.sqrt(2) * math.sqrt(math.log1p(total**2))
    return math.expm1(-spread), math.expm1(spread)


def delta(reading: Reading, before: Reading | None, cv_analytical: float | None) -> Finding | None:
    """Check a result against the one before by the reference change value, at 95 and 99%."""
    wide = change_limits(reading.analyte, cv_analytical, _Z95)
    far = change_limits(reading.analyte, cv_analytical, _Z99)
    if before is None or wide is None or far is None or before.value <= 0 or reading.comparator or before.comparator:
        return None
    change = reading.value / before.value - 1
    if wide[0] <= change <= wide[1]:
        return None
    beyond = change < far[0] or change > far[1]
    limits = far if beyond else wide
    days = (reading.at - before.at) / _DAY
    said = (
        f"{reading.analyte.title} changed {change:+.0%} in {days:.3g} days, {before.value:.4g} to {reading.said()}; "
        f"{99 if beyond else 95}% of steady people stay within {limits[0]:+.0%} and {limits[1]:+.0%}"
    )
    sources = [table().sources[name] for name in ("ricos1999", "fokkema2006")]
    if cv_analytical is None:
        sources.append(table().sources["harris1970"])
    refs = (before.reference,) if before.reference else ()
    return Finding("delta", "moderate" if beyond else "low", said, "; ".join(sources), refs)


def westgard(scores: Sequence[float]) -> list[str]:
    """Return the rules that the last of some values breaks, each value in standard deviations from the mean."""
    last = scores[-1]
    side = math.copysign(1, last)
    same = [each * side for each in scores]
    broken = []
    if abs(last) > 3:
        broken.append("1_3s")
    if len(scores) > 1 and min(same[-2:]) > 2:
        broken.append("2_2s")
    if len(scores) > 1 and same[-1] > 2 and same[-2] < -2:
        broken.append("R_4s")
    if len(scores) > 3 and min(same[-4:]) > 1:
        broken.append("4_1s")
    if len(scores) > 9 and min(same[-10:]) > 0:
        broken.append("10_x")
    return broken


def controlled(readings: Sequence[Reading], mean: float, deviation: float) -> list[Finding]:
    """Check control results (oldest first) against the laboratory's own mean and standard deviation, one after one."""
    found = []
    scores = [(each.value - mean) / deviation for each in readings]
    for number, each in enumerate(readings, 1):
        for rule in westgard(scores[:number]):
            severity: Severity = "high" if rule in ("1_3s", "R_4s") else "moderate"
            said = f"control result {number} ({each.said()}): {rule}, {RULES[rule]}"
            refs = (each.reference,) if each.reference else ()
            found.append(Finding("westgard", severity, said, table().sources["westgard1981"], refs))
    return found


def serial(reading: Reading, earlier: Sequence[Reading]) -> tuple[list[Finding], str]:
    """Apply the rules to a person's own results (newest first) as if they were controls.

    Mean and standard deviation are those of their older results: the rules are made for controls, so what they say of
    a person is that the level moved, not that it is wrong. Returns findings, and why it was not done.
    """
    values = [each.value for each in earlier if not each.comparator]
    if len(values) < _FEWEST or reading.comparator:
        return [], f"Westgard's rules need {_FEWEST} earlier results; there are {len(values)}"
    recent = 9 if len(values) >= _MANY else 3
    base = values[recent:]
    mean, deviation = fmean(base), stdev(base)
    if not deviation:
        return [], "Westgard's rules need results that vary; all earlier ones are the same"
    scores = [(each - mean) / deviation for each in [*reversed(values[:recent]), reading.value]]
    source = table().sources["westgard1981"]
    own = f"own results (mean {mean:.4g}, SD {deviation:.3g} of {len(base)})"
    said = f"{reading.analyte.title} {reading.said()} among {own}"
    return [Finding("westgard", "low", f"{said}: {rule}, {RULES[rule]}", source) for rule in westgard(scores)], ""


def any_of(bounds: tuple[float | None, float | None]) -> bool:
    """Tell whether there is a limit at all."""
    return bounds != (None, None)


def _critical(reading: Reading, age: float | None) -> Iterator[Finding]:
    limits = reading.analyte.critical
    if age is not None and age < 18:
        return  # the survey is of adults
    if _outside(reading, (limits.low, limits.high)):
        said = (
            f"{reading.analyte.title} {reading.said()} is beyond the critical limit {_span((limits.low, limits.high))}"
        )
        yield Finding("critical", "high", said, table().sources["kost1990"])


def _flagged(reading: Reading) -> Iterator[Finding]:
    for concept in reading.resource.get("interpretation", ()):
        for _, code in codings(concept):
            if code in _PANIC:
                said = f"{reading.analyte.title} {reading.said()}: the laboratory itself flags it {code}"
                yield Finding("interpretation", "high", said)
                return


def _outside(reading: Reading, bounds: tuple[float | None, float | None]) -> bool:
    """Tell whether a result is surely outside; one that is only a bound may be, and is not called so."""
    low, high = bounds
    under = low is not None and reading.value < low
    over = high is not None and reading.value > high
    if reading.comparator.startswith("<"):
        return low is not None and reading.value <= low
    if reading.comparator.startswith(">"):
        return high is not None and reading.value >= high
    return under or over


def _ranged(reading: Reading, said: str, source: str) -> Finding:
    return Finding("reference-range", "low", f"{reading.analyte.title} {reading.said()} is {said}", source)


def _span(bounds: tuple[float | None, float | None]) -> str:
    low, high = bounds
    if low is None:
        return f"up to {high:.4g}"
    return f"from {low:.4g}" if high is None else f"{low:.4g} to {high:.4g}"


def _is_about(given: Mapping[str, Any], age: float | None, sex: str) -> bool:
    """Tell whether a reference range is of people like this one, and of the healthy."""
    kinds = {code for _, code in codings(given.get("type", {}))}
    if kinds and "normal" not in kinds:
        return False
    named = {SEXES[code] for each in given.get("appliesTo", ()) for _, code in codings(each) if code in SEXES}
    if named and sex not in named:
        return False
    limits = given.get("age", {})
    low, high = limits.get("low", {}).get("value"), limits.get("high", {}).get("value")
    if low is None and high is None:
        return True
    years = limits.get("low", limits.get("high", {})).get("code", "a") == "a"
    return years and age is not None and (low is None or age >= low) and (high is None or age <= high)

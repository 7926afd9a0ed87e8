"""The statistics of R4, each a formula on measured values.

Standard deviation and variance are those of a sample (n - 1). Percentiles lie between the two values nearest to them
in proportion. Skew and kurtosis are the standardised third and fourth moment (a normal distribution has 0 and 3).

Spec: https://hl7.org/fhir/R4/valueset-observation-statistics.html
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from math import floor, fsum

SYSTEM = "http://terminology.hl7.org/CodeSystem/observation-statistics"

Values = Sequence[float]
"""Measured values, sorted."""


class Measure(Enum):
    """What unit a statistic is in: that of the values, of differences of them, its square, or none."""

    VALUE = "value"
    SPREAD = "spread"
    SQUARE = "square"
    NUMBER = "number"


@dataclass(frozen=True, slots=True)
class Statistic:
    """One code of the value set; `needs` is the fewest values that it is defined for."""

    display: str
    formula: Callable[[Values], float | None]
    measure: Measure = Measure.VALUE
    needs: int = 1


def percentile(values: Values, share: float) -> float:
    """Return the value that this share of the sorted values lies below."""
    place = (len(values) - 1) * share
    lower = floor(place)
    upper = min(lower + 1, len(values) - 1)
    return values[lower] + (values[upper] - values[lower]) * (place - lower)


def line(points: Sequence[tuple[float, float]]) -> tuple[float, float] | None:
    """Return gradient and intercept of the line of least squares; None where all points are of one time."""
    if len({x for x, _ in points}) < 2:
        return None
    gradient, intercept = statistics.linear_regression([x for x, _ in points], [y for _, y in points])
    return gradient, intercept


def _at(share: float) -> Callable[[Values], float]:
    return lambda values: percentile(values, share)


def _quartile_deviation(values: Values) -> float:
    return (percentile(values, 0.75) - percentile(values, 0.25)) / 2


def _moment(order: int) -> Callable[[Values], float | None]:
    def moment(values: Values) -> float | None:
        mean, deviation = statistics.fmean(values), statistics.pstdev(values)
        return fsum(((value - mean) / deviation) ** order for value in values) / len(values) if deviation else None

    return moment


STATISTICS: Mapping[str, Statistic] = {
    "average": Statistic("Average", statistics.fmean),
    "maximum": Statistic("Maximum", max),
    "minimum": Statistic("Minimum", min),
    "median": Statistic("Median", statistics.median),
    "std-dev": Statistic("Standard Deviation", statistics.stdev, Measure.SPREAD, needs=2),
    "sum": Statistic("Sum", fsum),
    "variance": Statistic("Variance", statistics.variance, Measure.SQUARE, needs=2),
    "20-percent": Statistic("20th Percentile", _at(0.2)),
    "80-percent": Statistic("80th Percentile", _at(0.8)),
    "4-lower": Statistic("Lower Quartile", _at(0.25)),
    "4-upper": Statistic("Upper Quartile", _at(0.75)),
    "4-dev": Statistic("Quartile Deviation", _quartile_deviation, Measure.SPREAD),
    "5-1": Statistic("1st Quintile", _at(0.2)),
    "5-2": Statistic("2nd Quintile", _at(0.4)),
    "5-3": Statistic("3rd Quintile", _at(0.6)),
    "5-4": Statistic("4th Quintile", _at(0.8)),
    "skew": Statistic("Skew", _moment(3), Measure.NUMBER, needs=2),
    "kurtosis": Statistic("Kurtosis", _moment(4), Measure.NUMBER, needs=2),
}
COUNTS = {"count": "Count", "total-count": "Total Count"}
REGRESSION = "regression"
CODES = (*STATISTICS, *COUNTS, REGRESSION)

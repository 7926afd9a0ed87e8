"""The comparison laws of the prefixes, as data that every engine uses, so that all engines agree.

An index row holds an interval, `low` and `high`. A law is a disjunction of conjunctions of tests on these two: an
engine turns them into its own query (`" OR ".join(" AND ".join(...))`), the matcher evaluates them.

Spec: https://hl7.org/fhir/R4/search.html#prefix, with S the interval of the search value and T that of the resource:

===  =====================================================  ==========================================
eq   S contains T                                           ne   not eq
gt   the range above S overlaps T                           ge   gt or eq
lt   the range below S overlaps T                           le   lt or eq
sa   T lies wholly above S                                  eb   T lies wholly below S
ap   S, widened by a tenth by the parser, overlaps T
===  =====================================================  ==========================================

Dates: S and T are half open, [low, high), at the precision and zone that each was written with.
Numbers: T is closed, [low, high], and exact: one number has low == high (a stored 100 is not 99.6), a Range or a
comparator (`<5`) has both ends. For eq, ne and ap S is [low, high), what the precision of the search value implies;
every other prefix compares with the exact value ("as if they had arbitrarily high precision").
A resource matches if one of its rows does, `ne` too.
"""

from collections.abc import Callable, Mapping
from math import asin, cos, radians, sin, sqrt
from operator import ge, gt, le, lt
from typing import Literal

from fhir_server.search.query import DateValue, NumberValue, Prefix

Column = Literal["low", "high"]
Operator = Literal["<", "<=", ">", ">="]
Test = tuple[Column, Operator, float]
Law = tuple[tuple[Test, ...], ...]

EARTH_RADIUS = 6_371_008.8

_OPERATORS: Mapping[Operator, Callable[[float, float], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge}


def date_law(value: DateValue) -> Law:
    """Return what a date row must satisfy; bounds are microseconds."""
    low, high = value.low, value.high
    within: tuple[Test, ...] = (("low", ">=", low), ("high", "<=", high))
    above: tuple[Test, ...] = (("high", ">", high),)
    below: tuple[Test, ...] = (("low", "<", low),)
    laws: dict[Prefix, Law] = {
        Prefix.EQ: (within,),
        Prefix.NE: (below, above),
        Prefix.GT: (above,),
        Prefix.LT: (below,),
        Prefix.GE: (above, within),
        Prefix.LE: (below, within),
        Prefix.SA: ((("low", ">=", high),),),
        Prefix.EB: ((("high", "<=", low),),),
        Prefix.AP: ((("low", "<", high), ("high", ">", low)),),
    }
    return laws[value.prefix]


def number_law(value: NumberValue) -> Law:
    """Return what a number or quantity row (closed, exact) must satisfy."""
    exact, low, high = value.value, value.low, value.high
    laws: dict[Prefix, Law] = {
        Prefix.EQ: ((("low", ">=", low), ("high", "<", high)),),
        Prefix.NE: ((("low", "<", low),), (("high", ">=", high),)),
        Prefix.GT: ((("high", ">", exact),),),
        Prefix.LT: ((("low", "<", exact),),),
        Prefix.GE: ((("high", ">=", exact),),),
        Prefix.LE: ((("low", "<=", exact),),),
        Prefix.SA: ((("low", ">", exact),),),
        Prefix.EB: ((("high", "<", exact),),),
        Prefix.AP: ((("low", "<=", high), ("high", ">=", low)),),
    }
    return laws[value.prefix]


def satisfies(law: Law, low: float, high: float) -> bool:
    """Tell whether a row with these bounds satisfies the law."""
    row = {"low": low, "high": high}
    return any(all(_OPERATORS[op](row[column], bound) for column, op, bound in tests) for tests in law)


def instant_interval(last_updated: int) -> tuple[int, int]:
    """Return the half-open interval in microseconds of an instant in milliseconds, for `_lastUpdated`."""
    return last_updated * 1000, last_updated * 1000 + 1000


def distance(latitude: float, longitude: float, to_latitude: float, to_longitude: float) -> float:
    """Return the great-circle distance in metres (haversine on a sphere of the mean radius of the Earth)."""
    phi, to_phi = radians(latitude), radians(to_latitude)
    d_phi, d_lambda = to_phi - phi, radians(to_longitude - longitude)
    h = sin(d_phi / 2) ** 2 + cos(phi) * cos(to_phi) * sin(d_lambda / 2) ** 2
    return 2 * EARTH_RADIUS * asin(min(1.0, sqrt(h)))


def is_below(uri: str, base: str) -> bool:
    """Tell whether `uri` is `base` or lies below it, at a path segment (`:below`; `:above` is the converse).

    Spec: https://hl7.org/fhir/R4/search.html#uri
    """
    return uri == base or uri.startswith(base if base.endswith("/") else base + "/")

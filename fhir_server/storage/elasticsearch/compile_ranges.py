"""Leaves that compare what has an order, dates and numbers, and places, as queries of Elasticsearch."""

from collections.abc import Callable, Iterable, Mapping
from math import ceil, floor
from typing import Any, Final

from fhir_server.search import query as q
from fhir_server.search.compare import Law, Operator, Test, date_law, number_law
from fhir_server.storage.elasticsearch import terms
from fhir_server.storage.elasticsearch.clauses import Clause, Query, among, any_of, every
from fhir_server.storage.elasticsearch.document import finite
from fhir_server.storage.elasticsearch.terms import field

_OPERATORS: Final[Mapping[Operator, str]] = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}
_WHOLE: Final[Mapping[Operator, Callable[[float], int]]] = {"<": ceil, "<=": floor, ">": floor, ">=": ceil}
_WIDENED: Final = 1.005
_FURTHEST: Final = 1 << 62


def date(node: q.Date) -> Clause:
    """Compare dates; where two tests must hold of one value, it has to be the only one."""
    name, laws = f"d.{field(node.param)}", [date_law(value) for value in node.values]
    paired = any(len(tests) > 1 for law in laws for tests in law)
    return Clause(any_of(_ranges(name, laws)), exact=True, single=frozenset({f"{name}.l"} if paired else ()))


def number(node: q.Number) -> Clause:
    """Compare numbers."""
    laws = map(number_law, node.values)
    return Clause(any_of(_ranges(f"n.{field(node.param)}", laws)))


def quantity(node: q.Quantity) -> Clause:
    """Compare quantities, as they are stated and in base units."""
    found: list[Query] = []
    for value in node.values:
        found += _ranges(f"q.{field(node.param)}", [number_law(value.number)])
        if value.canonical is not None:
            canonical, unit = value.canonical
            same: Query = {"term": {"k": terms.unit(node.param, unit)}}
            found += [every([same, each]) for each in _ranges(f"c.{field(node.param)}", [number_law(canonical)])]
    return Clause(any_of(found))


def last_updated(node: q.LastUpdated) -> Clause:
    """Compare `u`, which is in milliseconds and stands for the interval [u, u + 1 ms)."""
    found = [every([_instant(test) for test in tests]) for value in node.values for tests in date_law(value)]
    return Clause(any_of(found), exact=True)


def near(node: q.Near) -> Clause:
    """Look around a place."""
    if abs(node.latitude) > 90 or abs(node.longitude) > 180:
        return among("k", [terms.present(node.param)], exact=False)
    place = {"lat": node.latitude, "lon": node.longitude}
    within: dict[str, Any] = {"distance": f"{node.meters * _WIDENED + 10:.1f}m", f"p.{field(node.param)}": place}
    return Clause({"geo_distance": {**within, "ignore_unmapped": True}})


def _ranges(name: str, laws: Iterable[Law]) -> list[Query]:
    return [every([_range(name, test) for test in tests]) for law in laws for tests in law]


def _range(name: str, test: Test) -> Query:
    column, operator, bound = test
    end = "l" if column == "low" else "h"
    return {"range": {f"{name}.{end}": {_OPERATORS[operator]: _bounded(bound)}}}


def _instant(test: Test) -> Query:
    column, operator, bound = test
    at = _WHOLE[operator](bound / 1000) - (column == "high")
    return {"range": {"u": {_OPERATORS[operator]: _bounded(at)}}}


def _bounded(bound: float) -> float:
    return max(-_FURTHEST, min(_FURTHEST, bound)) if isinstance(bound, int) else finite(bound)

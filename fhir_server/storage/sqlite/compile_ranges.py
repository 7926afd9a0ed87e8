"""Leaves of the tree that compare intervals: numbers, positions and `_lastUpdated`."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import cos, degrees, radians

from fhir_server.search import query as q
from fhir_server.search.compare import EARTH_RADIUS, Column, Law, Test, date_law, number_law
from fhir_server.storage.sqlite.compile_scope import Scope
from fhir_server.storage.sqlite.compile_sql import (
    NEVER,
    Predicate,
    Rows,
    Source,
    Sql,
    Subject,
    Walkable,
    any_of,
    both,
    either,
    sql,
)

_NEVER_PID = 1 << 62
_MANY = 20  # more alternatives than these are bound as a list


def law(law_: Law, low: str, high: str) -> Sql:
    """Return a law of comparison as a condition on two columns."""
    columns: dict[Column, str] = {
        "low": f"+{low}",
        "high": f"+{high}",
    }  # the plus: keys are given apart, no other index helps
    if len(law_) > _MANY:
        return either(_listed(law_, columns))
    parts = [both([sql(f"{columns[column]}{op}?", bound) for column, op, bound in part]) for part in law_]
    return parts[0] if len(parts) == 1 else either(parts)


def _listed(law_: Law, columns: dict[Column, str]) -> list[Sql]:
    """Bind the bounds of alternatives of one shape as one list, for SQLite takes seconds to read thousands of them."""
    shapes: dict[tuple[tuple[Column, str], ...], list[list[float]]] = defaultdict(list)
    for part in law_:
        shapes[tuple((column, op) for column, op, _ in part)].append([bound for _, _, bound in part])
    return [_shape(shape, bounds, columns) for shape, bounds in shapes.items()]


def _shape(shape: Sequence[tuple[Column, str]], bounds: list[list[float]], columns: dict[Column, str]) -> Sql:
    tests = " AND ".join(f"{columns[column]}{op}k.value->>{at}" for at, (column, op) in enumerate(shape))
    return sql(f"EXISTS(SELECT 1 FROM json_each(?) k WHERE {tests})", json.dumps(bounds))


def number(node: q.Number, scope: Scope) -> Predicate:
    """Numbers as closed intervals."""
    label = f"{node.param}={','.join(f'{v.prefix}{v.value}' for v in node.values[:5])}"
    param = scope.param(node.param)
    if param is None:
        return NEVER
    rows = Rows("number", scope.alias(), param)
    return rows.some(label, [_number(rows, number_law(value)) for value in node.values])


def _number(rows: Rows, law_: Law) -> tuple[Sql, Source]:
    where = law(law_, f"{rows.a}.low", f"{rows.a}.high")
    return where, rows.filtered(rows.key + range_of_low(law_, rows.a), where)


@dataclass(frozen=True, slots=True)
class Window:
    """What a law implies, low <= high given: low >= `starts`, low <= `before`, high >= `lasts`; None for nothing."""

    starts: float | None
    before: float | None
    lasts: float | None


def window(law_: Law) -> Window:
    """Return the window of a law, which holds for each of its alternatives."""
    starts = [_bound(part, (">", ">="), ("low",)) for part in law_]
    before = [_bound(part, ("<", "<="), ("low", "high")) for part in law_]
    lasts = [_bound(part, (">", ">="), ("low", "high")) for part in law_]
    return Window(_all(starts, min), _all(before, max), _all(lasts, min))


def _bound(part: Sequence[Test], ops: tuple[str, ...], columns: tuple[str, ...]) -> float | None:
    return next((bound for column, op, bound in part if op in ops and column in columns), None)


def _all(bounds: Sequence[float | None], edge: Callable[[Sequence[float]], float]) -> float | None:
    known = [bound for bound in bounds if bound is not None]
    return edge(known) if known and len(known) == len(bounds) else None


def range_of_low(law_: Law, a: str) -> Sql:
    """Return the range of `low` that a law implies, as more conditions on a key."""
    implied = window(law_)
    starts = sql("") if implied.starts is None else sql(f" AND {a}.low>=?", implied.starts)
    return starts + (sql("") if implied.before is None else sql(f" AND {a}.low<=?", implied.before))


def last_updated(node: q.LastUpdated, scope: Scope) -> Predicate:
    """The log is in the order of time, so a bound on time is a bound on pid."""
    label = f"_lastUpdated={','.join(f'{v.prefix}[{v.low},{v.high})' for v in node.values[:5])}"
    ranges = _merged([_pids(scope, tests) for value in node.values for tests in date_law(value)])
    return any_of((_pid_range(scope, low, high, label) for low, high in ranges), label)


def _merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return ranges [low, high) in order, without empty ones and overlaps."""
    found: list[tuple[int, int]] = []
    for low, high in sorted(each for each in ranges if each[0] < each[1]):
        if found and low <= found[-1][1]:
            found[-1] = found[-1][0], max(high, found[-1][1])
        else:
            found.append((low, high))
    return found


def _pids(scope: Scope, tests: Sequence[Test]) -> tuple[int, int]:
    """Return the range [low, high) of pids: an instant t of the log is the interval [1000 t, 1000 t + 1000)."""
    low, high = 0, _NEVER_PID
    for column, op, bound in tests:
        instant = int(bound) - (1000 if column == "high" else 0)
        edge = -(-instant // 1000) if op in (">=", "<") else instant // 1000 + 1
        pid = scope.values.one(
            "SELECT first_pid FROM tx WHERE last_updated>=? ORDER BY last_updated, txid LIMIT 1", edge
        )
        if op in (">", ">="):
            low = max(low, _NEVER_PID if pid is None else pid)
        else:
            high = min(high, _NEVER_PID if pid is None else pid)
    return low, high


def _pid_range(scope: Scope, low: int, high: int, label: str) -> Predicate:
    def probe(subject: Subject) -> Sql:
        return sql(f"(+{subject.owner}>=? AND +{subject.owner}<?)", low, high)

    if scope.contained:
        return Predicate(label, probe, cost=0)
    a, kind = scope.alias(), scope.values.type(scope.type)
    rows = sql(f"SELECT {a}.pid AS pid FROM version {a} WHERE {a}.type=? AND {a}.pid>=? AND {a}.pid<?", kind, low, high)
    return Predicate(label, probe, Source(rows, (Walkable(rows, f"{a}.pid"),), indexed=False), cost=0)


def near(node: q.Near, scope: Scope) -> Predicate:
    """A band of latitudes by the index, then the great-circle distance."""
    param = scope.param(node.param)
    if param is None:
        return NEVER
    rows = Rows("position", scope.alias(), param)
    reach = degrees(node.meters / EARTH_RADIUS) + 1e-9
    band = sql(f" AND {rows.a}.latitude BETWEEN ? AND ?", node.latitude - reach, node.latitude + reach)
    label = f"{node.param} within {node.meters:g} m of {node.latitude:g}|{node.longitude:g}"
    where = _distance(rows.a, node)
    return rows.some(label, [(where, rows.filtered(rows.key + band, where))])


def _distance(a: str, node: q.Near) -> Sql:
    """Return the haversine formula of `search/compare.distance` in SQL."""
    phi = f"radians({a}.latitude)"
    half = f"pow(sin((radians(?)-{phi})/2),2)+cos({phi})*?*pow(sin(radians(?-{a}.longitude)/2),2)"
    values = node.latitude, cos(radians(node.latitude)), node.longitude, node.meters
    return sql(f"{2 * EARTH_RADIUS}*asin(min(1.0,sqrt({half})))<=?", *values)

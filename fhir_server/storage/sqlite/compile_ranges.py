"""Leaves of the tree that compare intervals: numbers, positions and `_lastUpdated`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, cos, floor, radians

from fhir_server.search import query as q
from fhir_server.search.compare import EARTH_RADIUS, Law, Test, date_law, number_law
from fhir_server.storage.sqlite.compile_scope import Scope
from fhir_server.storage.sqlite.compile_sql import (
    NEVER,
    Predicate,
    Source,
    Sql,
    Subject,
    Walkable,
    any_of,
    both,
    either,
    filtered,
    sql,
)

_NEVER_PID = 1 << 62


def law(law_: Law, low: str, high: str) -> Sql:
    """Return a law of comparison as a condition on two columns."""
    columns = {"low": low, "high": high}
    tests = (both([sql(f"{columns[column]}{op}?", bound) for column, op, bound in part]) for part in law_)
    parts = list(tests)
    return parts[0] if len(parts) == 1 else either(parts)


def number(node: q.Number, scope: Scope) -> Predicate:
    """Numbers as closed intervals."""
    label = f"{node.param}={','.join(f'{v.prefix}{v.value}' for v in node.values[:5])}"
    return any_of((_number(scope, node.param, value, label) for value in node.values), label)


def _number(scope: Scope, code: str, value: q.NumberValue, label: str) -> Predicate:
    param, a = scope.param(code), scope.alias()
    if param is None:
        return NEVER
    where = law(number_law(value), f"{a}.low", f"{a}.high")

    def probe(subject: Subject) -> Sql:
        head = f"EXISTS(SELECT 1 FROM number {a} INDEXED BY number_pid WHERE {a}.pid={subject.pid} AND {a}.param=?"
        return sql(f"{head} AND ", param) + where + ")"

    rows = sql(f" FROM number {a} WHERE {a}.param=?", param) + range_of_low(number_law(value), a)
    return Predicate(label, probe, filtered(a, rows, where))


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
    ranges = [_pids(scope, tests) for value in node.values for tests in date_law(value)]
    return any_of((_pid_range(scope, low, high, label) for low, high in ranges if low < high), label)


def _pids(scope: Scope, tests: Sequence[Test]) -> tuple[int, int]:
    """Return the range [low, high) of pids: an instant t of the log is the interval [1000 t, 1000 t + 1000)."""
    low, high = 0, _NEVER_PID
    for column, op, bound in tests:
        instant = (bound - (1000 if column == "high" else 0)) / 1000
        edge = ceil(instant) if op in (">=", "<") else floor(instant) + 1
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
        return sql(f"({subject.owner}>=? AND {subject.owner}<?)", low, high)

    if scope.contained:
        return Predicate(label, probe, cost=0)
    a, kind = scope.alias(), scope.values.type(scope.type)
    rows = sql(f"SELECT {a}.pid AS pid FROM version {a} WHERE {a}.type=? AND {a}.pid>=? AND {a}.pid<?", kind, low, high)
    return Predicate(label, probe, Source(rows, (Walkable(rows, f"{a}.pid"),), indexed=False), cost=0)


def near(node: q.Near, scope: Scope) -> Predicate:
    """A band of latitudes by the index, then the great-circle distance."""
    param, a = scope.param(node.param), scope.alias()
    if param is None:
        return NEVER
    reach = node.meters / EARTH_RADIUS * 180 / 3.141592653589793 + 1e-9
    band = sql(f"{a}.latitude BETWEEN ? AND ?", node.latitude - reach, node.latitude + reach)
    where = _distance(a, node)
    label = f"{node.param} within {node.meters:g} m of {node.latitude:g}|{node.longitude:g}"

    def probe(subject: Subject) -> Sql:
        head = f"EXISTS(SELECT 1 FROM position {a} INDEXED BY position_pid WHERE {a}.pid={subject.pid} AND {a}.param=?"
        return sql(f"{head} AND ", param) + where + ")"

    rows = sql(f" FROM position {a} WHERE {a}.param=? AND ", param) + band
    return Predicate(label, probe, filtered(a, rows, where))


def _distance(a: str, node: q.Near) -> Sql:
    """Return the haversine formula of `search/compare.distance` in SQL."""
    phi = f"radians({a}.latitude)"
    half = f"pow(sin((radians(?)-{phi})/2),2)+cos({phi})*?*pow(sin(radians(?-{a}.longitude)/2),2)"
    values = node.latitude, cos(radians(node.latitude)), node.longitude, node.meters
    return sql(f"{2 * EARTH_RADIUS}*asin(min(1.0,sqrt({half})))<=?", *values)

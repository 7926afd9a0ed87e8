"""Leaves of the tree that compare intervals: dates, numbers, quantities, positions and `_lastUpdated`."""

from collections.abc import Sequence
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
    one_of,
    sql,
)
from fhir_server.storage.sqlite.composites import CANONICAL_SYSTEM

_NEVER_PID = 1 << 62
_QUANTITY = ("unit", "low", "high", "stated_unit", "stated_low", "stated_high")


def law(law_: Law, low: str, high: str) -> Sql:
    """Return a law of comparison as a condition on two columns."""
    columns = {"low": low, "high": high}
    tests = (both([sql(f"{columns[column]}{op}?", bound) for column, op, bound in part]) for part in law_)
    parts = list(tests)
    return parts[0] if len(parts) == 1 else either(parts)


def date(node: q.Date, scope: Scope) -> Predicate:
    """Dates as intervals; a row lies low <= high, so a law on one bound is a range of keys of one index."""
    label = f"{node.param}={','.join(f'{v.prefix}[{v.low},{v.high})' for v in node.values[:5])}"
    return any_of((_interval(scope, "date", node.param, date_law(value), label) for value in node.values), label)


def number(node: q.Number, scope: Scope) -> Predicate:
    """Numbers as closed intervals."""
    label = f"{node.param}={','.join(f'{v.prefix}{v.value}' for v in node.values[:5])}"
    return any_of((_interval(scope, "number", node.param, number_law(value), label) for value in node.values), label)


def _interval(scope: Scope, table: str, code: str, law_: Law, label: str) -> Predicate:
    param, a = scope.param(code), scope.alias()
    if param is None:
        return NEVER
    where = law(law_, f"{a}.low", f"{a}.high")
    bound = _key_range(law_, a)
    rows = sql(f"SELECT {a}.pid AS pid FROM {table} {a} WHERE {a}.param=? AND ", param) + bound + where

    def probe(subject: Subject) -> Sql:
        head = f"EXISTS(SELECT 1 FROM {table} {a} INDEXED BY {table}_pid WHERE {a}.pid={subject.pid} AND {a}.param=?"
        return sql(f"{head} AND ", param) + where + ")"

    return Predicate(label, probe, Source(rows))


def _key_range(law_: Law, a: str) -> Sql:
    """Return what every part of a law implies of one column, so that SQLite finds a range of keys in it."""
    for column, ops in (("high", (">", ">=")), ("low", ("<", "<="))):
        bounds = [_implied(tests, ops) for tests in law_]
        if len(law_) > 1 and all(bound is not None for bound in bounds):
            edge = (min if column == "high" else max)(bound for bound in bounds if bound is not None)
            return sql(f"{a}.{column}{ops[1]}? AND ", edge)
    return sql("")


def _implied(tests: Sequence[Test], ops: tuple[str, ...]) -> float | None:
    """Return the bound that tests put on a column in one direction: low <= high carries bounds over."""
    return next((bound for _, op, bound in tests if op in ops), None)


def quantity(node: q.Quantity, scope: Scope) -> Predicate:
    """Quantities in UCUM base units where both sides have them, else as stated."""
    label = f"{node.param}={','.join(f'{v.number.prefix}{v.number.value} {v.code}' for v in node.values[:5])}"
    return any_of((_quantity(scope, node.param, value, label) for value in node.values), label)


def _quantity(scope: Scope, code: str, value: q.QuantityValue, label: str) -> Predicate:
    param, a = scope.param(code), scope.alias()
    if param is None:
        return NEVER
    columns = Columns(*(f"{a}.{name}" for name in _QUANTITY))
    where = quantity_condition(scope, value, columns)
    parts = [_rows_of_unit(param, a, part, label) for part in where]
    return any_of(parts, label)


def _rows_of_unit(param: int, a: str, where: Sql, label: str) -> Predicate:
    rows = sql(f"SELECT {a}.pid AS pid FROM quantity {a} WHERE {a}.param=? AND ", param) + where

    def probe(subject: Subject) -> Sql:
        head = f"EXISTS(SELECT 1 FROM quantity {a} INDEXED BY quantity_pid WHERE {a}.pid={subject.pid} AND {a}.param=?"
        return sql(f"{head} AND ", param) + where + ")"

    return Predicate(label, probe, Source(rows))


@dataclass(frozen=True, slots=True)
class Columns:
    """Where the columns of a quantity stand: in the table, or in the JSON of a composite."""

    unit: str
    low: str
    high: str
    stated_unit: str
    stated_low: str
    stated_high: str


def quantity_condition(scope: Scope, value: q.QuantityValue, columns: Columns) -> list[Sql]:
    """Return the alternatives: in the canonical unit, or as stated."""
    units = scope.values.units(value.system, value.code)
    stated = law(number_law(value.number), columns.stated_low, columns.stated_high)
    if value.canonical is None:
        if units == []:
            return []
        return [both([stated] if units is None else [columns.stated_unit + one_of(units), stated])]
    number_, unit = value.canonical
    canonical = scope.values.token(CANONICAL_SYSTEM, unit)
    found = []
    if canonical is not None:
        found.append(both([sql(f"{columns.unit}=?", canonical), law(number_law(number_), columns.low, columns.high)]))
    if units:  # rows without a canonical form keep the stated unit as their unit
        found.append(both([columns.unit + one_of(units), stated]))
    return found


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
    where = both([band, _distance(a, node)])
    label = f"{node.param} within {node.meters:g} m of {node.latitude:g}|{node.longitude:g}"

    def probe(subject: Subject) -> Sql:
        head = f"EXISTS(SELECT 1 FROM position {a} INDEXED BY position_pid WHERE {a}.pid={subject.pid} AND {a}.param=?"
        return sql(f"{head} AND ", param) + where + ")"

    return Predicate(
        label, probe, Source(sql(f"SELECT {a}.pid AS pid FROM position {a} WHERE {a}.param=? AND ", param) + where)
    )


def _distance(a: str, node: q.Near) -> Sql:
    """Return the haversine formula of `search/compare.distance` in SQL."""
    phi = f"radians({a}.latitude)"
    half = f"pow(sin((radians(?)-{phi})/2),2)+cos({phi})*?*pow(sin(radians(?-{a}.longitude)/2),2)"
    values = node.latitude, cos(radians(node.latitude)), node.longitude, node.meters
    return sql(f"{2 * EARTH_RADIUS}*asin(min(1.0,sqrt({half})))<=?", *values)

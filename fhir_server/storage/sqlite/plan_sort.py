"""Sort keys: the value that a row sorts by, the order, and the place where a page goes on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from fhir_server.search.query import SortKey
from fhir_server.storage.sqlite.blind import is_personal
from fhir_server.storage.sqlite.compile_scope import Scope
from fhir_server.storage.sqlite.compile_sql import Sql, Subject, either, joined, sql
from fhir_server.storage.sqlite.connection import SHOWN, blind_of

SortValue = str | float | int | None

_REF: Final = """CASE WHEN x.target<0 THEN (SELECT '#/'||id FROM contained WHERE cid=-x.target)
 ELSE (SELECT y.name||'/'||z.id FROM resource z CROSS JOIN type y ON y.type=z.type WHERE z.rid=x.target) END"""
_ASCENDING: Final = {
    "string": "x.folded",
    "token": "(SELECT code FROM token_value WHERE value=x.value)",
    "date": "x.low",
    "number": "x.low",
    "quantity": "x.low",
    "uri": "(SELECT uri FROM uri_value WHERE value=x.value)",
    "ref": _REF,
}
_DESCENDING: Final = _ASCENDING | {"date": "x.high", "number": "x.high", "quantity": "x.high"}


@dataclass(frozen=True, slots=True)
class Walk:
    """An index that holds a sort key in order: `other` tells rows with the same key of the same version apart."""

    table: str
    param: int
    key: str
    other: str


_WALKS: Final = {
    ("date", False): ("low", "high"),
    ("date", True): ("high", "low"),
    ("string", False): ("folded", "original"),
    ("string", True): ("folded", "original"),
    ("number", False): ("low", "high"),
}


@dataclass(frozen=True, slots=True)
class SortColumn:
    """One compiled key: its value for a subject, its direction, the index to walk, and whether it only repeats pid."""

    label: str
    value: Callable[[Subject], Sql]
    descending: bool
    walk: Walk | None = None
    by_pid: bool = False


def sort_column(key: SortKey, scope: Scope) -> SortColumn:
    """Compile one key of `_sort`; of many values the smallest counts, or the greatest when descending."""
    if key.param == "_id":
        return SortColumn("_id", _id, key.descending)
    if key.param == "_lastUpdated":
        return SortColumn("_lastUpdated", _last_updated, key.descending, by_pid=True)
    param = scope.param(key.param)
    tables = [] if param is None else [table for table in _ASCENDING if _used(scope, table, param)]
    if param is None or not tables:
        return SortColumn(key.param, lambda _: sql("NULL"), key.descending)
    hidden = is_personal(key.param) and blind_of(scope.values.connection) is not None
    value = _value(tables, param, key.descending, hidden=hidden)
    return SortColumn(key.param, value, key.descending, _walk(tables, param, key))


def _used(scope: Scope, table: str, param: int) -> bool:
    return scope.values.one(f"SELECT 1 FROM {table} WHERE param=? LIMIT 1", param) is not None


def _walk(tables: Sequence[str], param: int, key: SortKey) -> Walk | None:
    columns = _WALKS.get((tables[0], key.descending))
    return Walk(tables[0], param, *columns) if len(tables) == 1 and columns else None


def _value(tables: Sequence[str], param: int, descending: bool, *, hidden: bool) -> Callable[[Subject], Sql]:
    expressions, best = (_DESCENDING, "max") if descending else (_ASCENDING, "min")
    if hidden:
        expressions = expressions | {"token": f"{SHOWN}({expressions['token']})"}

    def rows(table: str, subject: Subject, shown: str) -> Sql:
        indexed = f"{table} x INDEXED BY {table}_pid"
        return sql(f"SELECT {shown} FROM {indexed} WHERE x.pid={subject.pid} AND x.param=?", param)

    def value(subject: Subject) -> Sql:
        if len(tables) == 1:
            return "(" + rows(tables[0], subject, f"{best}({expressions[tables[0]]})") + ")"
        all_rows = joined([rows(table, subject, f"{expressions[table]} AS k") for table in tables], " UNION ALL ")
        return f"(SELECT {best}(k) FROM (" + all_rows + "))"

    return value


def _id(subject: Subject) -> Sql:
    if subject.contained:
        return sql(f"(SELECT id FROM contained WHERE cid={subject.pid})")
    return sql(f"(SELECT id FROM resource WHERE rid={subject.rid})")


def _last_updated(subject: Subject) -> Sql:
    return sql(f"(SELECT 1000*last_updated FROM version WHERE pid={subject.owner})")


def beyond(keys: Sequence[tuple[Sql, bool]], values: Sequence[SortValue], rest: Sql) -> Sql:
    """Return the condition that a row stands behind a place: its keys (expression, descending) after `values`, or
    equal to them and `rest`. No value comes last in both directions."""
    if not keys:
        return rest
    (key, descending), value = keys[0], values[0]
    inner = beyond(keys[1:], values[1:], rest)
    if value is None:
        return "(" + key + " IS NULL AND " + inner + ")"
    after = key + sql("<?" if descending else ">?", value)
    return either([after, key + " IS NULL", "(" + key + sql("=? AND ", value) + inner + ")"])


@dataclass(frozen=True, slots=True)
class Row:
    """A match: its sort values, the pid of its version, and the cid of the contained resource that was meant or 0."""

    values: tuple[SortValue, ...]
    pid: int
    cid: int = 0


def in_order(rows: list[Row], descending: Sequence[bool], newest_first: bool) -> list[Row]:
    """Sort rows as SQL does: numbers before text, no value last, then pid, then the place in the container."""
    rows = sorted(rows, key=lambda row: row.cid)
    rows.sort(key=lambda row: row.pid, reverse=newest_first)
    for at in reversed(range(len(descending))):
        rows.sort(key=lambda row, at=at: _rank(row.values[at], descending[at]), reverse=descending[at])  # type: ignore[misc]
    return rows


def _rank(value: SortValue, descending: bool) -> tuple[bool, bool, str | float]:
    if value is None:
        return not descending, False, 0
    return descending, isinstance(value, str), value

"""Dates: all conditions on one parameter together, so that `ge` and `lt` become one range of keys.

A row is found by its start if it is short and by its end if it is long (the index `date_long`), so a window of time
costs what lies in it. The conditions may hold on different rows of one version; such versions are listed in
`several_dates` and probed each.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from fhir_server.search import query as q
from fhir_server.search.compare import Law, date_law
from fhir_server.storage.sqlite.compile_ranges import law, window
from fhir_server.storage.sqlite.compile_scope import Scope
from fhir_server.storage.sqlite.compile_sql import NEVER, Predicate, Source, Sql, Subject, TimeWindow, both, joined, sql
from fhir_server.storage.sqlite.schema import LONG


def date(node: q.Date, scope: Scope) -> Predicate:
    """Any of the values of one condition."""
    return dates([node], scope)


def dates(nodes: Sequence[q.Date], scope: Scope) -> Predicate:
    """All of several conditions on one parameter."""
    param, a = scope.param(nodes[0].param), scope.alias()
    laws = [tuple(part for value in node.values for part in date_law(value)) for node in nodes]
    if param is None or not all(laws):
        return NEVER
    label = f"{nodes[0].param}=" + " and ".join(
        ",".join(f"{v.prefix}[{v.low},{v.high})" for v in node.values[:5]) for node in nodes
    )
    found = _window(param, laws)
    return Predicate(label, partial(_probe, param, a, laws), _source(a, laws, found), window=found)


def _probe(param: int, a: str, laws: Sequence[Law], subject: Subject) -> Sql:
    head = f"EXISTS(SELECT 1 FROM date {a} INDEXED BY date_pid WHERE {a}.pid={subject.pid} AND {a}.param=? AND "
    return both([sql(head, param) + law(each, f"{a}.low", f"{a}.high") + ")" for each in laws])


def _window(param: int, laws: Sequence[Law]) -> TimeWindow:
    windows = [window(each) for each in laws]
    return TimeWindow(param, _edge((w.lasts for w in windows), max), _edge((w.before for w in windows), min))


def _source(a: str, laws: Sequence[Law], within: TimeWindow) -> Source:
    selects = _within(a, both([law(each, f"{a}.low", f"{a}.high") for each in laws]), within)
    if len(laws) > 1:
        selects.append(sql("SELECT pid FROM several_dates WHERE param=?", within.param))
    return Source(joined(selects, " UNION ALL "), exact=len(laws) == 1)


def _edge(bounds: Iterable[float | None], choose: Callable[[list[float]], float]) -> float | None:
    known = [bound for bound in bounds if bound is not None]
    return choose(known) if known else None


def _within(a: str, holds: Sql, within: TimeWindow) -> list[Sql]:
    """Select the rows with high >= lasts and low <= before for which the laws hold."""
    rows, param, lasts, before = f"SELECT {a}.pid AS pid FROM date {a}", within.param, within.lasts, within.before
    if lasts is None or before is None:
        index = "" if lasts is None else " INDEXED BY date_high"
        bound = sql("1") if lasts is None else sql(f"{a}.high>=?", lasts)
        bound = bound if before is None else sql(f"{a}.low<=?", before)
        return [sql(f"{rows}{index} WHERE {a}.param=? AND ", param) + both([bound, holds])]
    short = sql(f"{rows} WHERE {a}.param=? AND {a}.low>=? AND {a}.low<=? AND ", param, lasts - LONG, before)
    long = f"{rows} INDEXED BY date_long WHERE {a}.param=? AND {a}.high>=? AND {a}.high-{a}.low>{LONG}"
    return [short + holds, sql(f"{long} AND {a}.low<? AND ", param, lasts, lasts - LONG) + holds]

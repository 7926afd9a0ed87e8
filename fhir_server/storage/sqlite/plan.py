"""The planner: from which source a branch of a search is driven, and what is probed for each row.

The choice is ours, not SQLite's: its statistics know nothing of one code or one patient. Each source is counted up to
a small bound. The smallest one drives if it is small; else an index is walked in the order of the page, a few thousand
rows at first, and only if that does not fill the page are the sources counted further.
See docs/adr/0005-search-on-sqlite.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from fhir_server.storage.sqlite.compile_scope import PROBE, Scope
from fhir_server.storage.sqlite.compile_sql import NEVER, Predicate, Source, Sql, Subject, both, joined, none_of, sql
from fhir_server.storage.sqlite.plan_sort import Row, SortColumn, SortValue, Walk, beyond, in_order

WALK: Final = 4_096  # rows of an index walked before the sources are counted further
DEEP: Final = 50_000  # rows counted of each source in the second round
_ALL: Final = -1

After = tuple[tuple[SortValue, ...], int, int]


@dataclass(frozen=True, slots=True)
class Branch:
    """The search of one type: what must hold, and the order. `guard` holds for the container of a contained match."""

    scope: Scope
    kind: int
    parts: tuple[Predicate, ...]
    columns: tuple[SortColumn, ...] = ()
    newest_first: bool = True
    guard: Predicate | None = None

    @property
    def by_pid(self) -> bool:
        """Tell whether the order of the page is that of pid."""
        return all(column.by_pid and column.descending is self.newest_first for column in self.columns)

    @property
    def descending(self) -> list[bool]:
        """The directions of the sort keys."""
        return [column.descending for column in self.columns]


@dataclass(frozen=True, slots=True)
class Sized:
    """A part with a source and the number of its rows, counted up to `bound`."""

    part: Predicate
    source: Source
    rows: int


class Steps:
    """What the planner did, for `explain`."""

    def __init__(self) -> None:
        self.taken: list[dict[str, object]] = []

    def note(self, step: str, **facts: object) -> None:
        """Keep one step."""
        self.taken.append({"step": step, **facts})


def find(branch: Branch, after: After | None, limit: int, steps: Steps) -> list[Row]:
    """Return the first `limit` rows of a branch behind `after`, in order."""
    if NEVER in branch.parts:
        steps.note("nothing can match")
        return []
    sized = _sizes(branch, PROBE, steps)
    if (sized and sized[0].rows < PROBE) or branch.scope.contained:
        return _drive(branch, sized, after, limit, steps)
    found = _walk(branch, sized, after, limit, WALK, steps)
    if found is None or len(found) >= limit:
        return found if found is not None else _deep(branch, after, limit, steps)
    return _deep(branch, after, limit, steps)


def _deep(branch: Branch, after: After | None, limit: int, steps: Steps) -> list[Row]:
    """Plan with better counts: the sample did not fill the page."""
    sized = _sizes(branch, DEEP, steps)
    if not sized or sized[0].rows >= DEEP:
        found = _walk(branch, sized, after, limit, _ALL, steps)
        if found is not None:
            return found
    return _drive(branch, sized, after, limit, steps)


def _sizes(branch: Branch, bound: int, steps: Steps) -> list[Sized]:
    """Count the sources, smallest first."""
    found = []
    for part in branch.parts:
        if part.source is not None:
            found.append(Sized(part, part.source, branch.scope.estimate(part.source, bound)))
            steps.note("count", of=part.label, rows=found[-1].rows, bound=bound)
    return sorted(found, key=lambda sized: sized.rows)


def _rest(branch: Branch, sized: Sequence[Sized], driver: Sized | None) -> list[Predicate]:
    """Return the parts to probe, the most selective first."""
    known = {id(each.part): each.rows for each in sized}
    left = [p for p in branch.parts if driver is None or p is not driver.part or not driver.source.exact]
    return sorted(left, key=lambda part: (known.get(id(part), PROBE) >= PROBE, part.cost, known.get(id(part), PROBE)))


def _drive(branch: Branch, sized: list[Sized], after: After | None, limit: int, steps: Steps) -> list[Row]:
    """Take all rows of the smallest source, probe the rest, sort."""
    driver = sized[0] if sized else None
    rest = _rest(branch, sized, driver)
    candidates, subject = _candidates(branch, None if driver is None else driver.source)
    checks = both([*(part.probe(subject) for part in rest), *_checks(branch)])
    inner = _selected(branch.columns, subject) + candidates + " WHERE " + checks
    if branch.columns:
        inner = inner + " LIMIT -1"  # keeps SQLite from computing the keys again for each comparison
    query = "SELECT * FROM (" + inner + ") k WHERE " + _behind(branch, after) + _order(branch)
    steps.note("drive", by="all of the type" if driver is None else driver.part.label, probes=_labels(rest))
    return _rows(branch, query + sql(" LIMIT ?", limit), steps)


def _candidates(branch: Branch, source: Source | None) -> tuple[Sql, Subject]:
    """Return the tables that hold the candidates, and how a predicate names one."""
    listed = None if source is None else " FROM (SELECT DISTINCT pid FROM (" + source.select + ")) c CROSS JOIN "
    if branch.scope.contained:
        subject = Subject("x.cid", "-x.cid", "v.pid", contained=True)
        contained = sql("contained x") if listed is None else sql("contained x ON x.cid=c.pid")
        return (listed or sql(" FROM ")) + contained + " CROSS JOIN version v ON v.pid=x.pid", subject
    if listed is None:
        return sql(" FROM version v"), Subject("v.pid", "v.rid", "v.pid")
    return listed + "version v ON v.pid=c.pid", Subject("c.pid", "v.rid", "c.pid")


def _checks(branch: Branch) -> list[Sql]:
    """Return what every candidate must satisfy: its type, the snapshot, and for contained ones a visible container."""
    table = "x" if branch.scope.contained else "v"
    checks = [sql(f"{table}.type=?", branch.kind), branch.scope.snapshot.valid("v")]
    if branch.guard is not None:
        checks.append(branch.guard.probe(Subject("v.pid", "v.rid", "v.pid")))
    return checks


def _selected(columns: Sequence[SortColumn], subject: Subject) -> Sql:
    cid = subject.pid if subject.contained else "0"
    keys = [column.value(subject) + f" AS k{at}" for at, column in enumerate(columns)]
    return joined([sql(f"SELECT v.pid AS pid,{cid} AS cid"), *keys], ",")


def _behind(branch: Branch, after: After | None) -> Sql:
    """Return the condition that a row `k` stands behind the end of the page before."""
    if after is None:
        return sql("1")
    values, pid, cid = after
    place = sql(f"(k.pid{'<' if branch.newest_first else '>'}? OR (k.pid=? AND k.cid>?))", pid, pid, cid)
    keys = [(sql(f"k.k{at}"), column.descending) for at, column in enumerate(branch.columns)]
    return beyond(keys, values, place)


def _order(branch: Branch) -> str:
    keys = [f"k{at} {'DESC' if c.descending else 'ASC'} NULLS LAST," for at, c in enumerate(branch.columns)]
    return f" ORDER BY {''.join(keys)} pid {'DESC' if branch.newest_first else 'ASC'}, cid"


def _rows(branch: Branch, query: Sql, steps: Steps) -> list[Row]:
    found: list[Any] = branch.scope.values.connection.execute(query.text, query.values).fetchall()
    steps.note("rows", found=len(found), sql=query.text)
    return [Row(tuple(row[2:]), row[0], row[1]) for row in found]


def _labels(parts: Sequence[Predicate]) -> list[str]:
    return [part.label for part in parts]


def _walk(
    branch: Branch, sized: list[Sized], after: After | None, limit: int, budget: int, steps: Steps
) -> list[Row] | None:
    """Walk an index in the order of the page; None where there is none for this order."""
    if branch.by_pid:
        return _walk_pids(branch, sized, after, limit, budget, steps)
    if branch.columns and branch.columns[0].walk is not None:
        return _walk_keys(branch, sized, branch.columns[0].walk, after, limit, budget, steps)
    return None


def _walk_pids(
    branch: Branch, sized: list[Sized], after: After | None, limit: int, budget: int, steps: Steps
) -> list[Row]:
    """Walk the newest (or oldest) rows of one source, or of the type."""
    driver = next((each for each in sized if each.source.ordered), None)
    rest = _rest(branch, sized, driver)
    select, column = _walked(branch, driver)
    bound = sql("") if after is None else sql(f" AND {column}{'<' if branch.newest_first else '>'}?", after[1])
    ordered = sql(f" ORDER BY {column} {'DESC' if branch.newest_first else 'ASC'} LIMIT ?", budget)
    subject = Subject("c.pid", "v.rid", "c.pid")
    tables = " FROM (" + select + bound + ordered + ") c CROSS JOIN version v ON v.pid=c.pid WHERE "
    checks = both([*(part.probe(subject) for part in rest), *_checks(branch)])
    query = _selected(branch.columns, subject) + tables + checks + sql(" LIMIT ?", limit)
    by = "pids of the type" if driver is None else driver.part.label
    steps.note("walk", by=by, probes=_labels(rest), budget=budget)
    return _rows(branch, query, steps)


def _walked(branch: Branch, driver: Sized | None) -> tuple[Sql, str]:
    if driver is None or driver.source.ordered is None:
        return sql("SELECT w.pid AS pid FROM version w WHERE w.type=?", branch.kind), "w.pid"
    return driver.source.select, driver.source.ordered


def _walk_keys(
    branch: Branch, sized: list[Sized], walk: Walk, after: After | None, limit: int, budget: int, steps: Steps
) -> list[Row]:
    """Walk the index of the first sort key; what has no value for it comes last."""
    rest = _rest(branch, sized, None)
    found: list[Row] = []
    if after is None or after[0][0] is not None:
        found = _keyed(branch, rest, walk, after, limit, budget, steps)
        after = None
    if len(found) >= limit or budget != _ALL:
        return found
    return found + _without_key(branch, walk, after, limit - len(found), steps)


def _keyed(
    branch: Branch, rest: list[Predicate], walk: Walk, after: After | None, limit: int, budget: int, steps: Steps
) -> list[Row]:
    steps.note("walk", by=f"{branch.columns[0].label} in order", probes=_labels(rest), budget=budget)
    bound = None if after is None else after[0][0]
    op = "<=?" if branch.columns[0].descending else ">=?"
    start = sql("") if bound is None else sql(f" AND y.{walk.key}{op}", bound)
    found = _rows(branch, _key_query(branch, rest, walk, start, after, budget) + sql(" LIMIT ?", limit), steps)
    if len(branch.columns) == 1 or len(found) < limit:
        return in_order(found, branch.descending, branch.newest_first)[:limit]
    last = found[-1].values[0]
    same = sql(f" AND y.{walk.key}=?", last)
    ties = _rows(branch, _key_query(branch, rest, walk, same, after, _ALL), steps)
    found = [row for row in found if row.values[0] != last] + ties
    return in_order(found, branch.descending, branch.newest_first)[:limit]


def _key_query(branch: Branch, rest: list[Predicate], walk: Walk, start: Sql, after: After | None, budget: int) -> Sql:
    down = branch.columns[0].descending
    direction = "DESC" if down else "ASC"
    rows = sql(
        f"SELECT y.pid AS pid,y.{walk.key} AS k,y.{walk.other} AS o FROM {walk.table} y WHERE y.param=?", walk.param
    )
    rows = rows + start + sql(f" ORDER BY y.{walk.key} {direction}, y.pid {direction} LIMIT ?", budget)
    subject = Subject("c.pid", "v.rid", "c.pid")
    keys = [sql("c.k"), *(column.value(subject) for column in branch.columns[1:])]
    shown = joined([sql("SELECT v.pid AS pid,0 AS cid"), *keys], ",")
    checks = [_first_of_version(walk, down), *(part.probe(subject) for part in rest), *_checks(branch)]
    if after is not None:
        place = sql(f"c.pid{'<' if branch.newest_first else '>'}?", after[1])
        checks.append(beyond(list(zip(keys, branch.descending, strict=True)), after[0], place))
    return shown + " FROM (" + rows + ") c CROSS JOIN version v ON v.pid=c.pid WHERE " + both(checks)


def _first_of_version(walk: Walk, down: bool) -> Sql:
    """Return the condition that no other row of the same version comes earlier in the walk."""
    rows = f"SELECT 1 FROM {walk.table} z INDEXED BY {walk.table}_pid WHERE z.pid=c.pid AND z.param=?"
    return sql(f"NOT EXISTS({rows} AND (z.{walk.key},z.{walk.other}){'>' if down else '<'}(c.k,c.o))", walk.param)


def _without_key(branch: Branch, walk: Walk, after: After | None, limit: int, steps: Steps) -> list[Row]:
    """Find the rows that have no value for the first key: they come last, in the order of the other keys."""

    def probe(subject: Subject) -> Sql:
        rows = f"SELECT 1 FROM {walk.table} z INDEXED BY {walk.table}_pid WHERE z.pid={subject.pid} AND z.param=?"
        return sql(f"EXISTS({rows})", walk.param)

    without = none_of(Predicate(f"{branch.columns[0].label} present", probe))
    rest = replace(branch, parts=(*branch.parts, without), columns=branch.columns[1:])
    place = None if after is None else (after[0][1:], after[1], after[2])
    found = find(rest, place, limit, steps)
    return [Row((None, *row.values), row.pid, row.cid) for row in found]


def matched(branch: Branch, steps: Steps) -> Sql:
    """Return the query for (pid, cid) of all matches, in no order."""
    sized = _sizes(branch, PROBE, steps)
    if not sized or sized[0].rows >= PROBE:
        sized = _sizes(branch, DEEP, steps)
    driver = sized[0] if sized else None
    candidates, subject = _candidates(branch, None if driver is None else driver.source)
    rest = _rest(branch, sized, driver)
    steps.note("count all", by="all of the type" if driver is None else driver.part.label, probes=_labels(rest))
    return (
        _selected((), subject)
        + candidates
        + " WHERE "
        + both([*(part.probe(subject) for part in rest), *_checks(branch)])
    )

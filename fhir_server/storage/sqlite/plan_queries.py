"""The queries that a plan can choose from: drive from a source and sort, or walk an index in the order of the page."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fhir_server.storage.sqlite.compile_scope import Scope
from fhir_server.storage.sqlite.compile_sql import Predicate, Source, Sql, Subject, TimeWindow, both, joined, sql
from fhir_server.storage.sqlite.plan_sort import Row, SortColumn, SortValue, Walk, beyond, in_order
from fhir_server.storage.sqlite.schema import LONG

ALL: Final = -1  # no limit to the rows walked

After = tuple[tuple[SortValue, ...], int, int]


@dataclass(frozen=True, slots=True)
class Branch:
    """The search of one type: what must hold, and the order.

    `guard` holds for the container of a contained match; `ran` keeps the queries for `explain`.
    """

    scope: Scope
    kind: int
    parts: tuple[Predicate, ...]
    columns: tuple[SortColumn, ...] = ()
    newest_first: bool = True
    guard: Predicate | None = None
    ran: list[str] = field(default_factory=list, compare=False)

    @property
    def by_pid(self) -> bool:
        """Tell whether the order of the page is that of pid."""
        return all(column.by_pid and column.descending is self.newest_first for column in self.columns)

    @property
    def descending(self) -> list[bool]:
        """The directions of the sort keys."""
        return [column.descending for column in self.columns]

    @property
    def direction(self) -> str:
        """The direction of pid."""
        return "DESC" if self.newest_first else "ASC"

    def rows(self, query: Sql) -> list[Row]:
        """Run a query for (pid, cid, sort values...)."""
        self.ran.append(query.text)
        found: list[Any] = self.scope.values.connection.execute(query.text, query.values).fetchall()
        return [Row(tuple(row[2:]), row[0], row[1]) for row in found]


def drive(branch: Branch, source: Source | None, rest: Sequence[Predicate], after: After | None, limit: int) -> Sql:
    """Take all rows of a source (or of the type), probe the rest, sort."""
    inner = matches(branch, source, rest, branch.columns)
    if branch.columns:
        inner = inner + " LIMIT -1"  # keeps SQLite from computing the keys again for each comparison
    query = "SELECT * FROM (" + inner + ") k WHERE " + _behind(branch, after) + _order(branch)
    return query + sql(" LIMIT ?", limit)


def matches(branch: Branch, source: Source | None, rest: Sequence[Predicate], columns: Sequence[SortColumn]) -> Sql:
    """Return the query for (pid, cid, sort values) of all that a source lists and the rest holds for, in no order."""
    if source is not None and by_index_alone(branch, source):
        tables, subject = " FROM (" + source.distinct + ") c WHERE ", INDEXED
        return selected(columns, subject) + tables + both([*(part.probe(subject) for part in rest), NOT_STALE])
    tables, subject = _candidates(branch, source)
    return (
        selected(columns, subject)
        + tables
        + " WHERE "
        + both([*(part.probe(subject) for part in rest), *_checks(branch)])
    )


# A row of an index stands for its version; what is superseded waits in `stale` until its rows are swept.
INDEXED: Final = Subject("c.pid", "(SELECT rid FROM version WHERE pid=c.pid)", "c.pid")
NOT_STALE: Final = sql("c.pid NOT IN (SELECT pid FROM stale)")


def by_index_alone(branch: Branch, source: Source) -> bool:
    """Tell whether the table `version` can be left alone: the newest snapshot, and rows of an index."""
    return branch.scope.snapshot.live and source.indexed and not branch.scope.contained


def _candidates(branch: Branch, source: Source | None) -> tuple[Sql, Subject]:
    """Return the tables that hold the candidates, and how a predicate names one."""
    listed = None if source is None else " FROM (" + source.distinct + ") c CROSS JOIN "
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
    found = [sql(f"{table}.type=?", branch.kind), branch.scope.snapshot.valid("v")]
    if branch.guard is not None:
        found.append(branch.guard.probe(Subject("v.pid", "v.rid", "v.pid")))
    return found


def selected(columns: Sequence[SortColumn], subject: Subject) -> Sql:
    """Return the head of a query for (pid, cid, sort values)."""
    cid = subject.pid if subject.contained else "0"
    keys = [column.value(subject) + f" AS k{at}" for at, column in enumerate(columns)]
    return joined([sql(f"SELECT {subject.owner} AS pid,{cid} AS cid"), *keys], ",")


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
    return f" ORDER BY {''.join(keys)} pid {branch.direction}, cid"


@dataclass(frozen=True, slots=True)
class Page:
    """What a walk is asked for: the rows behind a place, how many, and how many rows of the index it may look at."""

    after: After | None
    limit: int
    budget: int = ALL


def walk_pids(branch: Branch, source: Source | None, rest: Sequence[Predicate], page: Page) -> list[Row]:
    """Walk the newest (or oldest) rows of one source, or of the type."""
    bound, pid = "<" if branch.newest_first else ">", None if page.after is None else page.after[1]
    if source is not None:
        rows = source.in_order(bound, pid, branch.direction, page.budget)
    else:
        rows = sql("SELECT w.pid AS pid FROM version w WHERE w.type=?", branch.kind)
        rows = rows + (sql("") if pid is None else sql(f" AND w.pid{bound}?", pid))
        rows = rows + sql(f" ORDER BY w.pid {branch.direction} LIMIT ?", page.budget)
    # The rows come in the order of the subquery, which has a LIMIT and so keeps its ORDER BY.
    tables, subject, current = _current(branch, rows, source is not None and source.indexed)
    where = both([*(part.probe(subject) for part in rest), *current])
    return branch.rows(selected(branch.columns, subject) + tables + where + sql(" LIMIT ?", page.limit))


def _current(branch: Branch, rows: Sql, indexed: bool) -> tuple[Sql, Subject, list[Sql]]:
    """Return the tables for rows `c` of the type, how predicates name one, and what makes it current."""
    if indexed and branch.scope.snapshot.live:
        return " FROM (" + rows + ") c WHERE ", INDEXED, [NOT_STALE]
    tables = " FROM (" + rows + ") c CROSS JOIN version v ON v.pid=c.pid WHERE "
    return tables, Subject("c.pid", "v.rid", "c.pid"), _checks(branch)


def walk_keys(branch: Branch, walk: Walk, rest: Sequence[Predicate], page: Page) -> list[Row]:
    """Walk the index of the first sort key; what has no value for it is not in it."""
    bound = None if page.after is None else page.after[0][0]
    op = "<=?" if branch.columns[0].descending else ">=?"
    start = _within(branch, walk) + (sql("") if bound is None else sql(f" AND y.{walk.key}{op}", bound))
    found = branch.rows(_key_query(branch, walk, rest, start, page) + sql(" LIMIT ?", page.limit))
    if len(branch.columns) > 1 and len(found) == page.limit:
        last = found[-1].values[0]
        same = sql(f" AND y.{walk.key}=?", last)
        ties = branch.rows(_key_query(branch, walk, rest, same, Page(page.after, ALL)))
        found = [row for row in found if row.values[0] != last] + ties
    return in_order(found, branch.descending, branch.newest_first)[: page.limit]


def _key_query(branch: Branch, walk: Walk, rest: Sequence[Predicate], start: Sql, page: Page) -> Sql:
    down = branch.columns[0].descending
    direction = "DESC" if down else "ASC"
    rows = sql(
        f"SELECT y.pid AS pid,y.{walk.key} AS k,y.{walk.other} AS o FROM {walk.table} y WHERE y.param=?", walk.param
    )
    rows = rows + start + sql(f" ORDER BY y.{walk.key} {direction}, y.pid {direction} LIMIT ?", page.budget)
    tables, subject, current = _current(branch, rows, indexed=True)
    keys = [sql("c.k"), *(column.value(subject) for column in branch.columns[1:])]
    shown = joined([sql("SELECT c.pid AS pid,0 AS cid"), *keys], ",")
    where = [*(part.probe(subject) for part in rest), _first_of_version(walk, down), *current]
    if page.after is not None:
        place = sql(f"c.pid{'<' if branch.newest_first else '>'}?", page.after[1])
        where.append(beyond(list(zip(keys, branch.descending, strict=True)), page.after[0], place))
    return shown + tables + both(where)


def _within(branch: Branch, walk: Walk) -> Sql:
    """Return the part of a walk over dates that the conditions on the same dates leave.

    The end of the walk follows from them. Its start does only if no row is long there and no version has several.
    """
    window = dated(branch, walk)
    if window is None:
        return sql("")
    far, near = (window.before, window.lasts) if walk.key == "high" else (window.lasts, window.before)
    start, end = ("<", ">") if walk.key == "high" else (">", "<")
    found = sql("") if near is None else sql(f" AND y.{walk.key}{end}=?", near)
    if far is not None:
        edge = far + (LONG if walk.key == "high" else 0)
        if _sharp(branch.scope, walk.param, edge):
            found = found + sql(f" AND y.{walk.key}{start}=?", far + (LONG if walk.key == "high" else -LONG))
    return found


def dated(branch: Branch, walk: Walk) -> TimeWindow | None:
    """Return the window that a branch sets on the dates that it is walked by."""
    windows = (part.window for part in branch.parts if part.window is not None)
    return next((each for each in windows if walk.table == "date" and each.param == walk.param), None)


def _sharp(scope: Scope, param: int, edge: float) -> bool:
    """Tell whether all rows that end beyond `edge` are short, and each is the only one of its version."""
    several = "SELECT 1 FROM several_dates WHERE param=? LIMIT 1"
    long = f"SELECT 1 FROM date INDEXED BY date_long WHERE param=? AND high>=? AND high-low>{LONG} LIMIT 1"
    return scope.values.one(several, param) is None and scope.values.one(long, param, edge) is None


def _first_of_version(walk: Walk, down: bool) -> Sql:
    """Return the condition that no other row of the same version comes earlier in the walk."""
    rows = f"SELECT 1 FROM {walk.table} z INDEXED BY {walk.table}_pid WHERE z.pid=c.pid AND z.param=?"
    return sql(f"NOT EXISTS({rows} AND (z.{walk.key},z.{walk.other}){'>' if down else '<'}(c.k,c.o))", walk.param)


def has_key(walk: Walk, subject: Subject) -> Sql:
    """Return the condition that a row has a value for a sort key."""
    rows = f"SELECT 1 FROM {walk.table} z INDEXED BY {walk.table}_pid WHERE z.pid={subject.pid} AND z.param=?"
    return sql(f"EXISTS({rows})", walk.param)

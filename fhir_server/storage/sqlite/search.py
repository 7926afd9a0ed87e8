"""Search on the embedded store: pages, keys for conditions, counts.

Everything runs on one connection inside one transaction of the caller, so that all statements see one state.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

import apsw

from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.search.query import EVERYTHING, Contained, Cursor, Search, Total
from fhir_server.settings import Settings
from fhir_server.storage.base import Page, SearchTooCostly, SnapshotGone
from fhir_server.storage.sqlite import plan_count
from fhir_server.storage.sqlite.compile import conjuncts
from fhir_server.storage.sqlite.compile_scope import Scope, Snapshot, TextMatcher
from fhir_server.storage.sqlite.compile_sql import ALWAYS, integers
from fhir_server.storage.sqlite.compile_values import Values
from fhir_server.storage.sqlite.includes import gather, visible
from fhir_server.storage.sqlite.plan import Steps, find
from fhir_server.storage.sqlite.plan_queries import After, Branch
from fhir_server.storage.sqlite.plan_sort import Row, in_order, sort_column
from fhir_server.storage.sqlite.text import TextIndex
from fhir_server.storage.sqlite.versions import COLUMNS, version_of

_STEPS: Final = 20_000  # virtual machine steps between two looks at the clock, about a millisecond
COUNT_TIME: Final = 30.0  # seconds
CONDITION_TIME: Final = 10.0  # seconds that the condition of a write may take
_EXPLAINED: Final = 10_000  # rows counted of each condition for `explain`

_LOAD: Final = (
    f"SELECT t.name,r.id,{COLUMNS} FROM carray(?) k CROSS JOIN version v ON v.pid=k.value "
    "CROSS JOIN resource r ON r.rid=v.rid CROSS JOIN type t ON t.type=v.type LEFT JOIN body b ON b.pid=v.pid"
)


@dataclass(frozen=True, slots=True)
class Run:
    """One search as it runs: its scope, its branches and what the planner did."""

    search: Search
    scope: Scope
    branches: tuple[Branch, ...]
    steps: Steps


class Texts:
    """Finds text for one search and keeps what the client must know of it."""

    def __init__(self, connection: apsw.Connection, index: TextIndex | None, *, exact: bool = False) -> None:
        self._connection, self._index, self._exact = connection, index, exact
        self.notes: list[str] = []

    def __call__(self, content: bool, query: str) -> tuple[bool, Sequence[int]]:
        """Return (negated, pids) of the versions whose text satisfies a query."""
        if self._index is None:
            self.notes.append("There is no text index.")
            return False, ()
        if self._exact:
            return self._index.match_exactly(self._connection, content=content, query=query)
        negated, pids, notes = self._index.match(self._connection, content=content, query=query)
        self.notes += [note for note in notes if note not in self.notes]
        return negated, pids


def search_page(connection: apsw.Connection, search: Search, settings: Settings, text: TextIndex | None = None) -> Page:
    """Return one page of a search.

    Raises:
        SnapshotGone: the page link is older than what the store still has an index for.
        SearchTooCostly: it took longer than `settings.search_timeout`.
    """
    with bounded(connection, settings.search_timeout):
        texts = Texts(connection, text)
        run = prepare(connection, search, texts)
        rows = _rows(run, search.count + 1) if search.count else []
        page = rows[: search.count]
        last = len(rows) <= search.count
        total, estimated = _total(run, rows if search.count and last and search.after is None else None)
        included, notes = gather(run.scope, search, [row.pid for row in page], settings)
        versions = load(connection, [row.pid for row in page] + included)
        return Page(
            versions=tuple(versions[row.pid] for row in page),
            included=tuple(versions[pid] for pid in included),
            next=None if last or not page else _cursor(run, page[-1]),
            txid=run.scope.snapshot.txid,
            total=total,
            estimated=estimated,
            containers=_containers(run, page),
            notes=(*texts.notes, *notes),
        )


def search_keys(
    connection: apsw.Connection, search: Search, text: TextIndex | None = None, seconds: float = CONDITION_TIME
) -> set[ResourceKey]:
    """Return the keys of all matches, as the connection's own transaction sees them, uncommitted rows included.

    Raises:
        SearchTooCostly: it took longer than `seconds`, in which nobody else could write.
    """
    with bounded(connection, seconds):
        run = prepare(connection, replace(search, after=None, sort=()), Texts(connection, text, exact=True))
        return {key for branch in run.branches for key in _keys(branch, run.steps)}


def _keys(branch: Branch, steps: Steps) -> Iterator[ResourceKey]:
    names = "SELECT t.name,r.id FROM (" + plan_count.matched(branch, steps) + ") m CROSS JOIN version v ON v.pid=m.pid"
    names = names + " CROSS JOIN resource r ON r.rid=v.rid CROSS JOIN type t ON t.type=r.type"
    rows: Iterator[tuple[str, str]] = branch.scope.values.connection.execute(names.text, names.values)
    for type_, id_ in rows:
        yield ResourceKey(type_, id_)


def count(
    connection: apsw.Connection, search: Search, text: TextIndex | None = None, seconds: float = COUNT_TIME
) -> int:
    """Return the exact number of matches now. Raises SearchTooCostly after `seconds`."""
    with bounded(connection, seconds):
        return _count(prepare(connection, replace(search, after=None, sort=()), Texts(connection, text)))


def explain(
    connection: apsw.Connection, search: Search, settings: Settings, text: TextIndex | None = None
) -> dict[str, object]:
    """Return the plan of a search: for each type what was counted, what drove, what was probed, and the SQL.

    `matched` of each condition is the number of rows of its index range (bounded), of superseded versions too.
    """
    with bounded(connection, settings.search_timeout):
        started = time.perf_counter()
        run = prepare(connection, search, Texts(connection, text))
        rows = _rows(run, search.count + 1)
        return {
            "engine": "sqlite",
            "snapshot": run.scope.snapshot.txid,
            "milliseconds": round((time.perf_counter() - started) * 1000, 3),
            "rows": len(rows),
            "branches": [_explained(branch) for branch in run.branches],
            "steps": run.steps.taken,
        }


def _explained(branch: Branch) -> dict[str, object]:
    conditions = [
        {
            "condition": part.label,
            "matched": None if part.source is None else branch.scope.estimate(part.source, _EXPLAINED),
        }
        for part in branch.parts
    ]
    return {"type": branch.scope.rows_of, "conditions": conditions, "bound": _EXPLAINED}


def prepare(connection: apsw.Connection, search: Search, texts: TextMatcher) -> Run:
    """Compile a search at its snapshot."""
    values = Values(connection)
    scope = Scope(values, _snapshot(values, search), "", match_text=texts)
    return Run(search, scope, tuple(_branches(search, scope)), Steps())


def _snapshot(values: Values, search: Search) -> Snapshot:
    last = values.one("SELECT max(txid) FROM tx") or 0
    if search.after is None or search.after.txid == last:
        return Snapshot(last)
    swept = values.one("SELECT value FROM meta WHERE key='swept'") or 0
    if search.after.txid < swept:
        raise SnapshotGone(f"the snapshot {search.after.txid} has been swept")
    return Snapshot(search.after.txid, live=False)


def _branches(search: Search, scope: Scope) -> Iterator[Branch]:
    for contained in (False, True):
        if search.contained is (Contained.TRUE, Contained.FALSE)[contained]:
            continue
        for type_, node in search.branches.items():
            at = scope.at(type_, contained=contained)
            kind = scope.values.type(type_)
            if kind is None:
                continue
            columns = tuple(sort_column(key, at) for key in search.sort)
            guard = visible(scope, search.visible) if contained else ALWAYS
            parts = tuple(conjuncts(node, at))
            yield Branch(at, kind, parts, columns, search.newest_first, None if guard is ALWAYS else guard)


def _rows(run: Run, limit: int) -> list[Row]:
    after = _after(run.search)
    found = [row for branch in run.branches for row in find(branch, after, limit, run.steps)]
    if len(run.branches) > 1:
        found = in_order(found, [key.descending for key in run.search.sort], run.search.newest_first)
    return found[:limit]


def _after(search: Search) -> After | None:
    """Take the cursor apart: a search of contained resources adds the cid of its last row to the sort values."""
    if search.after is None:
        return None
    values, pid = search.after.values, search.after.pid
    if search.contained is Contained.FALSE:
        return values, pid, 0
    return values[:-1], pid, int(values[-1] or 0)


def _cursor(run: Run, row: Row) -> Cursor:
    values = row.values if run.search.contained is Contained.FALSE else (*row.values, row.cid)
    return Cursor(run.scope.snapshot.txid, values, row.pid)


def _containers(run: Run, page: Sequence[Row]) -> tuple[tuple[str, str] | None, ...]:
    if run.search.contained is Contained.FALSE:
        return ()
    named = "SELECT t.name, c.id FROM contained c CROSS JOIN type t ON t.type=c.type WHERE c.cid=?"
    execute = run.scope.values.connection.execute
    return tuple(execute(named, (row.cid,)).fetchone() if row.cid else None for row in page)


def _total(run: Run, only_page: list[Row] | None) -> tuple[int | None, bool]:
    """Return the total and whether it is estimated; one that was not asked for only where it is free."""
    if only_page is not None:
        return len(only_page), False
    free = _free_total(run)
    if free is not None or run.search.total is Total.NONE:
        return free, False
    if run.search.total is Total.ACCURATE:
        return _count(run), False
    return _estimate(run)


def _free_total(run: Run) -> int | None:
    """Return the total where nothing restricts the search: the counters of the types.

    A restriction that happens to leave out nothing restricts all the same: a total would tell that there is nothing.
    """
    limited = not run.search.visible.unrestricted and any(node != EVERYTHING for node in run.search.branches.values())
    plain = not limited and all(not branch.parts and not branch.scope.contained for branch in run.branches)
    if not plain or not run.scope.snapshot.live:
        return None
    counters: Iterator[int] = (
        run.scope.values.one("SELECT total FROM type WHERE type=?", branch.kind) for branch in run.branches
    )
    return sum(counters)


def _count(run: Run) -> int:
    free = _free_total(run)
    if free is not None:
        return free
    return sum(plan_count.count(branch, run.steps) for branch in run.branches)


def _estimate(run: Run) -> tuple[int, bool]:
    found = [plan_count.estimate(branch, run.steps) for branch in run.branches]
    return sum(total for total, _ in found), any(estimated for _, estimated in found)


def load(connection: apsw.Connection, pids: Sequence[int]) -> dict[int, Version]:
    """Read versions with their bodies."""
    if not pids:
        return {}
    rows = connection.execute(_LOAD, (integers(pids),))
    return {row[2]: version_of(connection, ResourceKey(row[0], row[1]), row[2:]) for row in rows}


@contextmanager
def bounded(connection: apsw.Connection, seconds: float) -> Iterator[None]:
    """Interrupt what runs on the connection after some seconds."""
    end = time.monotonic() + seconds
    connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
    try:
        yield
    except apsw.InterruptError as error:
        raise SearchTooCostly(f"the search took longer than {seconds} s") from error
    except (apsw.SQLError, apsw.TooBigError) as error:
        if "too many SQL variables" not in str(error):
            raise
        raise SearchTooCostly("the search has too many values") from error
    finally:
        connection.set_progress_handler(None)

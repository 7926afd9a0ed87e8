"""The parts that compiled queries are put together from: SQL text with its values, subjects, sources, predicates."""

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import apsw

MERGED: Final = 16  # walks that are merged into one
_BREADTH: Final = 100  # alternatives side by side in one expression
_UNION: Final = 200  # sources that are read together; SQLite takes 500
_INLINE: Final = 50  # a longer list is bound as one array, so that the text of the statement stays the same


@dataclass(frozen=True, slots=True)
class Sql:
    """SQL text and the values of its question marks, in order."""

    text: str
    values: tuple[Any, ...] = ()

    def __add__(self, other: "Sql | str") -> "Sql":
        if isinstance(other, str):
            return Sql(self.text + other, self.values)
        return Sql(self.text + other.text, self.values + other.values)

    def __radd__(self, other: str) -> "Sql":
        return Sql(other + self.text, self.values)


def sql(text: str, *values: Any) -> Sql:
    """Return SQL text with values."""
    return Sql(text, values)


def joined(parts: Iterable[Sql], separator: str) -> Sql:
    """Return parts with a separator between them."""
    parts = list(parts)
    return Sql(separator.join(part.text for part in parts), tuple(v for part in parts for v in part.values))


def either(parts: Iterable[Sql]) -> Sql:
    """Return `(a OR b ...)`.

    Of very many parts a tree is made, because SQLite bounds the depth of an expression, within a CASE, because it would
    ask of each part whether there is an index for it.
    """
    parts = list(parts)
    if len(parts) <= _BREADTH:
        return "(" + joined(parts, " OR ") + ")"
    while len(parts) > 1:
        parts = ["(" + joined(parts[at : at + _BREADTH], " OR ") + ")" for at in range(0, len(parts), _BREADTH)]
    return "(CASE WHEN " + parts[0] + " THEN 1 ELSE 0 END)"


def both(parts: Iterable[Sql]) -> Sql:
    """Return `a AND b ...`, or `1` for no part at all."""
    parts = list(parts)
    return joined(parts, " AND ") if parts else sql("1")


def one_of(ids: Sequence[int]) -> Sql:
    """Return the right side of a comparison of a column with one or many integers, such as `=?` or ` IN (?,?)`."""
    if len(ids) == 1:
        return sql("=?", ids[0])
    if len(ids) <= _INLINE:
        return Sql(f" IN ({','.join('?' * len(ids))})", tuple(ids))
    return sql(" IN (SELECT value FROM carray(?))", integers(ids))


def integers(ids: Iterable[int]) -> Any:
    """Return integers as one value for `carray(?)`."""
    return apsw.carray(array("q", ids))


def strings(texts: Iterable[str]) -> Any:
    """Return texts as one value for `carray(?)`."""
    return apsw.carray(tuple(texts))


@dataclass(frozen=True, slots=True)
class Subject:
    """SQL expressions for what a predicate is asked of: the key of its index rows, its resource id (rid), and the
    version that it belongs to (for a contained resource that of its container, while `pid` is its cid)."""

    pid: str
    rid: str
    owner: str
    contained: bool = False


@dataclass(frozen=True, slots=True)
class Walkable:
    """A `SELECT` open for another `AND`, that an index gives in the order of `column` (pid), no pid twice."""

    select: Sql
    column: str


@dataclass(frozen=True, slots=True)
class Source:
    """A way to list the keys of index rows for which a predicate may hold.

    select: `SELECT ... AS pid FROM ...`. walks: the same as the union of what can be walked in the order of pid, empty
    where no index gives that order. exact: every pid satisfies the predicate. indexed: these are index rows of the
    type. size: the number of rows where it is known without counting.
    Counting must not read more rows than it is allowed to: scan gives `ok` for each row of the key range that `select`
    filters; inner is the source that leads here; parts are those that it is the union of.
    """

    select: Sql
    walks: tuple[Walkable, ...] = ()
    exact: bool = True
    indexed: bool = True
    size: int | None = None
    scan: Sql | None = None
    inner: "Source | None" = None
    parts: "tuple[Source, ...]" = ()

    @property
    def distinct(self) -> Sql:
        """The source with every pid once."""
        if len(self.walks) == 1:
            return self.walks[0].select
        return "SELECT DISTINCT pid FROM (" + self.select + ")"

    def in_order(self, bound: str, pid: int | None, direction: str, limit: int) -> Sql:
        """Return the walk in the order of pid, from a pid on (`bound` is `<` or `>`)."""
        parts = [
            walk.select + (sql("") if pid is None else sql(f" AND {walk.column}{bound}?", pid)) for walk in self.walks
        ]
        column = self.walks[0].column if len(parts) == 1 else "pid"
        return joined(parts, " UNION ") + sql(f" ORDER BY {column} {direction} LIMIT ?", limit)


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """What a predicate implies for the rows of one date parameter: high >= `lasts` and low <= `before`."""

    param: int
    lasts: float | None
    before: float | None


@dataclass(frozen=True, slots=True)
class Predicate:
    """A compiled node: `probe` asks it of one subject, `source` lists the subjects; `cost` of a probe is relative."""

    label: str
    probe: Callable[[Subject], Sql]
    source: Source | None = None
    cost: int = 1
    window: TimeWindow | None = None


ALWAYS: Final = Predicate("everything", lambda _: sql("1"), cost=0)
NEVER: Final = Predicate("nothing", lambda _: sql("0"), Source(sql("SELECT 0 AS pid WHERE 0"), size=0), cost=0)


def any_of(parts: Iterable[Predicate], label: str = "") -> Predicate:
    """Return the predicate that one of `parts` holds; what cannot hold is gone."""
    parts = [part for part in parts if part is not NEVER]
    if not parts:
        return NEVER
    if ALWAYS in parts:
        return ALWAYS
    if len(parts) == 1:
        return parts[0]
    label = label or "(" + " or ".join(part.label for part in parts) + ")"
    source, cost = _union([part.source for part in parts]), max(part.cost for part in parts)
    return Predicate(label, lambda s: either(part.probe(s) for part in parts), source, cost)


def _union(sources: Sequence[Source | None]) -> Source | None:
    known = [source for source in sources if source is not None]
    if len(known) < len(sources) or len(known) > _UNION:
        return None
    if len(known) == 1:
        return known[0]
    select = joined(("SELECT pid FROM (" + source.select + ")" for source in known), " UNION ALL ")
    walks = tuple(walk for source in known for walk in source.walks)
    if not all(source.walks for source in known) or len(walks) > MERGED:
        walks = ()
    exact, indexed = all(source.exact for source in known), all(source.indexed for source in known)
    return Source(select, walks, exact, indexed, parts=tuple(known))


def none_of(part: Predicate) -> Predicate:
    """Return the predicate that `part` does not hold."""
    if part is ALWAYS:
        return NEVER
    if part is NEVER:
        return ALWAYS
    return Predicate(f"not {part.label}", lambda s: "NOT (" + part.probe(s) + ")", None, part.cost)


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one parameter in an index table, under the name `a` in the query."""

    table: str
    a: str
    param: int

    @property
    def key(self) -> Sql:
        """The start of every range of keys."""
        return sql(f" FROM {self.table} {self.a} WHERE {self.a}.param=?", self.param)

    def filtered(self, key: Sql, where: Sql) -> Source:
        """Return the source of the rows of a range of keys that satisfy `where`."""
        return Source(f"SELECT {self.a}.pid AS pid" + key + " AND " + where, scan="SELECT (" + where + ") AS ok" + key)

    def some(self, label: str, cases: Sequence[tuple[Sql, Source]], cost: int = 1) -> Predicate:
        """Return the predicate that a row satisfies one of the conditions, each of which has a source."""
        if not cases:
            return NEVER
        wheres, sources = [where for where, _ in cases], [source for _, source in cases]
        return Predicate(label, partial(self._probe, wheres), _union(sources), cost)

    def _probe(self, wheres: Sequence[Sql], subject: Subject) -> Sql:
        indexed = f"{self.table} {self.a} INDEXED BY {self.table}_pid"
        head = f"EXISTS(SELECT 1 FROM {indexed} WHERE {self.a}.pid={subject.pid} AND {self.a}.param=? AND "
        return sql(head, self.param) + either(wheres) + ")"

"""Reading the file of a held code system: numbers, intervals and rows. Every call may come from any thread."""

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import apsw
import msgspec

from fhir_server.terminology.code_system import Header
from fhir_server.terminology.systems.intervals import EMPTY, Intervals
from fhir_server.terminology.systems.layout import FORMAT

_MMAP = 2**40
_CACHED = 256
_BATCH = 1_000

Row = tuple[Any, ...]


class Unusable(Exception):
    """The file is not one of a code system, or of another format."""


class Store:
    """One open file. It is never written again, so every process reads the same pages of memory.

    Attributes:
        header: what the code system says of itself.
        kind: what knows its implicit value sets: `snomed`, `loinc`, or empty.
        size: how many concepts there are.
        languages: of its designations.
        stamp: another one for every file that is written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._uri = "file:" + quote(str(path.absolute())) + "?immutable=1"
        self._local = threading.local()
        try:
            self._first = self._connect()
            self.stamp = _stamp(path)
            meta = dict(self._all("SELECT name, value FROM meta"))
        except apsw.Error as error:
            raise Unusable(f"{path} is not the file of a code system: {error}") from None
        if meta.get("format") != str(FORMAT):
            raise Unusable(f"{path} is of format {meta.get('format')}, not {FORMAT}: load the system again")
        self.header: Header = msgspec.json.decode(meta["header"], type=Header)
        self.kind = meta["kind"]
        self.size = int(meta["count"])
        self.languages: Sequence[str] = [name for name in meta["languages"].split(",") if name]
        self.below = lru_cache(_CACHED)(self._below)
        self.kinds = lru_cache(None)(self._kinds)

    def _all(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        local = self._local
        if getattr(local, "process", None) != os.getpid():
            local.connection, local.process = self._own(), os.getpid()
        return local.connection.execute(sql, values).fetchall()  # type: ignore[no-any-return]

    def _own(self) -> apsw.Connection:
        """Return a connection for this thread of this process; where the file was replaced meanwhile, the first one.

        That one is slower for many, but still reads the old file. It may be shared by threads and even by forks, as
        nothing is ever locked or written.
        """
        try:
            connection = self._connect()
        except apsw.CantOpenError:
            return self._first
        try:
            return connection if _stamp(self._path) == self.stamp else self._first
        except FileNotFoundError:
            return self._first

    def _connect(self) -> apsw.Connection:
        connection = apsw.Connection(self._uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
        connection.execute(f"PRAGMA mmap_size={_MMAP}").fetchall()
        return connection

    # --- concepts

    def row(self, code: str) -> Row | None:
        """Return `(id, code, display, inactive, abstract, status, definition)`."""
        sql = "SELECT id, code, display, inactive, abstract, status, definition FROM concept WHERE code = ?"
        found = self._all(sql, (code,))
        return found[0] if found else None

    def number(self, code: str) -> int | None:
        """Return the number of a code."""
        found = self._all("SELECT id FROM concept WHERE code = ?", (code,))
        return found[0][0] if found else None

    def numbers(self, codes: Iterable[str]) -> Intervals:
        """Return the numbers of those of the codes that there are."""
        return Intervals.of_numbers(id_ for code in codes if (id_ := self.number(code)) is not None)

    def codes(self, numbers: Intervals) -> Iterator[str]:
        """Yield the codes of concepts in the order of their numbers, a batch of rows at a time."""
        for first, end in numbers.pairs():
            if end - first == 1:
                yield from (code for (code,) in self._all("SELECT code FROM concept WHERE id = ?", (first,)))
                continue
            while first < end:
                sql = "SELECT id, code FROM concept WHERE id >= ? AND id < ? ORDER BY id LIMIT ?"
                rows = self._all(sql, (first, end, _BATCH))
                yield from (code for _, code in rows)
                first = rows[-1][0] + 1 if len(rows) == _BATCH else end

    def all(self) -> Intervals:
        """Return every concept."""
        return Intervals((0, self.size))

    def where(self, condition: str, *values: Any) -> Intervals:
        """Return the concepts that a condition on their own columns holds for."""
        return self.ids(f"SELECT id FROM concept WHERE {condition} ORDER BY id", values)  # noqa: S608  # names of ours

    def ids(self, sql: str, values: Sequence[Any] = ()) -> Intervals:
        """Return the first column of a query as a set."""
        return Intervals.of_numbers(id_ for (id_, *_) in self._all(sql, values))

    def each(self, sql: str, numbers: Intervals, *values: Any) -> Iterator[Row]:
        """Yield the rows of a query that ends in a range, `x >= ? AND x < ?`, for each interval."""
        for first, end in numbers.pairs():
            yield from self._all(sql, (*values, first, end))

    # --- hierarchy

    def _below(self, number: int) -> Intervals:
        """Return a concept and all below it."""
        rows = self._all("SELECT last, more FROM concept WHERE id = ?", (number,))
        if not rows:
            return EMPTY
        last, more = rows[0]
        return Intervals.of_bytes(more).with_range(number, last) if more else Intervals((number, last))

    def below_all(self, numbers: Intervals) -> Intervals:
        """Return these concepts and all below any of them.

        Within the subtree of one of them nothing needs to be looked at: what is below it there is below it anyhow.
        """
        if len(numbers.bounds) == 2 and len(numbers) == 1:
            return self.below(numbers.bounds[0])
        pairs: list[tuple[int, int]] = []
        seen = 0
        for first, end in numbers.pairs():
            at = max(first, seen)
            while at < end:
                [(last, more)] = self._all("SELECT last, more FROM concept WHERE id = ?", (at,))
                pairs.append((at, last))
                if more:
                    pairs += Intervals.of_bytes(more).pairs()
                at = seen = last
        return Intervals.of_pairs(pairs)

    def above_all(self, numbers: Intervals) -> Intervals:
        """Return these concepts and all above any of them."""
        found = fresh = numbers
        while fresh:
            fresh = self.parents(fresh) - found
            found = found | fresh
        return found

    def parents(self, numbers: Intervals) -> Intervals:
        """Return the concepts right above any of these."""
        rows = self.each("SELECT DISTINCT parent FROM edge WHERE child >= ? AND child < ?", numbers)
        return Intervals.of_numbers({parent for (parent,) in rows})

    def children(self, numbers: Intervals) -> Intervals:
        """Return the concepts right below any of these."""
        rows = self.each("SELECT child FROM edge WHERE parent >= ? AND parent < ?", numbers)
        return Intervals.of_numbers({child for (child,) in rows})

    def roots(self) -> Intervals:
        """Return the concepts that nothing is above."""
        # Siblings follow one another: after a root comes the first number behind its subtree.
        return self.ids(
            "WITH RECURSIVE root(id) AS (SELECT 0 UNION ALL SELECT last FROM root JOIN concept USING (id))"
            " SELECT id FROM root WHERE id < ? ORDER BY id",
            (self.size,),
        )

    def leaves(self) -> Intervals:
        """Return the concepts that nothing is below."""
        return self.where("last = id + 1 AND more IS NULL")

    # --- lists, properties, relations

    def members(self, list_: int) -> Intervals:
        """Return the members of a reference set or list."""
        return self.ids("SELECT concept FROM member WHERE list = ? ORDER BY concept", (list_,))

    def lists(self) -> Intervals:
        """Return the concepts that are reference sets or lists."""
        return self.ids("SELECT DISTINCT list FROM member ORDER BY list")

    def _kinds(self, name: str) -> Sequence[int]:
        """Return the kinds of properties and relations of a name."""
        return [id_ for (id_,) in self._all("SELECT id FROM kind WHERE name = ?", (name,))]

    def kinds_of(self, concepts: Intervals) -> Sequence[int]:
        """Return the kinds that are concepts themselves (attributes)."""
        rows = self._all("SELECT id, concept FROM kind WHERE concept IS NOT NULL")
        return [id_ for id_, concept in rows if concept in concepts]

    def designations(self, number: int) -> Sequence[Row]:
        """Return `(value, language, use system, use code, use display, dialects)` of each."""
        return self._all(
            "SELECT value, language, system, code, display, dialects FROM designation LEFT JOIN usage ON use = usage.id"
            " WHERE concept = ? ORDER BY place",
            (number,),
        )

    def properties(self, number: int) -> Sequence[Row]:
        """Return `(name, type, value, group)` of each property and relation."""
        return self._all(
            "SELECT name, type, value, grp FROM property JOIN kind ON kind = kind.id WHERE property.concept = ?1"
            " UNION ALL SELECT name, type, concept.code, grp FROM relation JOIN kind ON kind = kind.id"
            " JOIN concept ON target = concept.id WHERE source = ?1 ORDER BY 4, 1, 3",
            (number,),
        )

    def query(self, sql: str, *values: Any) -> list[Any]:
        """Return all rows."""
        return self._all(sql, values)

    # --- text

    def having_words(self, expression: str) -> Intervals:
        """Return the concepts that an FTS5 expression holds for."""
        return self.ids("SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid", (expression,))

    def best_first(self, numbers: Intervals, text: str) -> Sequence[str]:
        """Return codes by how near their display is to a text: the same, beginning with it, short ones."""
        rows = list(self.each("SELECT id, code, display FROM concept WHERE id >= ? AND id < ?", numbers))
        asked = text.casefold()
        rows.sort(key=lambda row: _distance(asked, row))
        return [code for _, code, _ in rows]


def _stamp(path: Path) -> str:
    status = path.stat()
    return f"{status.st_ino}-{status.st_mtime_ns}-{status.st_size}"


def _distance(asked: str, row: Row) -> tuple[bool, bool, int, int]:
    id_, code, display = row
    shown = display.casefold()
    exact = asked in (shown, code.casefold())
    return not exact, not shown.startswith(asked), len(display), id_

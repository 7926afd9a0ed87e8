"""Building the file of a held code system: beside its place, then renamed; nothing half done is ever in force."""

import fcntl
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import apsw

from fhir_server.errors import BadValue
from fhir_server.model.json import encode
from fhir_server.terminology.code_system import PropertyDefinition
from fhir_server.terminology.systems.intervals import Intervals
from fhir_server.terminology.systems.layout import FORMAT, INDEXES, MOVES, STAGES, SUFFIX, TABLES
from fhir_server.terminology.systems.numbering import Numbering, number
from fhir_server.terminology.systems.source import Source

Progress = Callable[[str, int], None]
"""Called with what is being done and how many more rows of it are."""

_BUILDING = ".building"
_STEP = 10_000
_CACHE_KIB = 200_000


def file_name(url: str, version: str) -> str:
    """Return the name of the file of one version of a system."""
    readable = re.sub(r"[^a-z0-9]+", "-", url.lower().split("//")[-1])[:40].strip("-")
    return f"{readable}-{hashlib.sha256(f'{url}|{version}'.encode()).hexdigest()[:16]}{SUFFIX}"


def build(source: Source, folder: Path, progress: Progress = lambda what, rows: None) -> Path:
    """Write the file of a code system and put it in force; an older file of the same version is replaced.

    Raises:
        BadValue: the source contradicts itself (a code twice, no codes at all).
        OSError, apsw.Error: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    clear(folder)
    target = folder / file_name(source.header.url, source.header.version)
    with _unfinished(target) as path:
        connection = apsw.Connection(str(path))
        try:
            _Builder(connection, source, progress).run()
        finally:
            connection.close()
        _sync(path)
        path.rename(target)
    _sync(folder)
    return target


def clear(folder: Path) -> None:
    """Remove what builders that died have left."""
    for path in folder.glob(f"*{_BUILDING}"):
        with path.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            path.unlink(missing_ok=True)


@contextmanager
def _unfinished(target: Path) -> Iterator[Path]:
    """Give a path to write to, which is locked for as long as its builder lives."""
    path = target.with_name(f".{target.name}.{os.getpid()}{_BUILDING}")
    with path.open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class _Builder:
    """Fills one new file."""

    def __init__(self, connection: apsw.Connection, source: Source, progress: Progress) -> None:
        self._db = connection
        self._source = source
        self._progress = progress
        self._numbers: dict[str, int] = {}
        self._kinds: dict[tuple[str, str], int] = {}
        self._uses: dict[tuple[str, str, str], int] = {}
        self._fold = not source.header.case_sensitive

    def run(self) -> None:
        """Read the streams of the source in their order."""
        # A file that did not get finished is thrown away, so nothing needs to be safe on the way.
        for pragma in ("journal_mode=off", "synchronous=off", "locking_mode=exclusive", f"cache_size=-{_CACHE_KIB}"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.execute(TABLES.format(collation="NOCASE" if self._fold else "BINARY") + STAGES)
        with self._db:
            places, numbering = self._hierarchy()
            self._concepts(places, numbering)
            self._details()
        for what in (*MOVES, *INDEXES):
            self._progress("indexing", 0)
            self._db.execute(what)
        self._meta(numbering)
        self._db.execute("PRAGMA optimize")

    def _key(self, code: str) -> str:
        return code.casefold() if self._fold else code

    def _hierarchy(self) -> tuple[dict[str, int], Numbering]:
        places: dict[str, int] = {}
        for code in self._counted("codes", self._source.codes()):
            key = self._key(code)
            if key in places:
                raise BadValue(f"the code {code[:200]!r} is defined twice")
            places[key] = len(places)
        if not places:
            raise BadValue("there are no codes in what was given")
        parents: list[list[int]] = [[] for _ in places]
        for child, parent in self._counted("relations", self._source.parents()):
            below, above = places.get(self._key(child)), places.get(self._key(parent))
            if below is not None and above is not None and below != above and above not in parents[below]:
                parents[below].append(above)
        numbering = number(parents)
        self._numbers = {key: numbering.number[place] for key, place in places.items()}
        broken = set(numbering.cyclic)
        self._many(
            "INSERT INTO new_edge VALUES (?, ?)",
            (
                (numbering.number[child], numbering.number[parent])
                for child, above in enumerate(parents)
                for parent in above
                if (child, parent) not in broken
            ),
        )
        return places, numbering

    def _concepts(self, places: dict[str, int], numbering: Numbering) -> None:
        def rows() -> Iterator[tuple[Any, ...]]:
            for each in self._counted("concepts", self._source.concepts()):
                place = places[self._key(each.code)]
                more = numbering.more.get(place)
                yield (
                    *(numbering.number[place], each.code, each.display, each.inactive, each.abstract, each.status),
                    *(numbering.end[place], Intervals(more).to_bytes() if more else None, each.definition),
                )

        self._many("INSERT OR IGNORE INTO concept VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows())
        self._db.execute("CREATE UNIQUE INDEX concept_code ON concept (code)")
        [[count]] = self._db.execute("SELECT count(*) FROM concept")
        if count != len(places):
            raise BadValue(f"{len(places)} codes were announced, but {count} concepts given")

    def _details(self) -> None:
        for definition in self._source.header.properties:
            self._kind(definition.code, definition.type)
        self._many("INSERT INTO new_designation VALUES (?, ?, ?, ?, ?)", self._designations())
        self._properties()
        known = self._numbers.get
        pairs = (
            (known(self._key(a)), known(self._key(b))) for a, b in self._counted("members", self._source.members())
        )
        self._many("INSERT INTO new_member VALUES (?, ?)", (pair for pair in pairs if None not in pair))
        for (system, code, display), id_ in self._uses.items():
            self._db.execute("INSERT INTO usage VALUES (?, ?, ?, ?)", (id_, system, code, display))
        for (name, type_), id_ in self._kinds.items():
            row = (id_, name, type_, known(self._key(name)))
            self._db.execute("INSERT INTO kind VALUES (?, ?, ?, ?)", row)

    def _designations(self) -> Iterator[tuple[Any, ...]]:
        uses = self._uses
        for code, value, language, *use, dialects in self._counted("designations", self._source.designations()):
            concept = self._numbers.get(self._key(code))
            if concept is not None:
                use_id = uses.setdefault((use[0], use[1], use[2]), len(uses) + 1) if use[1] else None
                yield concept, value, language, use_id, dialects

    def _properties(self) -> None:
        relations: list[tuple[int, int, int, int]] = []
        values: list[tuple[int, int, int, str]] = []
        for code, name, value, type_, group in self._counted("properties", self._source.properties()):
            concept = self._numbers.get(self._key(code))
            if concept is None:
                continue
            target = self._numbers.get(self._key(value)) if type_ == "code" else None
            if target is None:
                values.append((concept, group, self._kind(name, type_), value))
            else:
                relations.append((concept, group, self._kind(name, type_), target))
            if len(values) + len(relations) >= _STEP:
                self._flush(relations, values)
        self._flush(relations, values)

    def _flush(self, relations: list[tuple[int, int, int, int]], values: list[tuple[int, int, int, str]]) -> None:
        self._many("INSERT INTO new_relation VALUES (?, ?, ?, ?)", relations)
        self._many("INSERT INTO new_property VALUES (?, ?, ?, ?)", values)
        relations.clear()
        values.clear()

    def _kind(self, name: str, type_: str) -> int:
        return self._kinds.setdefault((name, type_), len(self._kinds) + 1)

    def _many(self, sql: str, rows: Iterable[tuple[Any, ...]]) -> None:
        self._db.executemany(sql, rows)

    def _counted(self, what: str, rows: Iterable[Any]) -> Iterator[Any]:
        for count, row in enumerate(rows, start=1):
            yield row
            if count % _STEP == 0:
                self._progress(what, _STEP)

    def _meta(self, numbering: Numbering) -> None:
        header = asdict(self._source.header)
        declared = {definition.code for definition in self._source.header.properties}
        found = [asdict(PropertyDefinition(n, type=t)) for n, t in self._kinds if n not in declared]
        header["properties"] = [*header["properties"], *found] if len(found) < _STEP else header["properties"]
        [[names]] = self._db.execute("SELECT group_concat(DISTINCT language) FROM designation WHERE language <> ''")
        rows = {
            "format": str(FORMAT),
            "kind": self._source.kind,
            "count": str(len(self._numbers)),
            "cyclic": str(len(numbering.cyclic)),
            "languages": names or "",
            "header": encode(header).decode(),
        }
        self._many("INSERT INTO meta VALUES (?, ?)", rows.items())

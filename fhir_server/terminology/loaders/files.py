"""The files of a release: in a folder, in a zip archive as it was downloaded, or one file alone; read as a stream."""

import bz2
import csv
import gzip
import io
import lzma
import re
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from fhir_server.errors import BadValue

_OPEN = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_LONGEST_FIELD = 10_000_000


class _Row(dict[str, str]):
    """The cells of a row by the names of their columns."""

    def __init__(self, file: str, cells: dict[str, str]) -> None:
        super().__init__(cells)
        self._file = file

    def __missing__(self, column: str) -> str:
        """Refuse a file without a column.

        Raises:
            BadValue: always.
        """
        raise BadValue(f"{self._file} has no column {column}")


class Release:
    """The files below a path.

    Raises:
        BadValue: there is nothing, or an archive that cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._archive: zipfile.ZipFile | None = None
        if path.is_dir():
            self._names = sorted(str(each.relative_to(path)) for each in path.rglob("*") if each.is_file())
        elif path.is_file() and zipfile.is_zipfile(path):
            self._archive = zipfile.ZipFile(path)
            self._names = sorted(name for name in self._archive.namelist() if not name.endswith("/"))
        elif path.is_file():
            self._names = [path.name]
        else:
            raise BadValue(f"{path} does not exist")

    def names(self, pattern: str) -> list[str]:
        """Return the files whose name alone, without folders, matches a pattern as a whole, case aside."""
        compiled = re.compile(pattern, re.IGNORECASE)
        return [name for name in self._names if compiled.fullmatch(PurePosixPath(name).name)]

    def one(self, pattern: str, what: str) -> str:
        """Return the file that matches; the one least deep of several.

        Raises:
            BadValue: there is none.
        """
        found = self.names(pattern)
        if not found:
            raise BadValue(f"{self.path} has no {what} (a file named like {pattern.replace(chr(92), '')})")
        return min(found, key=lambda name: (name.count("/"), name))

    def maybe(self, pattern: str) -> str | None:
        """Return the file that matches, if there is one."""
        return self.one(pattern, "") if self.names(pattern) else None

    @contextmanager
    def binary(self, name: str) -> Iterator[IO[bytes]]:
        """Open a file."""
        if self._archive is not None:
            with self._archive.open(name) as inner:
                yield inner
            return
        path = self.path / name if self.path.is_dir() else self.path
        opener: Any = _OPEN.get(path.suffix, open)
        with opener(path, "rb") as stream:
            yield stream

    @contextmanager
    def text(self, name: str) -> Iterator[IO[str]]:
        """Open a file as UTF-8; a byte order mark is left out."""
        with self.binary(name) as stream, io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as lines:
            yield lines

    def rows(self, name: str, delimiter: str = ",") -> Iterator[dict[str, str]]:
        """Yield the rows of a CSV file with a head line; cells that are missing at the end are empty.

        Raises:
            BadValue: the file cannot be read.
        """
        csv.field_size_limit(_LONGEST_FIELD)
        with self.text(name) as lines:
            try:
                for row in csv.DictReader(lines, delimiter=delimiter, restval=""):
                    yield _Row(name, row)
            except (csv.Error, UnicodeDecodeError) as error:
                raise BadValue(f"{name}: {error}") from None

    def table(self, name: str, columns: Iterable[str]) -> Iterator[list[str]]:
        """Yield columns of a file with tabs and a head line, without quotes (RF2).

        Raises:
            BadValue: a column is missing, or a line is short.
        """
        with self.text(name) as lines:
            head = next(lines, "").rstrip("\r\n").split("\t")
            try:
                places = [head.index(column) for column in columns]
            except ValueError as error:
                raise BadValue(f"{name}: the column is missing: {error}") from None
            for number, line in _numbered(name, lines, 2):
                cells = line.rstrip("\r\n").split("\t")
                try:
                    yield [cells[place] for place in places]
                except IndexError:
                    raise BadValue(f"{name}: line {number} has {len(cells)} columns, not {len(head)}") from None

    def piped(self, name: str, width: int) -> Iterator[list[str]]:
        """Yield the rows of a file with bars and no head line (RRF).

        Raises:
            BadValue: a line is short.
        """
        with self.text(name) as lines:
            for number, line in _numbered(name, lines, 1):
                cells = line.rstrip("\r\n").split("|")
                if len(cells) < width:
                    raise BadValue(f"{name}: line {number} has {len(cells)} columns, not {width}")
                yield cells


def _numbered(name: str, lines: Iterable[str], first: int) -> Iterator[tuple[int, str]]:
    try:
        yield from enumerate(lines, start=first)
    except UnicodeDecodeError as error:
        raise BadValue(f"{name} is not UTF-8: {error}") from None

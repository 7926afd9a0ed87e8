"""Any code system as CSV: a column `code`, and what else there is."""

import csv
from collections.abc import Iterator
from pathlib import Path

from fhir_server.errors import BadValue
from fhir_server.terminology.code_system import Header, PropertyDefinition
from fhir_server.terminology.loaders.files import Release
from fhir_server.terminology.systems.source import Plain, SourceConcept, SourceDesignation, SourceProperty

_OWN = frozenset(("code", "display", "definition", "parent", "inactive", "abstract", "status"))
_TYPES = frozenset(("code", "string", "integer", "boolean", "dateTime", "decimal"))
_TRUE = frozenset(("true", "1", "yes", "y"))


class Table(Plain):
    """The Source of a CSV file with a head line; commas, semicolons, tabs or bars between cells.

    Columns: `code`, `display`, `definition`, `parent` (several with `|` between them), `inactive`, `abstract`,
    `status`, `designation:LANGUAGE`, `property:NAME` or `property:NAME:TYPE`; any other column is a property as text.
    """

    def __init__(self, path: Path, url: str, version: str = "") -> None:
        if not url:
            raise BadValue("a CSV file does not say what code system it is: give --url")
        self._release = Release(path)
        self._name = self._release.one(r".*\.(?:csv|tsv|txt)(?:\.gz|\.bz2|\.xz)?", "CSV file")
        with self._release.text(self._name) as lines:
            head = next(lines, "")
        self._delimiter = max("\t;|,", key=head.count)
        columns = [column.strip() for column in next(csv.reader([head], delimiter=self._delimiter), [])]
        if "code" not in columns:
            raise BadValue(f"{self._name} has no column named code, but {', '.join(columns)[:200]}")
        self._designations = [column for column in columns if column.startswith("designation:")]
        self._properties = {column: _property(column) for column in columns if _is_property(column)}
        self.header = Header(
            url,
            version=version,
            hierarchy="parent" in columns,
            properties=[PropertyDefinition(name, type=type_) for name, type_ in self._properties.values()],
        )

    def _rows(self) -> Iterator[dict[str, str]]:
        for row in self._release.rows(self._name, self._delimiter):
            if None in row:
                raise BadValue(f"{self._name}: the row of {row.get('code')!r} has more cells than the head line")
            clean = {(name or "").strip(): (cell or "").strip() for name, cell in row.items()}
            if clean["code"]:
                yield clean

    def codes(self) -> Iterator[str]:
        """Yield every code."""
        return (row["code"] for row in self._rows())

    def parents(self) -> Iterator[tuple[str, str]]:
        """Yield each code with each of its parents."""
        for row in self._rows():
            for parent in row.get("parent", "").split("|"):
                if parent.strip():
                    yield row["code"], parent.strip()

    def concepts(self) -> Iterator[SourceConcept]:
        """Yield every concept."""
        for row in self._rows():
            inactive, abstract = (row.get(name, "").lower() in _TRUE for name in ("inactive", "abstract"))
            definition, status = row.get("definition", ""), row.get("status", "")
            yield SourceConcept(row["code"], row.get("display", ""), definition, inactive, abstract, status)

    def designations(self) -> Iterator[SourceDesignation]:
        """Yield the designations."""
        for row in self._rows():
            for column in self._designations:
                if row[column]:
                    yield SourceDesignation(row["code"], row[column], column.partition(":")[2])

    def properties(self) -> Iterator[SourceProperty]:
        """Yield the properties."""
        for row in self._rows():
            for column, (name, type_) in self._properties.items():
                if row[column]:
                    yield SourceProperty(row["code"], name, row[column], type_)


def _is_property(column: str) -> bool:
    return bool(column) and column not in _OWN and not column.startswith("designation:")


def _property(column: str) -> tuple[str, str]:
    name, _, type_ = column.removeprefix("property:").partition(":")
    if type_ and type_ not in _TYPES:
        raise BadValue(f"the type of the column {column!r} is none of {', '.join(sorted(_TYPES))}")
    return name, type_ or "string"

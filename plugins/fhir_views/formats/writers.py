"""Writers of rows: each turns batches of rows into bytes, and says how its text is called.

Spec: https://sql-on-fhir.org/ig/OperationDefinition-ViewDefinitionRun.html#output-format
"""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from fhir_server.plugin_api import BadRequest, Issue, encode
from fhir_views.engine import Column, Row
from fhir_views.formats.parquet import ParquetWriter


class Writer(Protocol):
    """Makes the bytes of one file; `rows` may be called any number of times between `begin` and `end`."""

    def begin(self) -> bytes:
        """What comes before the rows."""

    def rows(self, rows: Sequence[Row]) -> bytes:
        """The bytes that some rows come to; what is not ready yet comes later.

        Raises:
            RowError: a value does not fit the type of its column.
        """

    def end(self) -> bytes:
        """What comes after the rows."""


@dataclass(frozen=True, slots=True)
class Format:
    """One format. `make` gets the columns and whether a header is wanted."""

    name: str
    media_types: tuple[str, ...]
    extension: str
    make: Callable[[Sequence[Column], bool], Writer]


class _JsonLines:
    """One object for each row, a line each."""

    def __init__(self, columns: Sequence[Column], header: bool) -> None:
        self._names = tuple(column.name for column in columns)

    def begin(self) -> bytes:
        return b""

    def rows(self, rows: Sequence[Row]) -> bytes:
        return b"".join([encode(dict(zip(self._names, row, strict=True))) + b"\n" for row in rows])

    def end(self) -> bytes:
        return b""


class _Json(_JsonLines):
    """One array of objects."""

    _first = True

    def begin(self) -> bytes:
        return b"["

    def rows(self, rows: Sequence[Row]) -> bytes:
        text = b",\n".join([encode(dict(zip(self._names, row, strict=True))) for row in rows])
        before = b"" if self._first or not text else b",\n"
        self._first = self._first and not text
        return before + text

    def end(self) -> bytes:
        return b"]\n"


class _Csv:
    """Comma-separated values; null is an empty field, what is no scalar is its JSON. Source: RFC 4180"""

    def __init__(self, columns: Sequence[Column], header: bool) -> None:
        self._header = [column.name for column in columns] if header else []

    def begin(self) -> bytes:
        return _lines([self._header]) if self._header else b""

    def rows(self, rows: Sequence[Row]) -> bytes:
        return _lines([[_field(value) for value in row] for row in rows])

    def end(self) -> bytes:
        return b""


class _Parameters(_JsonLines):
    """FHIR Parameters: a `row` for each row, a part for each value that there is."""

    def __init__(self, columns: Sequence[Column], header: bool) -> None:
        self._columns = [(column.name, _VALUES.get(column.type, "")) for column in columns]
        self._first = True

    def begin(self) -> bytes:
        return b'{"resourceType":"Parameters"'

    def rows(self, rows: Sequence[Row]) -> bytes:
        found = [
            encode({"name": "row", "part": self._parts(row)} if any(_some(row)) else {"name": "row"}) for row in rows
        ]
        before = b"" if not found else b',"parameter":[' if self._first else b","
        self._first = self._first and not found
        return before + b",".join(found)

    def _parts(self, row: Row) -> list[dict[str, Any]]:
        values = zip(self._columns, row, strict=True)
        return [
            {"name": name, **_typed(each, suffix)}
            for (name, suffix), value in values
            for each in (value if isinstance(value, list) else [value])
            if each is not None
        ]

    def end(self) -> bytes:
        return b"}\n" if self._first else b"]}\n"


_PLAIN = (
    "base64Binary boolean canonical code date dateTime decimal id instant integer markdown oid positiveInt string time"
    " unsignedInt uri url uuid"
)
_VALUES = {type_: f"value{type_[0].upper()}{type_[1:]}" for type_ in _PLAIN.split()}
_NO_TEXTS = frozenset({"valueBoolean", "valueDecimal", "valueInteger", "valuePositiveInt", "valueUnsignedInt"})


def _some(row: Row) -> list[bool]:
    return [value is not None and value != [] for value in row]


def _typed(value: Any, suffix: str) -> dict[str, Any]:
    """A value under its type, where it is one of that type; any other as what it is."""
    if isinstance(value, str):
        return {suffix if suffix and suffix not in _NO_TEXTS else "valueString": value}
    if isinstance(value, bool):
        return {"valueBoolean": value}
    if isinstance(value, int) and suffix != "valueDecimal" and abs(value) < 2**31:
        return {"valueInteger": value}
    return {"valueDecimal": value} if isinstance(value, int | Decimal) else {"valueString": encode(value).decode()}


def _lines(rows: Sequence[Sequence[str | None]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _field(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | Decimal) else encode(value).decode()


FORMATS: Mapping[str, Format] = {
    "json": Format("json", ("application/json",), "json", _Json),
    "ndjson": Format("ndjson", ("application/x-ndjson", "application/ndjson"), "ndjson", _JsonLines),
    "csv": Format("csv", ("text/csv",), "csv", _Csv),
    "parquet": Format(
        "parquet", ("application/vnd.apache.parquet", "application/octet-stream"), "parquet", ParquetWriter
    ),
    "fhir": Format("fhir", ("application/fhir+json",), "json", _Parameters),
}
_BY_TYPE = {type_: each for each in FORMATS.values() for type_ in each.media_types}
# What FHIR clients send unasked: they get JSON.
_BY_TYPE |= dict.fromkeys(("application/fhir+json", "*/*", "application/*"), FORMATS["json"])


def format_named(asked: str | None, accept: str = "", default: str = "json") -> Format:
    """The format that `_format` names, else the first one of an Accept header that there is, else the default.

    Raises:
        BadRequest: there is no such format.
    """
    if asked:
        found = FORMATS.get(asked.lower()) or _BY_TYPE.get(asked.lower())
        if found is None:
            said = f"there is no format {asked[:80]!r}; there are {', '.join(FORMATS)}"
            raise BadRequest(said, issues=[Issue(said, "not-supported", expression=("_format",))])
        return found
    types = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    return next((_BY_TYPE[type_] for type_ in types if type_ in _BY_TYPE), FORMATS[default])

"""Parquet by pyarrow, a row group for each so many rows.

Types: boolean, integers as int64, decimals as double (their digits are in the other formats), the rest as text;
collections as lists. What is no scalar is its JSON. The FHIR type of a column is metadata of its field.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from importlib.util import find_spec
from typing import Any

from fhir_server.plugin_api import BadRequest, encode
from fhir_views.engine import Column, Fault, Row, RowError

_GROUP = 50_000
_INTEGERS = frozenset({"integer", "positiveInt", "unsignedInt", "integer64"})


class ParquetWriter:
    """Writes one Parquet file into memory piece by piece: what `rows` gives may be sent at once.

    Raises:
        BadRequest: pyarrow is not installed.
    """

    def __init__(self, columns: Sequence[Column], header: bool = True) -> None:
        if find_spec("pyarrow") is None:
            raise BadRequest("Parquet needs pyarrow: pip install 'fhir-server[views]'", expression="_format")
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._columns = columns
        self._converters = [converter_of(column) for column in columns]
        self._schema = pa.schema([field_of(column) for column in columns])
        self._sink = _Sink()
        self._writer = pq.ParquetWriter(self._sink, self._schema, compression="zstd")
        self._waiting: list[Row] = []

    def begin(self) -> bytes:
        """What comes before the rows."""
        return self._sink.taken()

    def rows(self, rows: Sequence[Row]) -> bytes:
        """Take rows; bytes come once there are enough for a row group."""
        self._waiting += rows
        if len(self._waiting) < _GROUP:
            return b""
        self._flush()
        return self._sink.taken()

    def end(self) -> bytes:
        """The last rows and the footer."""
        if self._waiting:
            self._flush()
        self._writer.close()
        return self._sink.taken()

    def _flush(self) -> None:
        import pyarrow as pa

        values = zip(*self._waiting, strict=True)
        arrays = [
            pa.array([convert(value) for value in column], field.type)
            for column, convert, field in zip(values, self._converters, self._schema, strict=True)
        ]
        self._writer.write_batch(pa.record_batch(arrays, schema=self._schema))
        self._waiting = []


class _Sink(io.RawIOBase):
    """A file that is only ever written on: what was taken out of it is gone."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._pieces.append(piece)
        self._position += len(piece)
        return len(piece)

    def taken(self) -> bytes:
        """All that was written since the last call."""
        data, self._pieces = b"".join(self._pieces), []
        return data


def field_of(column: Column) -> Any:
    """The field of an Arrow schema that holds a column."""
    import pyarrow as pa

    single = pa.bool_() if column.type == "boolean" else pa.int64() if column.type in _INTEGERS else _other(column.type)
    of = pa.list_(single) if column.collection else single
    return pa.field(column.name, of, metadata={"fhir.type": column.type})


def _other(type_: str) -> Any:
    import pyarrow as pa

    return pa.float64() if type_ == "decimal" else pa.string()


def converter_of(column: Column) -> Callable[[Any], Any]:
    """What turns values of a column into those of its field; raises RowError for one of another type."""
    read: Callable[[Any], Any] = _READERS.get(column.type, _text)

    def convert(value: Any) -> Any:
        if value is None:
            return None
        try:
            return [read(each) for each in value] if column.collection else read(value)
        except TypeError:
            message = f"column {column.name} is {column.type}, but a value of it is no such"
            raise RowError(Fault(f"{column.place}.type", message)) from None

    return convert


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | Decimal) else encode(value).decode()


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or value != int(value):
        raise TypeError
    found = int(value)
    if abs(found) >= 2**63:
        raise TypeError
    return found


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise TypeError
    return float(value)


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "boolean": _boolean,
    **dict.fromkeys(_INTEGERS, _integer),
    "decimal": _number,
}

"""Parquet files: written block by block to a stream, never whole in memory nor on a disk of their own.

Spec: https://parquet.apache.org/docs/file-format/
"""

import io

import pyarrow as pa
import pyarrow.parquet as pq

from fhir_bulk.columns import Columns
from fhir_server.plugin_api import Definitions, decode


class _Stream(io.RawIOBase):
    """What the writer writes, until it is taken."""

    def __init__(self) -> None:
        self._ready = bytearray()
        self._at = 0

    def writable(self) -> bool:
        """It is written to."""
        return True

    def write(self, data: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]
        """Keep some bytes."""
        self._ready += data
        self._at += len(data)
        return len(data)

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self._at

    def take(self) -> bytes:
        """Return what was written since the last time."""
        ready, self._ready = bytes(self._ready), bytearray()
        return ready


class Parquet:
    """Writes one file of resources of one type."""

    heavy = True

    def __init__(self, type_: str, definitions: Definitions) -> None:
        self._columns = Columns(type_, definitions)
        self._stream = _Stream()
        self._file = pa.PythonFile(self._stream, mode="w")
        self._writer = pq.ParquetWriter(self._file, self._columns.schema, compression="zstd")

    def add(self, lines: bytes) -> bytes:
        """Take in NDJSON lines as one row group."""
        rows = [self._columns.row(decode(line), line) for line in lines.splitlines()]
        self._writer.write_table(pa.Table.from_pylist(rows, schema=self._columns.schema))
        return self._stream.take()

    def close(self) -> bytes:
        """End the file: its index comes last."""
        self._writer.close()
        self._file.flush()
        return self._stream.take()

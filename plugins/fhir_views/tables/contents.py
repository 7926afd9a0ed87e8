"""The content of partitions as Arrow tables: what resources give, put over what they gave before.

Each row has the id of its resource and the commit that it comes from. A resource without rows has one row that says
so, and so has one that is deleted: what is read of it later than that is known to be old.
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from fhir_server.plugin_api import Version, decode
from fhir_views.engine import Row, RowError, View
from fhir_views.formats.parquet import converter_of, field_of

KEY, TXID, STATE = "_key", "_txid", "_state"
ROW, NONE, GONE = 0, 1, 2
Arrow = Any


class Given(NamedTuple):
    """What one resource gives at one commit; the state is that it has rows, has none, or is gone."""

    txid: int
    state: int
    rows: Sequence[Row] = ()


@dataclass(frozen=True, slots=True)
class Made:
    """What versions give, by the id of their resource, and the errors among them."""

    given: Mapping[str, Given]
    faults: int
    fault: str


class Contents:
    """Makes the contents of the partitions of one view."""

    def __init__(self, view: View) -> None:
        import pyarrow as pa

        self.view = view
        self._converters = [converter_of(column) for column in view.columns]
        own = [pa.field(KEY, pa.string()), pa.field(TXID, pa.int64()), pa.field(STATE, pa.int8())]
        self._schema = pa.schema([*own, *(field_of(column) for column in view.columns)])

    def made(self, versions: Iterable[Version]) -> Made:
        """What versions give; the last one of each resource counts. One that gives an error has no rows."""
        found: dict[str, Given] = {}
        faults, fault = 0, ""
        for version in versions:
            try:
                found[version.key.id] = self._given(version)
            except RowError as error:
                found[version.key.id] = Given(version.txid, NONE)
                faults, fault = faults + 1, str(error)
        return Made(found, faults, fault)

    def _given(self, version: Version) -> Given:
        if version.deleted:
            return Given(version.txid, GONE)
        rows = self.view.rows(decode(version.stamped()))
        converted = [self._converted(row) for row in rows]
        return Given(version.txid, ROW if converted else NONE, converted)

    def _converted(self, row: Row) -> Row:
        return tuple([convert(value) for convert, value in zip(self._converters, row, strict=True)])

    def read(self, data: bytes) -> Arrow:
        """A partition from its bytes."""
        import pyarrow.parquet as pq

        return pq.read_table(io.BytesIO(data), schema=self._schema)

    def write(self, content: Arrow) -> bytes:
        """The bytes of a partition."""
        import pyarrow.parquet as pq

        sink = io.BytesIO()
        pq.write_table(content, sink, compression="zstd")
        return sink.getvalue()

    def over(self, before: Arrow | None, given: Mapping[str, Given]) -> Arrow:
        """What resources give in the place of what they gave before, unless that is of a later commit."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if before is None:
            return self._table(given)
        same = pc.is_in(before[KEY], pa.array(list(given), pa.string()))
        known = before.filter(same).select([KEY, TXID]).to_pylist()
        later = {row[KEY] for row in known if row[TXID] > given[row[KEY]].txid}
        fresh = {key: each for key, each in given.items() if key not in later}
        kept = before.filter(pc.invert(pc.is_in(before[KEY], pa.array(list(fresh), pa.string()))))
        return pa.concat_tables([kept, self._table(fresh)]).combine_chunks()

    def _table(self, given: Mapping[str, Given]) -> Arrow:
        import pyarrow as pa

        empty: Row = (None,) * len(self.view.columns)
        rows = [(key, each.txid, each.state, *row) for key, each in given.items() for row in (each.rows or (empty,))]
        columns = list(zip(*rows, strict=True)) or [()] * len(self._schema)
        arrays = [pa.array(list(column), field.type) for column, field in zip(columns, self._schema, strict=True)]
        return pa.Table.from_arrays(arrays, schema=self._schema)

    def counts(self, content: Arrow) -> tuple[int, int]:
        """How many rows a partition has, and how many resources are there."""
        import pyarrow.compute as pc

        states = content[STATE]
        rows = pc.sum(pc.equal(states, ROW)).as_py() or 0
        alive = content.filter(pc.less(states, GONE))
        return rows, len(pc.unique(alive[KEY]))


def shown(content: Arrow) -> Arrow:
    """The rows of a partition as the view has them."""
    import pyarrow.compute as pc

    rows = content.filter(pc.equal(content[STATE], ROW))
    return rows.drop_columns([KEY, TXID, STATE])

"""Index rows of versions that have some: what is there is compared with what has to be, and only the rest is written.

`$reindex` mostly finds what it would make. The rows of a version stand side by side in the index by pid, and that index
holds all that is compared; so a run that changes nothing reads a tenth of what it would write, and dirties no page.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, Final

import apsw

from fhir_server.storage.sqlite import bulk
from fhir_server.storage.sqlite.connection import fetch
from fhir_server.storage.sqlite.interning import Interning
from fhir_server.storage.sqlite.rows import WIDTHS, Flat, IndexRows

COLUMNS: Final = {
    "token": "param,value,pid",
    "string": "param,folded,pid,original",
    "date": "param,low,pid,high",
    "several_dates": "param,pid",
    "number": "param,low,pid,high",
    "quantity": "param,unit,low,pid,high,stated_unit,stated_low,stated_high",
    "uri": "param,value,pid",
    "ref": "param,target,pid,version",
    "composite": "param,first,second,pid,rest",
    "position": "param,latitude,longitude,pid",
    "contained": "cid,pid,type,id",
}
"""All columns of the tables, in their order."""

_KEYS: Final = {**COLUMNS, "quantity": COLUMNS["quantity"].removesuffix(",stated_high"), "contained": "cid"}
_OWNERS: Final = {table: columns.split(",").index("pid") for table, columns in COLUMNS.items()}
_DENSE: Final = 4  # so many times as many ids as are wanted, and it is quicker to look at all of them

Row = tuple[Any, ...]


class ChangedRows(IndexRows):
    """Index rows of the versions `pids`, gathered and then written where they differ.

    A contained resource that is still there keeps its id.
    """

    def __init__(
        self, interning: Interning, next_id: Callable[[], int], connection: apsw.Connection, pids: Sequence[int]
    ) -> None:
        super().__init__(interning, next_id)
        self._contained = _stored(connection, "contained", pids)
        self._pids = sorted(pids)
        self._cids = sorted(row[0] for row in self._contained)
        self._free: dict[Row, list[int]] = {}
        for cid, *what in self._contained:
            self._free.setdefault(tuple(what), []).append(cid)

    def _cid(self, pid: int, type_: int, inner_id: str) -> int:
        free = self._free.get((pid, type_, inner_id))
        return free.pop(0) if free else super()._cid(pid, type_, inner_id)

    def _put(self, connection: apsw.Connection, table: str, flat: Flat) -> None:
        wanted = set(zip(*[iter(flat)] * WIDTHS[table], strict=True))
        if table == "contained":
            known = self._contained
        else:
            known = _stored(connection, table, self._pids) | _stored(connection, table, self._cids)
        _delete(connection, table, known - wanted)
        bulk.insert_or_ignore(connection, table, WIDTHS[table], list(chain.from_iterable(wanted - known)))


def _stored(connection: apsw.Connection, table: str, ids: Sequence[int]) -> set[Row]:
    """Return the rows of these versions, or contained resources; `ids` are in order."""
    if not ids:
        return set()
    if ids[-1] - ids[0] > len(ids) * _DENSE:
        columns = ",".join(f"x.{column}" for column in COLUMNS[table].split(","))
        return set(bulk.select(connection, columns, f"CROSS JOIN {table} x ON x.pid=k.column1", ids))
    owner, wanted = _OWNERS[table], frozenset(ids)
    sql = f"SELECT {COLUMNS[table]} FROM {table} WHERE pid BETWEEN ? AND ?"
    return {row for row in fetch(connection, sql, (ids[0], ids[-1])) if row[owner] in wanted}


def _delete(connection: apsw.Connection, table: str, rows: set[Row]) -> None:
    columns = _KEYS[table].split(",")
    for some in _cut(list(rows), 4_000 // len(columns)):
        keys = [part for row in some for part in row[: len(columns)]]
        values = ",".join(["(" + ",".join("?" * len(columns)) + ")"] * len(some))
        connection.execute(f"DELETE FROM {table} WHERE ({','.join(columns)}) IN (VALUES {values})", keys)


def _cut(rows: list[Row], size: int) -> Iterator[list[Row]]:
    for at in range(0, len(rows), size):
        yield rows[at : at + size]

"""Index rows of many versions for a record that has none of them yet: gathered in memory, written in the order of keys.

Rows that come in the order of versions go to as many places of each table as there are values; written some hundred
thousand at a time in the order of the key they fill pages one after the other, and each page is written once for all of
them. They wait in tables of the connection's temporary database, which is in memory: a quarter of what objects take.
"""

from collections.abc import Callable
from typing import Final

import apsw

from fhir_server.storage.sqlite import bulk
from fhir_server.storage.sqlite.differences import COLUMNS
from fhir_server.storage.sqlite.interning import Interning
from fhir_server.storage.sqlite.rows import WIDTHS, Flat, IndexRows

_WAITING: Final = 'temp."waiting_{}"'


class GatheredRows(IndexRows):
    """Index rows that wait until `settle`; `waiting` is how many."""

    def __init__(self, interning: Interning, next_id: Callable[[], int], connection: apsw.Connection) -> None:
        super().__init__(interning, next_id)
        self._connection = connection
        self.waiting = 0
        for table, columns in COLUMNS.items():
            connection.execute(f"CREATE TABLE IF NOT EXISTS {_WAITING.format(table)}({columns})")
            connection.execute(f"DELETE FROM {_WAITING.format(table)}")

    def _put(self, connection: apsw.Connection, table: str, flat: Flat) -> None:
        bulk.insert(connection, f"INSERT INTO {_WAITING.format(table)}", WIDTHS[table], flat)
        self.waiting += len(flat) // WIDTHS[table]

    def settle(self) -> None:
        """Write what waits."""
        for table, width in WIDTHS.items():
            order = ",".join(str(column + 1) for column in range(width))
            self._connection.execute(
                f"INSERT OR IGNORE INTO main.{table} SELECT * FROM {_WAITING.format(table)} ORDER BY {order}"
            )
            self._connection.execute(f"DELETE FROM {_WAITING.format(table)}")
        self.waiting = 0

    def close(self) -> None:
        """Give the memory back."""
        for table in WIDTHS:
            self._connection.execute(f"DROP TABLE {_WAITING.format(table)}")

"""What a commit group is about to write, gathered over its requests and written table by table."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import apsw

from fhir_server.model.version import Version
from fhir_server.search.entries import IndexEntries
from fhir_server.storage.sqlite import bulk
from fhir_server.storage.sqlite.connection import fetch
from fhir_server.storage.sqlite.heads import Head
from fhir_server.storage.sqlite.interning import Interning
from fhir_server.storage.sqlite.rows import IndexRows
from fhir_server.storage.sqlite.schema import CURRENT
from fhir_server.storage.sqlite.sealer import Sealer, Waiting
from fhir_server.storage.sqlite.versions import NUMBERS


class Pending:
    """Rows of one group. Each request that writes has a txid; all share one `last_updated`.

    Args:
        index: makes what takes the index rows, of the interning and what gives out ids.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        interning: Interning,
        sealer: Sealer | None = None,
        index: Callable[[Interning, Callable[[], int]], IndexRows] = IndexRows,
    ) -> None:
        self._connection, self._intern, self._sealer = connection, interning, sealer
        self._index = index(interning, self.next_id)
        self._tx: list[Any] = []
        self._versions: list[Any] = []
        self._bodies: list[Waiting] = []
        self._superseded: list[tuple[int, int]] = []
        self._current: list[tuple[int, int]] = []
        self._totals: dict[int, list[int]] = defaultdict(lambda: [0, 0])
        self._last_id = self._first_id = 0
        self.txid = self.last_updated = 0
        self._wrote = False

    def begin(self, now: int) -> int:
        """Read where the log stands and return its time; `last_updated` is at least 1 ms later."""
        self._intern.begin()
        log = fetch(self._connection, "SELECT txid, last_updated FROM tx ORDER BY txid DESC LIMIT 1")
        self.txid, before = log[0] if log else (0, 0)
        self.last_updated = max(now, before + 1)
        row = fetch(self._connection, "SELECT value FROM meta WHERE key='pid'")
        self._last_id = self._first_id = row[0][0]
        return int(before)

    def next_pid(self) -> int:
        """Give out the pid of a version that the request writes."""
        self.begin_tx()
        return self.next_id()

    def next_id(self) -> int:
        """Give out the next pid or cid."""
        self._last_id += 1
        return self._last_id

    def begin_request(self) -> None:
        """Start a request: its versions get the next txid."""
        self.txid += 1
        self._wrote = False

    def end_request(self) -> tuple[int, int]:
        """Return (txid, last_updated) of the request; zeros if it wrote nothing."""
        if self._wrote:
            return self.txid, self.last_updated
        self.txid -= 1
        return 0, 0

    def begin_tx(self) -> None:
        """Note that the request does write something."""
        if not self._wrote:
            self._wrote = True
            self._tx += (self.txid, self.last_updated, self._last_id + 1)

    def add(self, version: Version, head: Head | None, entries: IndexEntries) -> int:
        """Take one version; return the rid of its resource."""
        rid = self._resource(version, head)
        type_, deleted = self._intern.type(version.key.type), version.deleted
        self._versions += (
            version.pid, rid, type_, version.version, self.txid, CURRENT, self.last_updated,
            NUMBERS[version.method], deleted,
        )  # fmt: skip
        if not deleted:
            self._bodies.append((version, entries))
            self._index.add(version.key.type, rid, version.pid, entries)
        was = 0 if head is None or head.version.deleted else 1
        totals = self._totals[type_]
        totals[0] += (0 if deleted else 1) - was
        totals[1] += 1
        return rid

    def index(self, type_: str, rid: int, pid: int, entries: IndexEntries) -> None:
        """Take index rows of a version that stands in the log already."""
        self._index.add(type_, rid, pid, entries)

    def _resource(self, version: Version, head: Head | None) -> int:
        if head:
            self._superseded.append((self.txid, head.version.pid))
        rid = head.rid if head else self._intern.rids.get(version.key) or self._intern.stub(version.key)
        stub = self._intern.stubs.get(rid)
        if stub:
            stub[3] = version.pid
        else:
            self._current.append((version.pid, rid))
        return rid

    def flush(self) -> None:
        """Write what was gathered, so that SQL sees it."""
        connection = self._connection
        self._index.write(connection)
        stubs = [part for stub in self._intern.stubs.values() for part in stub]
        self._insert("resource", 4, stubs)
        self._intern.stubs.clear()
        self._insert("tx", 3, self._tx)
        bodies = self._sealer.rows(connection, self._bodies) if self._sealer else []
        self._bodies.clear()
        self._insert("version", 9, self._versions)
        self._insert("body", 3, bodies)
        connection.executemany("UPDATE resource SET pid=? WHERE rid=?", self._current)
        connection.executemany("UPDATE version SET to_txid=? WHERE pid=?", self._superseded)
        connection.executemany("INSERT INTO stale(to_txid,pid) VALUES(?,?)", self._superseded)
        self._current.clear()
        self._superseded.clear()
        counts = [(total, versions, type_) for type_, (total, versions) in self._totals.items()]
        connection.executemany("UPDATE type SET total=total+?, versions=versions+? WHERE type=?", counts)
        self._totals.clear()

    def finish(self) -> None:
        """Write the rest of the group."""
        self.flush()
        if self._last_id != self._first_id:
            self._connection.execute("UPDATE meta SET value=? WHERE key='pid'", (self._last_id,))

    def _insert(self, table: str, width: int, flat: list[Any]) -> None:
        bulk.insert(self._connection, f"INSERT INTO {table}", width, flat)
        flat.clear()

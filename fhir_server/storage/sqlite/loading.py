"""The door by which a move fills a record, and the data folder that it leaves or comes to."""

import asyncio
import fcntl
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw

from fhir_server.model.version import Version
from fhir_server.search.entries import IndexEntries
from fhir_server.settings import Settings
from fhir_server.storage.base import BlobChange, BlobRef, Collection, Record
from fhir_server.storage.moving import Arrival, Audited, KeptBlob, LogEnd, Served
from fhir_server.storage.sqlite import blob_rows, bulk, collections
from fhir_server.storage.sqlite.audit_rows import key_of
from fhir_server.storage.sqlite.blob_files import BlobFiles
from fhir_server.storage.sqlite.bodies import Bodies
from fhir_server.storage.sqlite.connection import fetch
from fhir_server.storage.sqlite.connections import Connections
from fhir_server.storage.sqlite.create import prepare
from fhir_server.storage.sqlite.group import Around
from fhir_server.storage.sqlite.interning import Interning
from fhir_server.storage.sqlite.leaving import SqliteKept, SqliteLeft
from fhir_server.storage.sqlite.ownership import AlreadyOwned, own, owner_of
from fhir_server.storage.sqlite.provider import SqliteProvider
from fhir_server.storage.sqlite.rows import IndexRows
from fhir_server.storage.sqlite.schema import CURRENT
from fhir_server.storage.sqlite.sealer import Sealer
from fhir_server.storage.sqlite.sealing import keys_of
from fhir_server.storage.sqlite.search import search_keys
from fhir_server.storage.sqlite.text import TextIndex
from fhir_server.storage.sqlite.versions import NUMBERS
from fhir_server.storage.sqlite.writer import Writer

T = TypeVar("T")

_CIDS: Final = 1 << 60
"""Above it are the ids of contained resources that came by this door; below are pids of the store that was left."""

_EMPTY: Final = (
    "SELECT (SELECT count(*) FROM tx) + (SELECT count(*) FROM version) + (SELECT count(*) FROM audit) "
    "+ (SELECT count(*) FROM record) + (SELECT count(*) FROM blob)"
)
_PUT: Final = "INSERT OR REPLACE INTO record(collection, key, revision, value) VALUES(?,?,?,?)"
_PUT_FIELD: Final = "INSERT OR IGNORE INTO record_field(collection, field, value, key) VALUES(?,?,?,?)"
_END_BEFORE: Final = (
    f"UPDATE version SET to_txid=? WHERE pid=(SELECT pid FROM resource WHERE rid=?) AND to_txid={CURRENT} "
    "RETURNING pid, deleted"
)


class SqliteDoor(SqliteKept):
    """A record that is filled by a move, and by nobody else."""

    def __init__(self, folder: Path, settings: Settings, clock: Callable[[], int]) -> None:
        bodies = Bodies(folder, settings)
        self.indexes_all = bodies.sealing  # an envelope is that of the patient whom the content names
        self._connections = Connections(folder, settings, bodies)
        self._files = BlobFiles(
            folder / "blobs", durable=settings.durable, keys=keys_of(folder, settings), bodies=bodies
        )
        self._sealer = Sealer(bodies)
        self._text = TextIndex(folder / "text.db", settings)
        around = Around(partial(search_keys, text=self._text), self._files, self._sealer)
        self._writer = Writer(folder, settings, clock, around)
        super().__init__(self._read, self._files)

    async def mark(self) -> str:
        """Return what an earlier run noted."""
        found: str = await self._read(_mark)
        return found

    async def put_mark(self, mark: str) -> None:
        """Note something, or that the move is done."""
        sql = "INSERT OR REPLACE INTO meta VALUES('moving', ?)" if mark else "DELETE FROM meta WHERE key='moving'"
        await self._writer.submit(lambda connection: fetch(connection, sql, (mark,) if mark else ()))

    async def empty(self) -> bool:
        """Tell whether nothing was ever written."""
        found: int = await self._read(lambda connection: fetch(connection, _EMPTY)[0][0])
        return found == 0

    async def take_versions(self, arrivals: Sequence[Arrival]) -> None:
        """Write versions, those that are current with their index rows."""
        await self._writer.submit(lambda connection: _take(connection, self._writer.interning, self._sealer, arrivals))

    async def declare(self, collection: Collection) -> None:
        """Make a record collection known."""
        await self._writer.submit(lambda connection: collections.declare(connection, collection))

    async def take_records(self, collection: str, put: Sequence[Record], gone: Sequence[str]) -> None:
        """Write records with their revisions, and remove others."""
        await self._writer.submit(lambda connection: _take_records(connection, collection, put, gone))

    async def take_audit(self, rows: Sequence[Audited], first: int) -> None:
        """Append audit rows as they are."""
        await self._writer.submit(lambda connection: _take_audit(connection, rows))

    async def take_blob(self, blob: KeptBlob, chunks: AsyncIterator[bytes]) -> BlobRef:
        """Write an attached blob under its id."""
        await self.drop_blob(blob.ref.id)
        self._files.settle((), (blob.ref.id,))  # of a run that was killed before its row was written
        ref = await self._blobs.stage(chunks, blob.ref.id)
        await self._change_blob(BlobChange(ref.id, True, blob.patient))
        return ref

    async def drop_blob(self, blob_id: str) -> None:
        """Remove a blob."""
        await self._change_blob(BlobChange(blob_id, False))

    async def _change_blob(self, change: BlobChange) -> None:
        attached, released = await self._writer.submit(
            lambda connection: blob_rows.write(connection, self._files, self._sealer, (change,))
        )
        self._files.settle(attached, released)

    async def seal(self, end: LogEnd) -> None:
        """Have the log end where it did; page links to instants before that find nothing here."""
        await self._writer.submit(lambda connection: _seal(connection, end))

    async def close(self) -> None:
        """Finish what is running and close."""
        await self._writer.close()
        self._text.close()
        self._connections.close()

    async def _read(self, run: Callable[[apsw.Connection], T]) -> T:
        return await asyncio.to_thread(self._connections.on_thread, run)


class SqliteInstallation:
    """A data folder that is left, or filled."""

    def __init__(self, settings: Settings, clock: Callable[[], int]) -> None:
        self._settings, self._clock = settings, clock
        self._held = ExitStack()
        self.label = f"sqlite://{settings.data_dir.absolute()}"

    async def tenants(self) -> list[str]:
        """Return the tenants that have a record."""
        return sorted(path.parent.name for path in self._settings.data_dir.glob("tenants/[a-z0-9]*/record.db"))

    async def kept(self, tenant: str) -> SqliteLeft:
        """Open a record for reading alone."""
        return SqliteLeft(self._folder(tenant), self._settings)

    async def door(self, tenant: str) -> SqliteDoor:
        """Open a record that is to be filled."""
        folder = self._folder(tenant)
        settings = self._settings.model_copy(update={"backup_archive": None})  # its first base has all of this
        await asyncio.to_thread(prepare, folder, settings, moving=True)
        return SqliteDoor(folder, settings, self._clock)

    async def remove(self, tenant: str) -> None:
        """Remove a record that was not filled to its end."""
        provider = SqliteProvider(self._settings.data_dir, self._settings)
        try:
            await asyncio.to_thread(provider.erase, tenant)
        finally:
            await provider.close()

    async def need_idle(self) -> None:
        """Keep servers away: they cannot own a folder whose lock somebody shares."""
        owner = owner_of(self._settings.data_dir)
        if owner is not None:
            raise Served(f"{self._settings.data_dir} is served by {owner.address} (process {owner.pid})")
        lock = self._settings.data_dir / "owner.lock"
        if lock.exists():
            descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
            self._held.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)

    async def claim(self) -> None:
        """Own the folder."""
        try:
            self._held.enter_context(own(self._settings.data_dir, "a move"))
        except AlreadyOwned as error:
            raise Served(str(error)) from None

    async def close(self) -> None:
        """Let go of the folder."""
        self._held.close()

    def _folder(self, tenant: str) -> Path:
        return self._settings.data_dir / "tenants" / tenant


def _mark(connection: apsw.Connection) -> str:
    rows = fetch(connection, "SELECT value FROM meta WHERE key='moving'")
    return str(rows[0][0]) if rows else ""


def _take(connection: apsw.Connection, interning: Interning, sealer: Sealer, arrivals: Sequence[Arrival]) -> None:
    last = fetch(connection, "SELECT coalesce(max(pid), 0) FROM version")[0][0]
    fresh = [each for each in arrivals if each.version.pid > last]
    if not fresh:
        return
    interning.begin()
    interning.find_rids({each.version.key for each in fresh})
    last_cid = fetch(connection, "SELECT coalesce(max(cid), ?1) FROM contained WHERE cid>?1", (_CIDS,))[0][0]
    ids = count(last_cid + 1)
    batch = _Batch(connection, interning, IndexRows(interning, ids.__next__))
    for each in fresh:
        batch.add(each)
    batch.write(sealer)
    connection.execute("UPDATE meta SET value=max(value, ?) WHERE key='pid'", (fresh[-1].version.pid,))


class _Batch:
    """Rows of one step, gathered and then written table by table."""

    def __init__(self, connection: apsw.Connection, interning: Interning, index: IndexRows) -> None:
        self._connection, self._intern, self._index = connection, interning, index
        self._tx: dict[int, tuple[int, int, int]] = {}
        self._versions: list[Any] = []
        self._bodies: list[tuple[Version, IndexEntries]] = []
        self._pids: dict[int, int] = {}
        self._totals: dict[int, list[int]] = {}

    def add(self, arrival: Arrival) -> None:
        """Take one version."""
        version = arrival.version
        rid = self._intern.rids.get(version.key) or self._intern.stub(version.key)
        type_ = self._intern.type(version.key.type)
        totals = self._totals.setdefault(type_, [0, 0])
        if arrival.supersedes:
            totals[0] -= self._end_before(rid, version.txid)
        self._pids[rid] = version.pid
        to_txid = arrival.ended[0] if arrival.ended else CURRENT
        self._versions += (
            version.pid, rid, type_, version.version, version.txid, to_txid, version.last_updated,
            NUMBERS[version.method], version.deleted,
        )  # fmt: skip
        self._tx.setdefault(version.txid, (version.txid, version.last_updated, version.pid))
        totals[1] += 1
        if version.deleted:
            return
        self._bodies.append((version, arrival.entries))
        if arrival.ended is None:
            totals[0] += 1
            self._index.add(version.key.type, rid, version.pid, arrival.entries)

    def write(self, sealer: Sealer) -> None:
        """Write what was taken."""
        self._index.write(self._connection)
        stubs = self._intern.stubs
        for rid, pid in self._pids.items():
            if rid in stubs:
                stubs[rid][3] = pid
        known = [(pid, rid) for rid, pid in self._pids.items() if rid not in stubs]
        self._insert("INSERT INTO resource", 4, [part for stub in stubs.values() for part in stub])
        stubs.clear()
        self._insert("INSERT OR IGNORE INTO tx", 3, [part for row in self._tx.values() for part in row])
        bodies = sealer.rows(self._connection, self._bodies)
        self._insert("INSERT INTO version", 9, self._versions)
        self._insert("INSERT INTO body", 3, bodies)
        self._connection.executemany("UPDATE resource SET pid=? WHERE rid=?", known)
        counts = [(total, versions, type_) for type_, (total, versions) in self._totals.items()]
        self._connection.executemany("UPDATE type SET total=total+?, versions=versions+? WHERE type=?", counts)

    def _end_before(self, rid: int, txid: int) -> int:
        """End the version that was current when it came in; return how many resources that takes away."""
        ended = fetch(self._connection, _END_BEFORE, (txid, rid))
        self._connection.executemany("INSERT INTO stale(to_txid,pid) VALUES(?,?)", [(txid, pid) for pid, _ in ended])
        return sum(not deleted for _, deleted in ended)

    def _insert(self, head: str, width: int, flat: list[Any]) -> None:
        bulk.insert(self._connection, head, width, flat)


def _take_records(connection: apsw.Connection, collection: str, put: Sequence[Record], gone: Sequence[str]) -> None:
    declared = collections.load(connection, collection)
    for key in (*gone, *(record.key for record in put)):
        connection.execute("DELETE FROM record_field WHERE collection=? AND key=?", (declared.id, key))
    connection.executemany("DELETE FROM record WHERE collection=? AND key=?", [(declared.id, key) for key in gone])
    connection.executemany(_PUT, [(declared.id, each.key, each.revision, _text(each)) for each in put])
    connection.executemany(_PUT_FIELD, _fields(declared, put))


def _fields(declared: collections.Declared, put: Sequence[Record]) -> Iterator[tuple[int, int, Any, str]]:
    for record in put:
        for number, value in declared.values(dict(record.value)):
            yield declared.id, number, value, record.key


def _text(record: Record) -> str:
    return json.dumps(record.value, ensure_ascii=False, separators=(",", ":"))


def _take_audit(connection: apsw.Connection, rows: Sequence[Audited]) -> None:
    agents: dict[str, int] = {}
    last = fetch(connection, "SELECT coalesce(max(seq), 0) FROM audit")[0][0]
    flat, keys = list[Any](), list[tuple[int, int]]()
    for entry, texts in rows:
        if entry.seq > last:
            agent = agents.get(entry.agent) or agents.setdefault(entry.agent, _agent(connection, entry.agent))
            flat += (entry.seq, entry.time, agent, entry.body)
            keys += [(-agent, entry.seq), *((key_of(text), entry.seq) for text in texts)]
    bulk.insert(connection, "INSERT INTO audit", 4, flat)
    bulk.insert_or_ignore(connection, "audit_key", 2, [part for key in sorted(keys) for part in key])


def _agent(connection: apsw.Connection, text: str) -> int:
    connection.execute("INSERT OR IGNORE INTO audit_agent(text) VALUES(?)", (text,))
    return int(fetch(connection, "SELECT agent FROM audit_agent WHERE text=?", (text,))[0][0])


def _seal(connection: apsw.Connection, end: LogEnd) -> None:
    if end.txid:
        connection.execute("INSERT OR IGNORE INTO tx VALUES(?,?,?)", (end.txid, end.time, end.pid + 1))
    connection.execute("UPDATE meta SET value=max(value, ?) WHERE key='pid'", (end.pid,))
    connection.execute("UPDATE meta SET value=max(value, ?) WHERE key='swept'", (end.txid,))

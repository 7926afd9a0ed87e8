"""A record as a move reads it: its log in order, its audit with the keys of each row, its blobs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw

from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.settings import Settings
from fhir_server.storage.audit import AuditEntry, AuditLog
from fhir_server.storage.base import BlobRef, Records, StorageFault
from fhir_server.storage.moving import HALF_MOVED, Audited, KeptBlob, KeysOf, LogEnd, Logged
from fhir_server.storage.sqlite.audit import AuditReader
from fhir_server.storage.sqlite.audit_rows import key_of
from fhir_server.storage.sqlite.blob_files import BlobFiles
from fhir_server.storage.sqlite.blobs import SqliteBlobs
from fhir_server.storage.sqlite.bodies import Bodies
from fhir_server.storage.sqlite.connection import connect, faults, fetch
from fhir_server.storage.sqlite.connections import in_snapshot
from fhir_server.storage.sqlite.reads import read_version
from fhir_server.storage.sqlite.records import SqliteRecords
from fhir_server.storage.sqlite.schema import CURRENT, FORMAT
from fhir_server.storage.sqlite.sealing import keys_of
from fhir_server.storage.sqlite.versions import COLUMNS, version_of

T = TypeVar("T")
Run = Callable[..., Awaitable[Any]]

_LARGE: Final = 16_000_000
"""Bytes of bodies after which a page of the log ends."""

_NAMED: Final = (
    "CROSS JOIN resource r ON r.rid=v.rid CROSS JOIN type t ON t.type=v.type LEFT JOIN body b ON b.pid=v.pid"
)
_LOG: Final = (
    f"SELECT t.name,r.id,v.to_txid,e.last_updated,{COLUMNS} FROM version v {_NAMED} "
    "LEFT JOIN tx e ON e.txid=v.to_txid WHERE v.pid>? ORDER BY v.pid LIMIT ?"
)
_CURRENT: Final = (
    f"SELECT r.id,{COLUMNS} FROM version v {_NAMED} WHERE t.name=? AND v.to_txid={CURRENT} AND NOT v.deleted "
    "ORDER BY v.pid"
)
_STANDING: Final = (
    "SELECT t.name, count(*) FROM version v CROSS JOIN type t ON t.type=v.type "
    f"WHERE v.to_txid={CURRENT} AND NOT v.deleted GROUP BY v.type"
)
_BLOBS: Final = "SELECT id,size,sha256,patient FROM blob WHERE id>? ORDER BY id LIMIT ?"
_HAS_KEY: Final = "SELECT 1 FROM audit_key WHERE key=? AND seq=?"


class SqliteKept:
    """What a move reads of a record; `run` executes a function on a read connection, on a thread."""

    def __init__(self, run: Run, files: BlobFiles) -> None:
        self._run = run
        self.records: Records = SqliteRecords(run)
        self.audit: AuditLog = AuditReader(run)
        self._blobs = SqliteBlobs(files, run)

    async def identity(self) -> str:
        """Return the random id of the record."""
        found: str = await self._run(lambda connection: _meta(connection, "store"))
        return found

    async def end(self) -> LogEnd:
        """Return where the record ends."""
        found: LogEnd = await self._run(_end)
        return found

    async def count(self) -> int:
        """Return how many versions there are."""
        found: int = await self._run(lambda connection: fetch(connection, "SELECT count(*) FROM version")[0][0])
        return found

    async def standing(self) -> dict[str, int]:
        """Return how many versions of each type are current and no deletion."""
        rows: list[tuple[str, int]] = await self._run(lambda connection: fetch(connection, _STANDING))
        return dict(rows)

    async def others(self) -> int:
        """Return how many records and large objects there are."""
        sql = "SELECT (SELECT count(*) FROM record) + (SELECT count(*) FROM blob)"
        found: int = await self._run(lambda connection: fetch(connection, sql)[0][0])
        return found

    async def log(self, after: int, limit: int) -> list[Logged]:
        """Return the next versions in the order of the log."""
        found: list[Logged] = await self._run(lambda connection: list(_log(connection, after, limit)))
        return found

    async def version(self, key: ResourceKey, number: int) -> Version | None:
        """Return one version."""
        found: Version | None = await self._run(lambda connection: read_version(connection, key, number))
        return found

    async def current(self, type_: str) -> list[Version]:
        """Return all current resources of a type."""
        found: list[Version] = await self._run(lambda connection: _current(connection, type_))
        return found

    async def audited(self, first: int, last: int, keys_of: KeysOf) -> list[Audited]:
        """Return audit rows with those of their possible keys that they do have."""
        entries = await self.audit.span(first, last)
        wanted = [(entry, tuple(keys_of(entry))) for entry in entries]
        found: list[Audited] = await self._run(lambda connection: [_known(connection, *each) for each in wanted])
        return found

    async def blobs(self, after: str, limit: int) -> list[KeptBlob]:
        """Return the next attached blobs."""
        rows: list[Any] = await self._run(lambda connection: fetch(connection, _BLOBS, (after, limit)))
        return [KeptBlob(BlobRef(*row[:3]), row[3]) for row in rows]

    async def blob(self, blob_id: str) -> AsyncIterator[bytes]:
        """Read an attached blob."""
        return await self._blobs.open(blob_id)

    async def close(self) -> None:
        """Nothing is held here."""


class SqliteLeft(SqliteKept):
    """A record that nobody else has open, or that somebody serves; one thread reads it, and nothing is written."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        if not (folder / "record.db").exists():
            raise KeyError(folder.name)
        bodies = Bodies(folder, settings)
        self._connection = connect(folder / "record.db", settings, writer=False, bodies=bodies)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-left")
        with ExitStack() as undone:
            undone.callback(self._connection.close)
            _need_format(self._connection, folder)
            files = BlobFiles(folder / "blobs", durable=False, keys=keys_of(folder, settings), bodies=bodies)
            undone.pop_all()
        super().__init__(self._on_thread, files)

    async def close(self) -> None:
        """Close the file."""
        await asyncio.to_thread(self._thread.shutdown)
        self._connection.close()

    async def _on_thread(self, run: Callable[[apsw.Connection], T]) -> T:
        def work() -> T:
            with faults():
                return in_snapshot(self._connection, run)

        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _need_format(connection: apsw.Connection, folder: Path) -> None:
    found = int(_meta(connection, "format"))
    if found != FORMAT:
        raise StorageFault(
            f"the record in {folder} has format {found}, this release moves format {FORMAT}: start its server on the "
            "folder once, which brings it up to date"
        )
    if _meta(connection, "moving"):
        raise StorageFault(f"{folder}: {HALF_MOVED}")


def _meta(connection: apsw.Connection, key: str) -> str:
    rows = fetch(connection, "SELECT value FROM meta WHERE key=?", (key,))
    return str(rows[0][0]) if rows else ""


def _end(connection: apsw.Connection) -> LogEnd:
    log = fetch(connection, "SELECT txid, last_updated FROM tx ORDER BY txid DESC LIMIT 1")
    txid, time = log[0] if log else (0, 0)
    first, last = fetch(connection, "SELECT min(seq), max(seq) FROM audit")[0]
    return LogEnd(txid, int(_meta(connection, "pid")), time, last or 0, first or 1)


def _log(connection: apsw.Connection, after: int, limit: int) -> Iterator[Logged]:
    size = 0
    for type_, id_, to_txid, ended, *row in connection.execute(_LOG, (after, limit)):
        version = version_of(connection, ResourceKey(type_, id_), row)
        yield Logged(version, None if to_txid == CURRENT else (to_txid, ended or version.last_updated))
        size += len(version.body.data)
        if size > _LARGE:
            break


def _current(connection: apsw.Connection, type_: str) -> list[Version]:
    rows = fetch(connection, _CURRENT, (type_,))
    return [version_of(connection, ResourceKey(type_, id_), row) for id_, *row in rows]


def _known(connection: apsw.Connection, entry: AuditEntry, keys: tuple[str, ...]) -> Audited:
    return entry, tuple(key for key in keys if fetch(connection, _HAS_KEY, (key_of(key), entry.seq)))

"""The Store of one tenant on SQLite."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import apsw

from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.search.entries import IndexEntries
from fhir_server.search.query import Search
from fhir_server.settings import Settings
from fhir_server.storage.base import (
    Audit,
    BlobChange,
    Capabilities,
    Change,
    Collection,
    CommitResult,
    HistoryPage,
    HistoryQuery,
    Page,
    RecordChange,
    SnapshotGone,
    StoreError,
)
from fhir_server.storage.base.counting import By, Counted
from fhir_server.storage.sqlite import collections, history, migrations, reads
from fhir_server.storage.sqlite.audit import SqliteAudit
from fhir_server.storage.sqlite.backup import Manifest, backup
from fhir_server.storage.sqlite.blob_files import BlobFiles
from fhir_server.storage.sqlite.blobs import SqliteBlobs
from fhir_server.storage.sqlite.bodies import Bodies
from fhir_server.storage.sqlite.check import check_blobs, check_record
from fhir_server.storage.sqlite.connection import faults, fetch
from fhir_server.storage.sqlite.connections import Connections, in_snapshot
from fhir_server.storage.sqlite.counting import counted
from fhir_server.storage.sqlite.create import prepare
from fhir_server.storage.sqlite.files import residue
from fhir_server.storage.sqlite.group import Around, Outcome, Work
from fhir_server.storage.sqlite.health import Health
from fhir_server.storage.sqlite.holds import is_held
from fhir_server.storage.sqlite.records import SqliteRecords
from fhir_server.storage.sqlite.runs import Beside, Runs, unseen
from fhir_server.storage.sqlite.schema import FORMAT
from fhir_server.storage.sqlite.sealer import Sealer
from fhir_server.storage.sqlite.sealing import keys_of
from fhir_server.storage.sqlite.search import count, explain, search_keys, search_page
from fhir_server.storage.sqlite.text import TextIndex
from fhir_server.storage.sqlite.writer import Writer
from fhir_server.telemetry.numbers import COMMIT_SECONDS, READ_SECONDS, READS

T = TypeVar("T")
Extract = Callable[[str, bytes], IndexEntries]


def _nobody() -> None:
    """Nobody wants to know."""


def milliseconds() -> int:
    """Return the time in milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


class SqliteStore:
    """A handle of one record. Several processes may hold one each on the same folder.

    Attributes:
        changed: called after each commit of versions.
    """

    capabilities = Capabilities("sqlite", orders=None, counts=True)

    def __init__(
        self, folder: Path, settings: Settings, clock: Callable[[], int], extract: Extract | None = None
    ) -> None:
        self.changed: Callable[[], None] = _nobody
        self._folder, self._settings, self._clock, self._extract = folder, settings, clock, extract
        bodies = Bodies(folder, settings)
        self._sealer = Sealer(bodies)
        self._connections = Connections(folder, settings, bodies)
        self._pool = ThreadPoolExecutor(settings.readers, thread_name_prefix="sqlite-reader")
        files = self._files = BlobFiles(
            folder / "blobs", durable=settings.durable, keys=keys_of(folder, settings), bodies=bodies
        )
        self._text = TextIndex(folder / "text.db", settings)
        self._writer = Writer(
            folder, settings, clock, Around(partial(search_keys, text=self._text), files, self._sealer)
        )
        self.records = SqliteRecords(self._read_inline, self._read_once)
        self.blobs = SqliteBlobs(files, self._read_inline)
        self.audit = SqliteAudit(self._writer, self._read)
        self._runs = Runs(self._writer, self._read, clock, Beside(files, self._text, bodies))

    async def read(self, key: ResourceKey) -> Version | None:
        """Return the current version, which may be a deletion."""
        READS.add("read")
        with faults(self._folder.name):
            return reads.read(self._connections.inline, key)

    async def read_many(self, keys: Sequence[ResourceKey]) -> dict[ResourceKey, Version]:
        """Return the current versions of those that exist."""
        return await self._read_inline(lambda connection: reads.read_many(connection, keys))

    async def read_version(self, key: ResourceKey, version: int) -> Version | None:
        """Return one version."""
        with faults(self._folder.name):
            return reads.read_version(self._connections.inline, key, version)

    async def commit(
        self,
        changes: Sequence[Change],
        records: Sequence[RecordChange] = (),
        blobs: Sequence[BlobChange] = (),
        *,
        audit: Audit | None = None,
    ) -> CommitResult:
        """Write all or nothing; durable when it returns, with the audit rows."""
        if len({change.key for change in changes}) != len(changes):
            raise ValueError("several changes to one resource in one commit")
        if len({(change.collection, change.key) for change in records}) != len(records):
            raise ValueError("several changes to one record in one commit")
        with COMMIT_SECONDS.timed():
            outcome: Outcome = await self._writer.submit(Work(changes, records, blobs, audit))
        if isinstance(outcome.result, StoreError):
            raise outcome.result
        if any(each.changed for each in outcome.result.written):
            self.changed()
        return outcome.result

    async def search(self, search: Search) -> Page:
        """Return one page. Raises SnapshotGone for a page link older than its life."""
        with READ_SECONDS.timed("search"):
            return await self._read(lambda connection: self._page(connection, search))

    def _page(self, connection: apsw.Connection, search: Search) -> Page:
        if search.after is not None:
            oldest = self._clock() - self._settings.link_life * 1000
            txid = search.after.txid
            if reads.superseded_before(connection, txid, oldest) and not is_held(connection, txid, self._clock()):
                raise SnapshotGone(f"the snapshot {search.after.txid} is older than the life of a page link")
        return search_page(connection, search, self._settings, self._text)

    async def count(self, search: Search) -> int:
        """Return the exact number of matches."""
        with READ_SECONDS.timed("count"):
            return await self._read(lambda connection: count(connection, search, self._text))

    async def counted(self, search: Search, by: Sequence[By], most: int) -> Counted | None:
        """Return the counts of what a search finds, by group."""
        around = self._settings, self._text
        with READ_SECONDS.timed("count"):
            return await self._read(lambda connection: counted(connection, search, by, most, around))

    async def explain(self, search: Search) -> dict[str, object]:
        """Return the plan and what each step matched, for people."""
        return await self._read(lambda connection: explain(connection, search, self._settings, self._text))

    async def history(self, query: HistoryQuery) -> HistoryPage:
        """Return versions, newest first."""
        with READ_SECONDS.timed("history"):
            return await self._read(lambda connection: history.page(connection, query, self._extract))

    async def changes(self, after: int, limit: int = 1000) -> list[Version]:
        """Return the versions with txid > after in the order of the log, whole commits only."""
        return await self._read(lambda connection: history.changes(connection, after, limit))

    async def revived(self, versions: Sequence[Version]) -> frozenset[int]:
        """Return the pids of those of these versions that came after a deletion of their resource."""
        return await self._read(lambda connection: history.revived(connection, versions))

    async def count_changes(self, after: int) -> int:
        """Return how many versions there are with txid > after."""
        return await self._read(lambda connection: history.count_changes(connection, after))

    async def last_txid(self) -> int:
        """Return the txid of the newest visible commit (0 for an empty store)."""
        with faults(self._folder.name):
            return reads.last_txid(self._connections.inline)

    async def purge(self, key: ResourceKey, *, history_only: bool) -> int:
        """Erase a resource's superseded versions, or all of it, beyond recovery; return how many versions went."""
        return await self._runs.purge(key, history_only=history_only)

    async def purge_history(self, keys: Sequence[ResourceKey]) -> int:
        """Erase the superseded versions of many resources beyond recovery; return how many versions went."""
        return await self._runs.purge_history(keys)

    async def shred(self, patient: str) -> bool:
        """Destroy the key under which a patient's resources are sealed; tell whether there was one."""
        return await self._runs.shred(patient, self._settings.patient_keys_copy)

    async def residue(self, probes: Sequence[bytes]) -> tuple[int, ...]:
        """Return how often each text stands in the files of the record, in use or not."""
        return await asyncio.to_thread(residue, self._folder, probes)

    async def compact(self) -> None:
        """Write the record and its text index anew, so that no room that is free holds what was erased."""
        await self._writer.checkpoint(anew=True)
        await asyncio.to_thread(self._text.compact)

    async def reindex(
        self,
        types: Sequence[str],
        extract: Callable[[str, bytes], IndexEntries],
        progress: Callable[[int, int], None],
    ) -> int:
        """Make the index rows of the current versions of these types (all if empty) anew; `progress(done, of)`."""
        return await self._runs.reindex(types, extract, progress)

    async def sweep(self) -> int:
        """Remove what only page links older than their life could ask for; for the owner, now and then."""
        return await self._runs.sweep(self._settings)

    async def backup(
        self, target: Path, progress: Callable[[int, int], None], patient_keys: Path | None = None
    ) -> Manifest:
        """Copy the record to a new or empty folder while it serves; `progress(done, of)` is called on a thread.

        Keys of patients go to another folder (`patient_keys`, else what the settings say).
        """
        place = patient_keys or self._settings.patient_keys_copy
        return await asyncio.to_thread(backup, self._folder, target, self._settings, progress, place)

    async def envelop(self) -> int:
        """Seal the bodies of a record that is older than its envelopes, while it serves; return how many were."""
        if self._extract is None or not self._sealer.bodies.sealing:
            return 0
        return await self._runs.envelop(self._sealer, self._extract)

    async def revive(self, extract: Extract, progress: Callable[[int, int], None] = unseen) -> int:
        """Make the index of a record that comes from a backup without one; return of how many resources."""
        return await self._runs.revive(extract, progress)

    async def upgrade(self, *, finish: bool) -> tuple[int, int]:
        """Return the format of the record and that of this release; `finish`: bring it up, in short turns."""
        if finish and await self._read(migrations.format_of) < FORMAT:
            await asyncio.to_thread(
                migrations.save, self._folder, await self._read(migrations.format_of), self._settings
            )
            while await self._read(migrations.format_of) < FORMAT:
                await self._writer.submit(migrations.advance)
        return await self._read(migrations.format_of), FORMAT

    async def check(self, *, thorough: bool = True) -> list[str]:
        """Return what is wrong with the record, in words; nothing for a sound one."""
        problems = await self._read(lambda connection: check_record(connection, thorough=thorough))
        return problems + await self._read(lambda connection: check_blobs(connection, self._files))

    async def declare(self, collection: Collection) -> None:
        """Make a record collection known (idempotent); creates its indexes."""
        await self._writer.submit(lambda connection: collections.declare(connection, collection))

    async def statistics(self) -> Mapping[str, int]:
        """Return the number of current resources by type; free."""
        with faults(self._folder.name):
            return dict(fetch(self._connections.inline, "SELECT name, total FROM type WHERE total > 0 ORDER BY name"))

    def weight(self) -> Mapping[str, int]:
        """Return the bytes of the files of the record, by part, and the commits that wait (`waiting`)."""
        parts = {"record": "record.db", "log": "record.db-wal", "text": "text.db"}
        sizes = {part: _size(self._folder / name) for part, name in parts.items()}
        return {**sizes, "waiting": self._writer.waiting}

    def health(self) -> Health:
        """Return what an operator must know of this record."""
        return self._writer.health()

    async def close(self) -> None:
        """Finish what is running and close."""
        await self._writer.close()
        await asyncio.to_thread(self._pool.shutdown)
        self._text.close()
        self._connections.close()

    async def _read_once(self, run: Callable[[apsw.Connection], T]) -> T:
        """Run a read of one statement on the event loop."""
        with faults(self._folder.name):
            return run(self._connections.inline)

    async def _read_inline(self, run: Callable[[apsw.Connection], T]) -> T:
        """Run a short read on the event loop, in one snapshot."""
        with faults(self._folder.name):
            return in_snapshot(self._connections.inline, run)

    async def _read(self, run: Callable[[apsw.Connection], T]) -> T:
        """Run a longer read on a thread, in one snapshot."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._connections.on_thread, run)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


async def open_store(
    path: Path, settings: Settings, clock: Callable[[], int] | None = None, extract: Extract | None = None
) -> SqliteStore:
    """Open the record in a folder, which is made where it does not exist yet."""
    await asyncio.to_thread(prepare, path, settings)
    store = SqliteStore(path, settings, clock or milliseconds, extract)
    if extract is not None:
        try:
            await store.revive(extract)
        except BaseException:
            await store.close()
            raise
    return store

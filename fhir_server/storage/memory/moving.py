"""The door by which a move fills the reference engine, and what a move reads of it."""

from collections.abc import AsyncIterator, Sequence

from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.storage.audit import AuditEntry
from fhir_server.storage.base import BlobChange, BlobRef, Collection, Record
from fhir_server.storage.memory.log import Log, Row
from fhir_server.storage.memory.store import MemoryStore
from fhir_server.storage.moving import Arrival, Audited, Ended, KeptBlob, KeysOf, LogEnd, Logged


class MemoryDoor:
    """One store in memory, read and filled."""

    indexes_all = True

    def __init__(self, store: MemoryStore, log: Log) -> None:
        self._store, self._log, self._mark = store, log, ""
        self.records, self.audit = store.records, store.audit

    async def identity(self) -> str:
        """Return what tells this store from others in the same process."""
        return f"memory-{id(self._store)}"

    async def end(self) -> LogEnd:
        """Return where the store ends."""
        log, audit = self._log, self.audit
        return LogEnd(log.last_txid, log.next_pid - 1, log.last_updated, await audit.size(), await audit.first())

    async def count(self) -> int:
        """Return how many versions there are."""
        return len(self._log.rows)

    async def standing(self) -> dict[str, int]:
        """Return how many versions of each type are current and no deletion."""
        return dict(await self._store.statistics())

    async def others(self) -> int:
        """Return how many records and large objects there are."""
        return sum(map(len, self.records.tables.values())) + len(self._store.blobs.attached)

    async def log(self, after: int, limit: int) -> list[Logged]:
        """Return the next versions."""
        newer = [row for row in self._log.rows if row.version.pid > after][:limit]
        return [Logged(row.version, self._ended(row)) for row in newer]

    def _ended(self, row: Row) -> Ended | None:
        rows = self._log.by_key[row.key]
        following = rows[rows.index(row) + 1 :][:1]
        return (following[0].version.txid, following[0].version.last_updated) if following else None

    async def version(self, key: ResourceKey, number: int) -> Version | None:
        """Return one version."""
        return await self._store.read_version(key, number)

    async def current(self, type_: str) -> list[Version]:
        """Return all current resources of a type."""
        rows = self._log.at(self._log.last_txid).rows(type_)
        return sorted((row.version for row in rows), key=lambda version: version.pid)

    async def audited(self, first: int, last: int, keys_of: KeysOf) -> list[Audited]:
        """Return audit rows with their keys."""
        entries: list[AuditEntry] = await self.audit.span(first, last)
        return [(each, tuple(sorted(self.audit.keys[each.seq - 1 - self.audit.gone]))) for each in entries]

    async def blobs(self, after: str, limit: int) -> list[KeptBlob]:
        """Return the next attached blobs."""
        ids = sorted(id_ for id_ in self._store.blobs.attached if id_ > after)[:limit]
        found = [(id_, await self._store.blobs.stat(id_)) for id_ in ids]
        return [KeptBlob(ref, self._store.blobs.patients.get(id_)) for id_, ref in found if ref is not None]

    async def blob(self, blob_id: str) -> AsyncIterator[bytes]:
        """Read an attached blob."""
        return await self._store.blobs.open(blob_id)

    async def close(self) -> None:
        """There is nothing to close."""

    async def mark(self) -> str:
        """Return what was noted."""
        return self._mark

    async def put_mark(self, mark: str) -> None:
        """Note something."""
        self._mark = mark

    async def empty(self) -> bool:
        """Tell whether nothing was ever written."""
        return not (self._log.times or self.audit.entries or self._store.blobs.attached)

    async def take_versions(self, arrivals: Sequence[Arrival]) -> None:
        """Write versions."""
        for each in arrivals:
            if each.version.pid >= self._log.next_pid:
                self._log.append(Row(each.version, each.entries, each.erased))
                self._log.next_pid = each.version.pid + 1
                self._log.times[each.version.txid] = each.version.last_updated

    async def declare(self, collection: Collection) -> None:
        """Make a record collection known."""
        self.records.declare(collection)

    async def take_records(self, collection: str, put: Sequence[Record], gone: Sequence[str]) -> None:
        """Write records with their revisions, and remove others."""
        table = self.records.tables[collection]
        for key in gone:
            table.pop(key, None)
        table.update({each.key: each for each in put})

    async def take_audit(self, rows: Sequence[Audited], first: int) -> None:
        """Append audit rows as they are."""
        self.audit.gone = max(self.audit.gone, first - 1)
        last = await self.audit.size()
        for entry, keys in rows:
            if entry.seq > last:
                self.audit.entries.append(entry)
                self.audit.keys.append(frozenset(keys))

    async def take_blob(self, blob: KeptBlob, chunks: AsyncIterator[bytes]) -> BlobRef:
        """Write an attached blob under its id."""
        staged = await self._store.blobs.stage(chunks)
        data = self._store.blobs.staged.pop(staged.id)
        self._store.blobs.staged[blob.ref.id] = data
        self._store.blobs.apply([BlobChange(blob.ref.id, True, blob.patient)])
        return BlobRef(blob.ref.id, staged.size, staged.sha256)

    async def drop_blob(self, blob_id: str) -> None:
        """Remove a blob."""
        self._store.blobs.apply([BlobChange(blob_id, False)])

    async def seal(self, end: LogEnd) -> None:
        """Have the log end where it did."""
        if end.txid:
            self._log.times[end.txid] = end.time
        self._log.next_pid = max(self._log.next_pid, end.pid + 1)


def door_of(store: MemoryStore) -> MemoryDoor:
    """Return the door of a store in memory."""
    return MemoryDoor(store, store._log)

"""MemoryStore: the Store contract on plain Python values."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.search.entries import IndexEntries
from fhir_server.search.match import matches
from fhir_server.search.query import And, Contained, Search, Total
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
)
from fhir_server.storage.base.counting import By, Counted, TooManyGroups, labels_of
from fhir_server.storage.memory.audit import MemoryAudit
from fhir_server.storage.memory.blobs import MemoryBlobs
from fhir_server.storage.memory.commit import plan_changes
from fhir_server.storage.memory.history import history
from fhir_server.storage.memory.includes import gather
from fhir_server.storage.memory.log import Log
from fhir_server.storage.memory.records import MemoryRecords
from fhir_server.storage.memory.search import Match, after, cursor, find


class MemoryStore:
    """One tenant in memory. `clock` gives milliseconds since 1970 UTC.

    No method awaits anything between reading and writing, so each is atomic.
    """

    def __init__(self, settings: Settings, clock: Callable[[], int], changed: Callable[[], None] | None = None) -> None:
        self.capabilities = Capabilities("memory", durable=False, counts=True)
        self.records = MemoryRecords()
        self.blobs = MemoryBlobs(clock)
        self.audit = MemoryAudit()
        self._settings, self._clock, self._changed = settings, clock, changed
        self._log = Log()

    async def read(self, key: ResourceKey) -> Version | None:
        """Return the current version, which may be a deletion."""
        row = self._log.current(key)
        return row.version if row else None

    async def read_many(self, keys: Sequence[ResourceKey]) -> dict[ResourceKey, Version]:
        """Return the current versions of those that exist."""
        return {key: row.version for key in keys if (row := self._log.current(key)) is not None}

    async def read_version(self, key: ResourceKey, version: int) -> Version | None:
        """Return one version."""
        rows = self._log.by_key.get(key, ())
        return next((row.version for row in rows if row.version.version == version), None)

    async def commit(
        self,
        changes: Sequence[Change],
        records: Sequence[RecordChange] = (),
        blobs: Sequence[BlobChange] = (),
        *,
        audit: Audit | None = None,
    ) -> CommitResult:
        """Write all or nothing."""
        txid = self._log.last_txid + 1
        last_updated = max(self._clock(), self._log.last_updated + 1)
        plan = plan_changes(self._log, changes, txid, last_updated)
        tables = self.records.plan(records)
        self.blobs.check(blobs)
        audited = audit(plan.written) if audit else ()
        # Nothing can fail from here on.
        self.records.tables = tables
        self.blobs.apply(blobs)
        self.audit.add(audited)
        if not (plan.rows or records or blobs):
            return CommitResult(0, 0, plan.written)
        self._log.times[txid] = last_updated
        self._log.next_pid += len(plan.rows)
        for row in plan.rows:
            self._log.append(row)
        if plan.rows and self._changed is not None:
            self._changed()
        return CommitResult(txid, last_updated, plan.written)

    async def search(self, search: Search) -> Page:
        """Return one page."""
        txid = search.after.txid if search.after else self._log.last_txid
        self._check_life(txid)
        snapshot = self._log.at(txid)
        found = find(snapshot, search)
        left = after(found, search)
        page = left[: search.count]
        included, notes = gather(snapshot, search, [match.row for match in page], self._settings)
        return Page(
            versions=tuple(match.row.version for match in page),
            included=tuple(row.version for row in included),
            next=cursor(txid, page[-1], search) if page and len(left) > len(page) else None,
            txid=txid,
            total=self._total(search, found, page),
            containers=_containers(search, page),
            notes=notes,
        )

    def _total(self, search: Search, found: Sequence[Match], page: Sequence[Match]) -> int | None:
        """A total that was not asked for is told where it is free: the only page, or everything of a type."""
        free = len(found) == len(page) or (list(search.branches.values()) == [And()] and not search.after)
        return len(found) if search.total != Total.NONE or free else None

    def _check_life(self, txid: int) -> None:
        """A snapshot is gone once what superseded it is older than the life of a page link."""
        later = [time for each, time in self._log.times.items() if each > txid]
        if later and min(later) < self._clock() - self._settings.link_life * 1000:
            raise SnapshotGone(f"the snapshot {txid} has been swept")

    async def count(self, search: Search) -> int:
        """Return the exact number of matches."""
        return len(find(self._log.at(self._log.last_txid), search))

    async def counted(self, search: Search, by: Sequence[By], most: int) -> Counted | None:
        """Return the counts of what a search finds, by group."""
        found = Counted()
        for match in find(self._log.at(self._log.last_txid), replace(search, sort=())):
            found.add([labels_of(each, match.row.version, match.entries) for each in by])
        if len(found.groups) > most:
            raise TooManyGroups(f"there are more than {most} groups")
        return found

    async def explain(self, search: Search) -> dict[str, object]:
        """Return what each part of the tree matches by itself."""
        snapshot = self._log.at(self._log.last_txid)
        steps = []
        for type_, node in search.branches.items():
            rows = snapshot.rows(type_)
            for part in node.nodes if isinstance(node, And) else (node,):
                held = sum(matches(part, row.version, row.entries, snapshot) for row in rows)
                steps.append({"type": type_, "node": repr(part), "matched": held, "of": len(rows)})
        return {"engine": "memory", "plan": "scan of every current resource", "steps": steps}

    async def history(self, query: HistoryQuery) -> HistoryPage:
        """Return versions, newest first."""
        return history(self._log, query)

    async def changes(self, after: int, limit: int = 1000) -> list[Version]:
        """Return whole commits after `after`, as many as `limit` versions hold, but at least one."""
        found: list[Version] = []
        newer = (row.version for row in self._log.rows if row.version.txid > after)
        for _, versions in groupby(newer, key=lambda version: version.txid):
            commit = list(versions)
            if found and len(found) + len(commit) > limit:
                break
            found += commit
        return found

    async def revived(self, versions: Sequence[Version]) -> frozenset[int]:
        """Return the pids of those that came after a deletion."""
        before = [(each.pid, await self.read_version(each.key, each.version - 1)) for each in versions]
        return frozenset(pid for pid, found in before if found is not None and found.deleted)

    async def count_changes(self, after: int) -> int:
        """Return how many versions there are with txid > after."""
        return sum(row.version.txid > after for row in self._log.rows)

    async def head(self) -> int:
        """Return the txid of the newest version."""
        return max((row.version.txid for row in self._log.rows), default=0)

    @property
    def written(self) -> int:
        """When it was last written to, in milliseconds."""
        return self._log.last_updated

    async def last_txid(self) -> int:
        """Return the txid of the newest commit."""
        return self._log.last_txid

    async def purge(self, key: ResourceKey, *, history_only: bool) -> int:
        """Erase a resource's superseded versions, or all of it."""
        rows = list(self._log.by_key.get(key, ()))
        gone = rows[:-1] if history_only else rows
        self._log.remove(gone)
        for row in rows[len(gone) :]:
            row.erased = row.erased or (row.version.deleted and bool(gone))
        return len(gone)

    async def purge_history(self, keys: Sequence[ResourceKey]) -> int:
        """Erase the superseded versions of many resources."""
        return sum([await self.purge(key, history_only=True) for key in keys])

    async def residue(self, probes: Sequence[bytes]) -> tuple[int, ...]:
        """There are no files."""
        return (0,) * len(probes)

    async def shred(self, patient: str) -> bool:
        """There are no keys."""
        return False

    async def compact(self) -> None:
        """There is nothing that was not overwritten."""

    async def reindex(
        self,
        types: Sequence[str],
        extract: Callable[[str, bytes], IndexEntries],
        progress: Callable[[int, int], None],
    ) -> int:
        """Make the index rows of the current versions of these types anew."""
        rows = [row for row in self._log.at(self._log.last_txid).rows() if not types or row.key.type in types]
        for done, row in enumerate(rows, 1):
            row.entries = extract(row.key.type, row.version.body.data)
            progress(done, len(rows))
        return len(rows)

    async def declare(self, collection: Collection) -> None:
        """Make a record collection known."""
        self.records.declare(collection)

    async def statistics(self) -> Mapping[str, int]:
        """Return the number of current resources by type."""
        return Counter(row.key.type for row in self._log.at(self._log.last_txid).rows())

    async def close(self) -> None:
        """There is nothing to close."""


def _containers(search: Search, page: Sequence[Match]) -> tuple[tuple[str, str] | None, ...]:
    return () if search.contained == Contained.FALSE else tuple(match.container for match in page)

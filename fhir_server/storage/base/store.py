"""Store: the handle of one tenant, and what its engine is able to do."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.search.entries import IndexEntries
from fhir_server.search.query import Search
from fhir_server.storage.audit import AuditLog
from fhir_server.storage.base.blobs import BlobChange, Blobs
from fhir_server.storage.base.changes import Audit, Change, CommitResult
from fhir_server.storage.base.pages import HistoryPage, HistoryQuery, Page
from fhir_server.storage.base.records import Collection, RecordChange, Records


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do; feeds CapabilityStatement. Every engine does all else that the contract says.

    transactions: the database itself isolates a commit from all others; else it is journalled, and whole all the same.
    full_text: `_text` and `_content` have an index; else every resource that else would match is looked at.

    search_index: what searches are helped by beside the engine itself, if anything. orders: those of `_sort` that the
    engine need not sort by hand; None: it wants no help with any. counts: it counts by groups itself (`base/counting`).
    """

    engine: str
    transactions: bool = True
    full_text: bool = True
    near: bool = True
    durable: bool = True
    search_index: str = ""
    orders: frozenset[str] | None = frozenset()
    counts: bool = False


class Store(Protocol):
    """A handle of one tenant. It cannot name another tenant.

    `commit` is the only write: it evaluates the preconditions it is given inside the transaction and is all or nothing.
    Once txid N is visible, nothing below N ever appears. All versions of one commit have one `last_updated`, at least
    1 ms later than that of the commit group before.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What the engine can do."""

    @property
    def records(self) -> Records:
        """Reading of records."""

    @property
    def blobs(self) -> Blobs:
        """Large objects."""

    @property
    def audit(self) -> AuditLog:
        """The audit log."""

    async def read(self, key: ResourceKey) -> Version | None:
        """Return the current version, which may be a deletion."""

    async def read_many(self, keys: Sequence[ResourceKey]) -> dict[ResourceKey, Version]:
        """Return the current versions of those that exist."""

    async def read_version(self, key: ResourceKey, version: int) -> Version | None:
        """Return one version."""

    async def commit(
        self,
        changes: Sequence[Change],
        records: Sequence[RecordChange] = (),
        blobs: Sequence[BlobChange] = (),
        *,
        audit: Audit | None = None,
    ) -> CommitResult:
        """Write all or nothing; `written` answers each change in order. Durable when it returns, its audit too.

        Raises:
            StoreError: VersionChanged, ConditionChanged, StillReferenced, MissingTargets, RecordChanged,
                WriteBusy, StorageFull or StorageFault; nothing is stored. StoreUnavailable says whether it is.
            ValueError: several changes to one resource or record.
        """

    async def search(self, search: Search) -> Page:
        """Return one page. Raises SnapshotGone for a page link older than its life."""

    async def count(self, search: Search) -> int:
        """Return the exact number of matches."""

    async def explain(self, search: Search) -> dict[str, object]:
        """Return the engine's plan and what each step matched, for people."""

    async def history(self, query: HistoryQuery) -> HistoryPage:
        """Return versions, newest first."""

    async def changes(self, after: int, limit: int = 1000) -> list[Version]:
        """Return the versions with txid > after in the order of the log, whole commits only."""

    async def last_txid(self) -> int:
        """Return the txid of the newest visible commit (0 for an empty store)."""

    async def purge(self, key: ResourceKey, *, history_only: bool) -> int:
        """Erase a resource's superseded versions, or all of it, beyond recovery; return how many versions went."""

    async def purge_history(self, keys: Sequence[ResourceKey]) -> int:
        """Do `purge` of the superseded versions of many resources at once; values that named nobody else go too."""

    async def shred(self, patient: str) -> bool:
        """Destroy the key under which a patient's resources are sealed, beyond recovery from older backups too; tell
        whether there was one. What is sealed by it and still there is kept."""

    async def residue(self, probes: Sequence[bytes]) -> tuple[int, ...]:
        """Return how often each text stands in the files of the record, in use or not."""

    async def compact(self) -> None:
        """Write the record anew, so that nothing is left of what was erased before it could be overwritten."""

    async def reindex(
        self,
        types: Sequence[str],
        extract: Callable[[str, bytes], IndexEntries],
        progress: Callable[[int, int], None],
    ) -> int:
        """Make the index rows of the current versions of these types (all if empty) anew; `progress(done, of)`."""

    async def declare(self, collection: Collection) -> None:
        """Make a record collection known (idempotent); creates its indexes."""

    async def statistics(self) -> Mapping[str, int]:
        """Return the number of current resources by type; free."""

    async def revived(self, versions: Sequence[Version]) -> frozenset[int]:
        """Return the pids of those of these versions that came after a deletion of their resource."""

    async def count_changes(self, after: int) -> int:
        """Return how many versions there are with txid > after."""

    async def close(self) -> None:
        """Finish what is running and close."""

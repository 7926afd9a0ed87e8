"""The Store contract: a handle of one tenant, with one way to write.

Every engine (memory, SQLite, MongoDB) implements `Store`; nothing above `storage/` names an engine. What an engine
lacks is said in its `Capabilities`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Body, Version
from fhir_server.search.entries import IndexEntries
from fhir_server.search.query import Cursor, Search, Visibility
from fhir_server.storage.audit import AuditLog, AuditRow

Method = Literal["POST", "PUT", "PATCH", "DELETE"]


@dataclass(frozen=True, slots=True)
class Condition:
    """A fact that `plan` relied on: the search finds exactly these resources (in any order).

    The engine evaluates it inside the write transaction; if it no longer holds, the commit raises
    `ConditionChanged` and the caller plans again.
    """

    search: Search
    found: frozenset[ResourceKey]


@dataclass(frozen=True, slots=True)
class Change:
    """One resource to write, as a new version.

    expected: the current version number that the client named by If-Match (0: the resource must never have existed
        or be deleted, None: any). If it does not hold the commit raises `VersionChanged`.
    requires: resources that must exist when the commit is done (referential integrity), else `MissingTargets`.
    keep_referenced: for DELETE: raise `StillReferenced` if a current resource that is not itself deleted in
        this commit refers to it.
    heeding: whose references count for that: what the caller cannot know of must not stand in their way.
    force: write a new version even if the content is the same as the current one.
    unlabels: security labels that the new version lacks are meant to go, by somebody who may; else they stay.
    Deleting what does not exist, or is deleted already, is no change.
    """

    key: ResourceKey
    method: Method
    body: Body = field(default_factory=lambda: Body(b"", 0))
    entries: IndexEntries = field(default_factory=IndexEntries)
    expected: int | None = None
    conditions: tuple[Condition, ...] = ()
    requires: tuple[ResourceKey, ...] = ()
    keep_referenced: bool = False
    heeding: Visibility = field(default_factory=Visibility)
    force: bool = False
    unlabels: bool = False


@dataclass(frozen=True, slots=True)
class RecordField:
    """A field of a collection that can be searched and, where no record has several values, sorted by.

    A list in a record is several values of the field.
    """

    name: str
    kind: Literal["text", "integer", "real"] = "text"
    unique: bool = False


@dataclass(frozen=True, slots=True)
class Collection:
    """A namespaced collection of records (`auth.tokens`, `jobs`, `feed.cursors`).

    `patient` names the field that links a record to a Patient id, for export and erase.
    """

    name: str
    fields: tuple[RecordField, ...] = ()
    patient: str | None = None
    version: int = 1


HOLDS = Collection("holds", (RecordField("txid", "integer"), RecordField("until", "integer")))
"""Instants that are read for longer than a page link lives (an export): the index of each stays until a time."""


@dataclass(frozen=True, slots=True)
class RecordChange:
    """Put (value) or delete (None) one record; `expected` is the record's current revision (0: must not exist), else
    the commit raises `RecordChanged`."""

    collection: str
    key: str
    value: Mapping[str, object] | None
    expected: int | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A record as read: its JSON value and revision (1 on the first write)."""

    key: str
    value: Mapping[str, object]
    revision: int


@dataclass(frozen=True, slots=True)
class Where:
    """One condition on a record's declared field, or on `key`. Of a field with several values one has to fulfil it."""

    field: str
    op: Literal["=", "<", "<=", ">", ">=", "in", "prefix"]
    value: object


@dataclass(frozen=True, slots=True)
class BlobRef:
    """A large object: random id, length in bytes, SHA-256 in hex."""

    id: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class BlobChange:
    """Attach a staged blob with the commit, or release one (its bytes go after the commit). An attached one that is
    attached again with a patient becomes that patient's."""

    id: str
    attach: bool
    patient: str | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What one Change came to: `changed` is False where the content was the same, and for a delete of nothing
    (then `version` is the current version, or None)."""

    version: Version | None
    changed: bool
    created: bool


Audit = Callable[[Sequence[Written]], Sequence[AuditRow]]
"""Makes the audit rows of a write from what it came to; called within its transaction, on any thread."""


@dataclass(frozen=True, slots=True)
class CommitResult:
    """txid 0 when nothing had to be written."""

    txid: int
    last_updated: int
    written: tuple[Written, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of a search in order, what the includes brought, and where to go on.

    `next` is None on the last page. `total` is None where it was not asked for and costs something.
    `containers`: for `_contained`, the (type, local id) of the contained match behind each version, else empty.
    `notes` are sentences that the client must see (an include that was cut, an index that lags).
    """

    versions: tuple[Version, ...] = ()
    included: tuple[Version, ...] = ()
    next: Cursor | None = None
    txid: int = 0
    total: int | None = None
    estimated: bool = False
    containers: tuple[tuple[str, str] | None, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """Which versions: of one resource (key), of a type, or of all; newest first.

    since: last_updated >= since; at: versions that were current at some time in [low, high). All in milliseconds.
    before: page link: only versions with (txid, pid) below this, of the log as of `until` (txid of page one).
    """

    key: ResourceKey | None = None
    type: str | None = None
    since: int | None = None
    at: tuple[int, int] | None = None
    count: int = 50
    before: tuple[int, int] | None = None
    until: int | None = None
    visible: Visibility = field(default_factory=Visibility)


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """`total` is of the whole history asked for; `next` the (txid, pid) for `before`."""

    versions: tuple[Version, ...] = ()
    next: tuple[int, int] | None = None
    txid: int = 0
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do; feeds CapabilityStatement. Every engine does all else that the contract says.

    transactions: the database itself isolates a commit from all others; else it is journalled, and whole all the same.
    full_text: `_text` and `_content` have an index; else every resource that else would match is looked at.

    search_index: what searches are helped by beside the engine itself, if anything. orders: those of `_sort` that the
    engine need not sort by hand; None: it wants no help with any.
    """

    engine: str
    transactions: bool = True
    full_text: bool = True
    near: bool = True
    durable: bool = True
    search_index: str = ""
    orders: frozenset[str] | None = frozenset()


class StoreError(Exception):
    """Base of what a commit may refuse; translated to FhirErrors by the interactions."""


class VersionChanged(StoreError):
    """If-Match does not hold; `current` is the current version number, 0 for none."""

    def __init__(self, key: ResourceKey, current: int) -> None:
        super().__init__(f"{key} is at version {current}")
        self.key, self.current = key, current


class ConditionChanged(StoreError):
    """A Condition no longer holds: plan again."""


class StillReferenced(StoreError):
    """A DELETE of a resource that others refer to; `referrers` holds at most twenty."""

    def __init__(self, key: ResourceKey, referrers: Sequence[ResourceKey]) -> None:
        super().__init__(f"{key} is still referenced")
        self.key, self.referrers = key, tuple(referrers)


class MissingTargets(StoreError):
    """References to resources that do not exist."""

    def __init__(self, key: ResourceKey, targets: Sequence[ResourceKey]) -> None:
        super().__init__(f"{key} refers to what does not exist")
        self.key, self.targets = key, tuple(targets)


class RecordChanged(StoreError):
    """A record's revision is not the expected one, or a unique field is taken."""


class SnapshotGone(StoreError):
    """A page link's snapshot has been swept."""


class WriteBusy(StoreError):
    """The turn to write did not come within `lock_timeout`; nothing of the write is stored."""


class StoreUnavailable(StoreError):
    """The database does not answer.

    stored: `nothing` of the write, or `unknown` where it could not be found out in time; a conditional write may be
    sent again all the same. after: seconds until the database is worth another try.
    """

    def __init__(self, text: str, *, stored: Literal["nothing", "unknown"] = "unknown", after: float = 1.0) -> None:
        super().__init__(text)
        self.stored, self.after = stored, after


class IndexUnavailable(StoreUnavailable):
    """The search index does not answer; the text says what that means for what was asked."""


class SearchTooCostly(StoreError):
    """A search took longer than its limit and was cut off."""


class StorageFull(StoreError):
    """There is no space for the write; nothing of it is stored."""


class StorageFault(StoreError):
    """The engine failed (corruption, lost file); nothing of the write is stored."""


class StorageDamaged(StorageFault):
    """What is stored is not what was written: a page, a body or a large object was changed, or its key is another."""


class BackupRefused(Exception):
    """A backup cannot be made, read or put back; the message says why."""


class Records(Protocol):
    """Reading of records; writing goes through `Store.commit`."""

    async def get(self, collection: str, key: str) -> Record | None:
        """Return one record."""

    async def find(
        self,
        collection: str,
        where: Sequence[Where] = (),
        *,
        order: str = "key",
        after: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[Record]:
        """Return records in the order of a declared field (or key), `-field` for descending.

        `after` is the last key seen (only with order "key"); `offset` leaves out as many of the first.
        """

    async def collections(self) -> list[Collection]:
        """Return the collections that were ever declared, sorted by name."""


class Blobs(Protocol):
    """Large objects. A staged blob that no commit attaches within an hour is swept."""

    async def stage(self, chunks: AsyncIterator[bytes]) -> BlobRef:
        """Write the bytes durably under a new random id; visible to `open` only after a commit attaches it."""

    async def open(self, blob_id: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Read a range [start, end) in chunks. Raises KeyError for an unknown id."""

    async def stat(self, blob_id: str) -> BlobRef | None:
        """Return size and digest of an attached blob."""

    async def of_patient(self, patient: str) -> list[str]:
        """Return the ids of the attached blobs of a patient (logical id)."""

    async def discard(self, blob_id: str) -> None:
        """Remove a staged blob that nobody will attach; an attached one stays."""


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


@dataclass(frozen=True, slots=True)
class Lead:
    """Leadership, for as long as `lost` is not set."""

    lost: asyncio.Event = field(default_factory=asyncio.Event)


class StoreProvider(Protocol):
    """Opens the Store of each tenant, and lets the processes that share them find each other.

    Each commit that changes a resource rings, and so may anybody who wants a tenant looked at. A ring is a hint:
    several may become one, and one may be lost, so who listens also looks now and then.
    """

    def ring(self, tenant: str) -> None:
        """Have whoever listens, in any process, look at a tenant."""

    def listen(self, heard: Callable[[str], None]) -> AbstractAsyncContextManager[None]:
        """Have `heard(tenant)` called on the event loop for each ring; in the process that leads `background`."""

    def lead(self, name: str) -> AbstractAsyncContextManager[Lead]:
        """Wait until nobody else leads under this name, then lead while the context lasts.

        One process leads at a time. When it ends, however it ends, another that waits takes over at once, or when its
        lease has run out. Who sees `lost` set must stop; its writes are refused by the revisions that they expect.
        """

    def tenants(self) -> list[str]:
        """Return the tenants that have a store, sorted."""

    def written(self, tenant: str) -> float:
        """Return when a tenant was last written to, in seconds since 1970, without opening it; 0 for never."""

    async def head(self, tenant: str) -> int:
        """Return the txid of a tenant's newest version, without keeping it open; 0 for none."""

    async def open(self, tenant: str) -> Store:
        """Return the tenant's handle (the same one each time). Raises KeyError for an unknown tenant."""

    async def create(self, tenant: str) -> Store:
        """Return the handle of a tenant, whose store is made where there is none."""

    async def shut(self, tenant: str) -> None:
        """Close the handle of one tenant, if it is open; the next `open` opens it again."""

    async def remove(self, tenant: str) -> None:
        """Remove a tenant's store with all that is in it."""

    def size(self, tenant: str) -> int:
        """Return the bytes that a tenant's store takes."""

    async def close(self) -> None:
        """Close all."""


class RunsOn(Protocol):
    """Work that goes on for ever, in the process that leads."""

    async def run(self) -> None:
        """Go on until cancelled."""


@runtime_checkable
class Fed(Protocol):
    """A provider that keeps something beside its stores, which the log of changes feeds."""

    def feeder(
        self,
        host: Any,
        extract_of: Callable[[str], Awaitable[Callable[[str, bytes], IndexEntries]]],
    ) -> RunsOn:
        """Return what feeds it. host: keeps tenants open (`held`). extract_of: gives what makes index rows by the
        search parameters that a tenant has now."""

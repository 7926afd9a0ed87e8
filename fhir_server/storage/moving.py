"""How a store is moved from one engine to another: what is read of it beside the contract, and the door it comes in by.

`Store.commit` gives out new txids and times. The door takes versions, records, audit rows and blobs as they are, in
short steps each of which is whole or not there, so that a move that was killed goes on where it came to.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.search.entries import IndexEntries
from fhir_server.storage.audit import AuditEntry, AuditLog
from fhir_server.storage.base import BlobRef, Collection, Record, Records

HALF_MOVED: Final = "a move into this store was not finished: run the same `fhir-server migrate` again, or remove it"

Ended = tuple[int, int]
"""The txid that superseded a version, and its instant in milliseconds."""

Audited = tuple[AuditEntry, tuple[str, ...]]
"""A row of the audit log with the keys that it is found by."""

KeysOf = Callable[[AuditEntry], Sequence[str]]
"""What a row may be found by; an engine that keeps hashes alone leaves out those that it does not know of the row."""


@dataclass(frozen=True, slots=True)
class LogEnd:
    """Where a store ends: its newest commit, the last pid given out, the instant of that commit, the last audit row
    and the first one that retention has left."""

    txid: int = 0
    pid: int = 0
    time: int = 0
    audited: int = 0
    first_audited: int = 1


@dataclass(frozen=True, slots=True)
class Logged:
    """A version as it stands in the log; `ended` is None while it is current."""

    version: Version
    ended: Ended | None


@dataclass(frozen=True, slots=True)
class Arrival:
    """A version on its way in.

    entries: of a deletion, those of the version that it ended. erased: that version was purged.
    supersedes: the version before it, if it is there, came in as the current one.
    """

    version: Version
    entries: IndexEntries
    ended: Ended | None
    erased: bool = False
    supersedes: bool = False


@dataclass(frozen=True, slots=True)
class KeptBlob:
    """An attached blob and the patient whose it is."""

    ref: BlobRef
    patient: str | None


class Kept(Protocol):
    """A store as a move reads it; nothing of it is written. All lists are in their order and in pages."""

    @property
    def records(self) -> Records:
        """Its records."""

    @property
    def audit(self) -> AuditLog:
        """Its audit log."""

    async def identity(self) -> str:
        """Return what tells this store from all others."""

    async def end(self) -> LogEnd:
        """Return where it ends."""

    async def count(self) -> int:
        """Return how many versions there are."""

    async def standing(self) -> dict[str, int]:
        """Return how many versions of each type are current and no deletion, counted one by one."""

    async def others(self) -> int:
        """Return how many records and large objects there are."""

    async def log(self, after: int, limit: int) -> list[Logged]:
        """Return the next versions with pid > after; fewer than `limit` where they are large, none at the end."""

    async def version(self, key: ResourceKey, number: int) -> Version | None:
        """Return one version."""

    async def current(self, type_: str) -> list[Version]:
        """Return all current resources of a type; for those of which there are few."""

    async def audited(self, first: int, last: int, keys_of: KeysOf) -> list[Audited]:
        """Return the audit rows of a range with their keys."""

    async def blobs(self, after: str, limit: int) -> list[KeptBlob]:
        """Return the next attached blobs with id > after."""

    async def blob(self, blob_id: str) -> AsyncIterator[bytes]:
        """Read the bytes of an attached blob. Raises KeyError."""

    async def close(self) -> None:
        """Close it."""


class Door(Kept, Protocol):
    """A store that is filled by a move. While it bears a mark, no server opens it."""

    indexes_all: bool
    """Whether it wants the index entries of superseded versions too."""

    async def mark(self) -> str:
        """Return what an earlier run of a move noted here; empty for none."""

    async def put_mark(self, mark: str) -> None:
        """Note something; empty: the move is done, and servers may open the store."""

    async def empty(self) -> bool:
        """Tell whether nothing was ever written here."""

    async def take_versions(self, arrivals: Sequence[Arrival]) -> None:
        """Write versions, which come in the order of their pids. Those that are there already are left out."""

    async def declare(self, collection: Collection) -> None:
        """Make a record collection known."""

    async def take_records(self, collection: str, put: Sequence[Record], gone: Sequence[str]) -> None:
        """Write records with their revisions, and remove others."""

    async def take_audit(self, rows: Sequence[Audited], first: int) -> None:
        """Append audit rows as they are; `first` is the seq of the oldest row of the log."""

    async def take_blob(self, blob: KeptBlob, chunks: AsyncIterator[bytes]) -> BlobRef:
        """Write an attached blob under its id, anew if it is there; return what was written."""

    async def drop_blob(self, blob_id: str) -> None:
        """Remove a blob."""

    async def seal(self, end: LogEnd) -> None:
        """Have the log end where it did, and the counters true."""


class Served(Exception):
    """A store is in use, so it cannot be moved; the message says by whom."""


class Installation(Protocol):
    """All stores that lie together: a data folder, or the databases under one prefix."""

    label: str
    """How people call it; without passwords."""

    async def tenants(self) -> list[str]:
        """Return the tenants that have a store."""

    async def kept(self, tenant: str) -> Kept:
        """Open a store for reading alone. Raises KeyError."""

    async def door(self, tenant: str) -> Door:
        """Open a store that is to be filled; it is made where there is none."""

    async def remove(self, tenant: str) -> None:
        """Remove a store that was not filled to its end, with all that is in it."""

    async def need_idle(self) -> None:
        """See that no server is there, and keep them away until `close` where that can be. Raises Served."""

    async def claim(self) -> None:
        """Be the only one who fills stores here, until `close`. Raises Served."""

    async def close(self) -> None:
        """Let go."""

"""One commit group: several requests, each all or nothing, written in one SQLite transaction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import apsw

from fhir_server.model.json import same_content
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Body, Version
from fhir_server.search.query import Search
from fhir_server.storage.base import Audit, BlobChange, Change, CommitResult, RecordChange, StoreError, Written
from fhir_server.storage.sqlite import blob_rows
from fhir_server.storage.sqlite.audit_rows import AuditRows
from fhir_server.storage.sqlite.blob_files import BlobFiles
from fhir_server.storage.sqlite.heads import Heads
from fhir_server.storage.sqlite.health import ClockWatch
from fhir_server.storage.sqlite.interning import Interning
from fhir_server.storage.sqlite.pending import Pending
from fhir_server.storage.sqlite.preconditions import check
from fhir_server.storage.sqlite.record_rows import RecordRows
from fhir_server.storage.sqlite.sealer import Sealer

SearchKeys = Callable[[apsw.Connection, Search], set[ResourceKey]]
EMPTY: Final = Body(b"", 0)


@dataclass(frozen=True, slots=True)
class Work:
    """What one `commit` asks for."""

    changes: Sequence[Change]
    records: Sequence[RecordChange] = ()
    blobs: Sequence[BlobChange] = ()
    audit: Audit | None = None


@dataclass(slots=True)
class Outcome:
    """What one `commit` came to: an answer or a refusal, the seq of its first audit row, and the blobs to settle once
    it is durable."""

    result: CommitResult | StoreError
    audited: int = 0
    attached: list[str] = field(default_factory=list)
    released: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Around:
    """What a group needs beside the record's tables: the search for conditions, the files of blobs, the envelopes."""

    search_keys: SearchKeys
    files: BlobFiles
    sealer: Sealer


class Group:
    """Takes requests one after the other; each sees what those before it wrote."""

    def __init__(self, connection: apsw.Connection, interning: Interning, around: Around, watch: ClockWatch) -> None:
        self._connection, self._around, self._watch = connection, around, watch
        self._pending = Pending(connection, interning, around.sealer)
        self._heads = Heads(connection, interning)
        self._records = RecordRows(connection)
        self._audit = AuditRows(connection)

    def run(self, works: Sequence[Work], now: int) -> list[Outcome]:
        """Evaluate and write all, inside the open transaction; `now` is the clock in milliseconds."""
        self._watch.look(now, self._pending.begin(now))
        self._heads.learn([change.key for work in works for change in work.changes])
        self._records.learn([change for work in works for change in work.records])
        outcomes = [self._one(work) for work in works]
        self._pending.finish()
        self._records.flush()
        self._audit.write()
        return outcomes

    def _one(self, work: Work) -> Outcome:
        try:
            self._check(work)
        except StoreError as refusal:
            return Outcome(refusal)
        self._pending.begin_request()
        written = tuple(self._write(change) for change in work.changes)
        self._records.write(work.records)
        attached, released = blob_rows.write(self._connection, self._around.files, self._around.sealer, work.blobs)
        if work.records or work.blobs:
            self._pending.begin_tx()
        audited = self._audit.add(work.audit(written)) if work.audit else 0
        return Outcome(CommitResult(*self._pending.end_request(), written), audited, attached, released)

    def _check(self, work: Work) -> None:
        if any(change.conditions or change.keep_referenced for change in work.changes):
            self._pending.flush()  # these are evaluated in SQL, which must see the requests before
        check(self._connection, self._heads, work.changes, self._around.search_keys)
        self._records.check(work.records)
        blob_rows.check(self._connection, self._around.files, work.blobs)

    def _write(self, change: Change) -> Written:
        head = self._heads.get(change.key)
        current = head.version if head else None
        gone = current is None or current.deleted
        deletion = change.method == "DELETE"
        if deletion and gone:
            return Written(current, changed=False, created=False)
        if current and not deletion and not change.force and same_content(current.body.data, change.body.data):
            return Written(current, changed=False, created=False)
        version = self._version(change, current)
        rid = self._pending.add(version, head, change.entries)
        self._heads.put(rid, version)
        return Written(version, changed=True, created=gone)

    def _version(self, change: Change, current: Version | None) -> Version:
        return Version(
            self._pending.next_pid(),
            change.key,
            current.version + 1 if current else 1,
            self._pending.txid,
            self._pending.last_updated,
            change.method,
            EMPTY if change.method == "DELETE" else change.body,
        )

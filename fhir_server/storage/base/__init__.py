"""The Store contract: a handle of one tenant, with one way to write.

Every engine (memory, SQLite, MongoDB) implements `Store`; nothing above `storage/` names an engine. What an engine
lacks is said in its `Capabilities`.
"""

from fhir_server.storage.base.blobs import BlobChange, BlobRef
from fhir_server.storage.base.changes import Audit, Change, CommitResult, Condition, Method, Written
from fhir_server.storage.base.errors import (
    BackupRefused,
    ConditionChanged,
    IndexUnavailable,
    MissingTargets,
    RecordChanged,
    SearchTooCostly,
    SnapshotGone,
    StillReferenced,
    StorageDamaged,
    StorageFault,
    StorageFull,
    StoreError,
    StoreUnavailable,
    VersionChanged,
    WriteBusy,
)
from fhir_server.storage.base.pages import HistoryPage, HistoryQuery, Page
from fhir_server.storage.base.provider import Fed, Lead, StoreProvider
from fhir_server.storage.base.records import HOLDS, Collection, Record, RecordChange, RecordField, Records, Where
from fhir_server.storage.base.store import Capabilities, Store

__all__ = [
    "HOLDS",
    "Audit",
    "BackupRefused",
    "BlobChange",
    "BlobRef",
    "Capabilities",
    "Change",
    "Collection",
    "CommitResult",
    "Condition",
    "ConditionChanged",
    "Fed",
    "HistoryPage",
    "HistoryQuery",
    "IndexUnavailable",
    "Lead",
    "Method",
    "MissingTargets",
    "Page",
    "Record",
    "RecordChange",
    "RecordChanged",
    "RecordField",
    "Records",
    "SearchTooCostly",
    "SnapshotGone",
    "StillReferenced",
    "StorageDamaged",
    "StorageFault",
    "StorageFull",
    "Store",
    "StoreError",
    "StoreProvider",
    "StoreUnavailable",
    "VersionChanged",
    "Where",
    "WriteBusy",
    "Written",
]

"""What a store refuses or fails at; `interactions/store_errors` says it in the words of FHIR."""

from collections.abc import Sequence
from typing import Literal

from fhir_server.model.keys import ResourceKey


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

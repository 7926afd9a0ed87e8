"""Blobs: large objects, staged first and attached by a commit."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol


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

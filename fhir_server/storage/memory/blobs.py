"""Blobs of the reference engine: bytes in a dict, staged until a commit attaches them."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from secrets import token_hex

from fhir_server.storage.base import BlobChange, BlobRef, StorageFault

STAGED_LIFE = 3_600_000
"""Milliseconds after which a staged blob that no commit attached is swept."""
_CHUNK = 65_536


@dataclass(slots=True)
class MemoryBlobs:
    """Staged blobs with the time of their staging, and attached ones."""

    clock: Callable[[], int]
    staged: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    attached: dict[str, bytes] = field(default_factory=dict)
    patients: dict[str, str | None] = field(default_factory=dict)

    async def stage(self, chunks: AsyncIterator[bytes]) -> BlobRef:
        """Keep the bytes under a new random id."""
        data = b"".join([chunk async for chunk in chunks])
        self._sweep()
        ref = BlobRef(token_hex(16), len(data), sha256(data).hexdigest())
        self.staged[ref.id] = (self.clock(), data)
        return ref

    async def open(self, blob_id: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Read a range in chunks. Raises KeyError for an id that is not attached."""
        return _chunks(self.attached[blob_id][start:end])

    async def stat(self, blob_id: str) -> BlobRef | None:
        """Return size and digest of an attached blob."""
        data = self.attached.get(blob_id)
        return None if data is None else BlobRef(blob_id, len(data), sha256(data).hexdigest())

    async def of_patient(self, patient: str) -> list[str]:
        """Return the ids of the attached blobs of a patient."""
        return sorted(id_ for id_, of in self.patients.items() if of == patient)

    async def discard(self, blob_id: str) -> None:
        """Forget a staged blob."""
        self.staged.pop(blob_id, None)

    def check(self, changes: Sequence[BlobChange]) -> None:
        """Refuse to attach what is not staged."""
        self._sweep()
        for change in changes:
            if change.attach and change.id not in self.staged and change.id not in self.attached:
                raise StorageFault(f"there is no staged blob {change.id}")

    def apply(self, changes: Sequence[BlobChange]) -> None:
        """Attach and release."""
        for change in changes:
            if not change.attach:
                self.attached.pop(change.id, None)
                self.patients.pop(change.id, None)
            elif change.id in self.staged:
                self.patients[change.id] = change.patient
                self.attached[change.id] = self.staged.pop(change.id)[1]
            elif change.patient:
                self.patients[change.id] = change.patient

    def _sweep(self) -> None:
        limit = self.clock() - STAGED_LIFE
        self.staged = {id_: (at, data) for id_, (at, data) in self.staged.items() if at >= limit}


async def _chunks(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), _CHUNK):
        yield data[start : start + _CHUNK]

"""The files of large objects, and the marks that tell which of them no committed row speaks for yet.

A blob's bytes stand at `blobs/ab/<id>` from the start. A mark in `blobs/staged/` is made before the file and goes after
the commit that attaches it; a release makes a mark before the commit and removes file and mark after it. So whatever a
crash leaves behind without a row has a mark, and `sweep` finds it without looking at the other files.
"""

import os
import time
from collections.abc import Iterable
from io import FileIO
from pathlib import Path
from typing import Final

from fhir_server.storage.base import BlobRef

STAGED_LIFE: Final = 3_600


class BlobFiles:
    """Paths, marks and syncs of the blobs of one record."""

    def __init__(self, folder: Path, *, durable: bool) -> None:
        self._folder, self._durable = folder, durable
        self._marks = folder / "staged"
        self._marks.mkdir(parents=True, exist_ok=True, mode=0o700)

    def path(self, blob_id: str) -> Path:
        """Return where the bytes of a blob stand."""
        return self._folder / blob_id[:2] / blob_id

    def begin(self, blob_id: str) -> FileIO:
        """Mark a new blob and open its file for writing."""
        self.mark(blob_id)
        path = self.path(blob_id)
        if not path.parent.exists():
            path.parent.mkdir(exist_ok=True, mode=0o700)
            self._sync(self._folder)
        return FileIO(path, "xb")

    def finish(self, file: FileIO, ref: BlobRef) -> None:
        """Make the bytes durable and write size and digest into the name of the mark."""
        if self._durable:
            os.fsync(file.fileno())
        file.close()
        self._sync(self.path(ref.id).parent)
        (self._marks / ref.id).rename(self._marks / f"{ref.id}.{ref.size}.{ref.sha256}")
        self._sync(self._marks)

    def mark(self, blob_id: str) -> None:
        """Tell `sweep` to look whether a row speaks for this blob."""
        (self._marks / blob_id).touch(mode=0o600)
        self._sync(self._marks)

    def staged(self, blob_id: str) -> BlobRef | None:
        """Return a blob that is complete and not attached yet."""
        for mark in self._marks.glob(f"{blob_id}.*.*"):
            _, size, digest = mark.name.split(".")
            return BlobRef(blob_id, int(size), digest)
        return None

    def settle(self, attached: Iterable[str], released: Iterable[str]) -> None:
        """After a durable commit: remove the marks, and the bytes of what was released."""
        for blob_id in released:
            self.path(blob_id).unlink(missing_ok=True)
        for blob_id in (*attached, *released):
            self._unmark(blob_id)

    def leftovers(self) -> list[str]:
        """Return the ids of marks older than the life of a staged blob."""
        limit = time.time() - STAGED_LIFE
        with os.scandir(self._marks) as marks:
            return [mark.name.partition(".")[0] for mark in marks if mark.stat().st_mtime < limit]

    def _unmark(self, blob_id: str) -> None:
        for mark in self._marks.glob(f"{blob_id}*"):
            mark.unlink(missing_ok=True)

    def _sync(self, folder: Path) -> None:
        if self._durable:
            sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

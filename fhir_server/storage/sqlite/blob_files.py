"""The files of large objects, and the marks that tell which of them no committed row speaks for yet.

A blob's bytes stand at `blobs/ab/<id>` from the start. A mark in `blobs/staged/` is made before the file and goes after
the commit that attaches it; a release makes a mark before the commit and removes file and mark after it. So whatever a
crash leaves behind without a row has a mark, and `sweep` finds it without looking at the other files.
"""

import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from io import FileIO
from pathlib import Path
from typing import Final, Protocol

from fhir_server.encryption.blob_keys import BlobKeys
from fhir_server.encryption.chunks import SealedReader, SealedWriter, hand_over, plain_size
from fhir_server.storage.base import BlobRef
from fhir_server.storage.sqlite.bodies import Bodies
from fhir_server.storage.sqlite.durable import sync
from fhir_server.storage.sqlite.sealing import Keys, no_keys

STAGED_LIFE: Final = 3_600
_SYNCING: Final[dict[int, ThreadPoolExecutor]] = {}
"""Threads that wait for syncs, by process: those of a parent are not there after a fork."""


class BlobReader(Protocol):
    """The bytes of a blob, whether they are encrypted on the disk or not."""

    def pread(self, size: int, start: int) -> bytes:
        """Return up to `size` bytes from `start`; none at the end."""

    def close(self) -> None:
        """Close the file."""


class BlobFiles:
    """Paths, marks and syncs of the blobs of one record; with keys, their files are encrypted."""

    def __init__(self, folder: Path, *, durable: bool, keys: Keys = no_keys, bodies: Bodies | None = None) -> None:
        self._folder, self._durable, self._unlocked, self._bodies = folder, durable, keys, bodies
        self._marks = folder / "staged"
        self._complete: dict[str, BlobRef] = {}
        """Those that this process has staged and that nobody attached yet, so that marks are not looked for."""
        for folder in (self._marks.parent, self._marks):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    @property
    def tenant(self) -> str:
        """Whose they are."""
        return self._folder.parent.name

    def path(self, blob_id: str) -> Path:
        """Return where the bytes of a blob stand."""
        return self._folder / blob_id[:2] / blob_id

    def open(self, blob_id: str) -> BlobReader:
        """Open a blob for reading. Raises FileNotFoundError, EncryptionFault."""
        keys = self._keys()
        path = self.path(blob_id)
        return PlainReader(path) if keys is None else SealedReader(path, keys, blob_id)

    def size(self, blob_id: str) -> int:
        """Return how many bytes the file of a blob holds; -1 for one that is missing or cut."""
        path = self.path(blob_id)
        try:
            return path.stat().st_size if self._unlocked() is None else plain_size(path)
        except FileNotFoundError:
            return -1

    def begin(self, blob_id: str) -> FileIO | SealedWriter:
        """Mark a new blob and open its file for writing. Next come `secure` and `finish`."""
        keys = self._keys()
        self._touch(blob_id)
        path = self.path(blob_id)
        if not path.parent.exists():
            path.parent.mkdir(exist_ok=True, mode=0o700)
            self._sync(self._folder)
        file = FileIO(path, "xb")
        return file if keys is None else SealedWriter(file, keys, blob_id)

    def secure(self, file: FileIO | SealedWriter, blob_id: str) -> None:
        """Make the bytes, the name and the mark of a blob durable; a sealed one takes no more bytes then.

        The three are waited for together, for one commit of the file system's journal then serves all: a third of
        the time on a busy disk. Where a file system orders nothing, a power cut in between may leave bytes without a
        mark that no sweep finds; never a row without bytes.
        """
        if isinstance(file, SealedWriter):
            file.finish()
        if not self._durable:
            return
        beside = [_syncing().submit(sync, each) for each in (self._marks, self.path(blob_id).parent)]
        try:
            os.fsync(file.fileno())
        finally:
            done = wait(beside).done
        for each in done:
            each.result()

    def finish(self, file: FileIO | SealedWriter, ref: BlobRef) -> None:
        """Close what is secure, and write size and digest into the name of the mark: a crash that loses the new name
        loses a blob that nobody attached, or leaves the old mark of one that a row speaks for. This takes no time."""
        file.close()
        (self._marks / ref.id).rename(self._complete_mark(ref))
        self._complete[ref.id] = ref

    def hand_over(self, blob_id: str, number: int | None) -> None:
        """Bring a blob under the key of a patient, or of nobody. Raises EncryptionFault."""
        keys = self._keys()
        if keys is not None:
            hand_over(self.path(blob_id), keys, blob_id, number)

    def mark(self, *blob_ids: str) -> None:
        """Tell `sweep` to look whether rows speak for these blobs."""
        for blob_id in blob_ids:
            self._touch(blob_id)
        if blob_ids:
            self._sync(self._marks)

    def _touch(self, blob_id: str) -> None:
        (self._marks / blob_id).touch(mode=0o600)

    def _complete_mark(self, ref: BlobRef) -> Path:
        return self._marks / f"{ref.id}.{ref.size}.{ref.sha256}"

    def staged(self, blob_id: str) -> BlobRef | None:
        """Return a blob that is complete and not attached yet."""
        known = self._complete.get(blob_id)
        if known is not None:
            return known
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
        known = self._complete.pop(blob_id, None)
        if known is not None:
            self._complete_mark(known).unlink(missing_ok=True)
            return
        for mark in self._marks.glob(f"{blob_id}*"):
            mark.unlink(missing_ok=True)

    def _keys(self) -> BlobKeys | None:
        keys = self._unlocked()
        if keys is None or self._bodies is None:
            return None if keys is None else BlobKeys(keys)
        return BlobKeys(keys, self._bodies.cipher)

    def _sync(self, folder: Path) -> None:
        if self._durable:
            sync(folder)


def _syncing() -> ThreadPoolExecutor:
    return _SYNCING.get(os.getpid()) or _SYNCING.setdefault(os.getpid(), ThreadPoolExecutor(16, "blob-sync"))


class PlainReader:
    """A file that is not encrypted."""

    def __init__(self, path: Path) -> None:
        self._file = FileIO(path)

    def pread(self, size: int, start: int) -> bytes:
        """Return up to `size` bytes from `start`."""
        return os.pread(self._file.fileno(), size, start)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

"""Space kept back on the disk, so that reads, recovery and error answers survive when it is full."""

import os
from pathlib import Path
from typing import Final

_NAME: Final = "reserve"
ROOM: Final = 2
"""Times its size must be free before the reserve is laid by: what it was, and as much to write to."""

_SPARE: Final = 2_000_000  # what stays free beside a checkpoint


class Reserve:
    """A file of real blocks that is given up when a write finds the disk full, and laid by again later."""

    def __init__(self, folder: Path, size: int) -> None:
        self._path, self._folder, self._size = folder / _NAME, folder, size

    def laid_by(self) -> bool:
        """Tell whether the space is kept back (or none is to be)."""
        try:
            return self._size == 0 or self._path.stat().st_size >= self._size
        except FileNotFoundError:
            return False

    def lay_by(self) -> bool:
        """Allocate the file where it is missing and there is ample space; tell whether it is there."""
        if self.laid_by():
            return True
        if self.free() < ROOM * self._size:
            return False
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, self._size)
        except OSError:
            self._path.unlink(missing_ok=True)
            return False
        finally:
            os.close(descriptor)
        return True

    def give_up(self) -> bool:
        """Free the space; tell whether there was any."""
        try:
            self._path.unlink()
        except FileNotFoundError:
            return False
        return self._size > 0

    def room_to_grow(self, record: Path, size: int) -> bool:
        """Tell whether a record of so many bytes fits on the disk once its log is copied into it.

        A checkpoint that fills the disk leaves no room for the file by which processes share the log, and then nobody
        can open the record, not even to read.
        """
        return self.free() > size - record.stat().st_size + _SPARE

    def free(self) -> int:
        """Return how many bytes are free on the disk of the record."""
        return free_in(self._folder)


def free_in(folder: Path) -> int:
    """Return how many bytes are free on the disk of a folder."""
    state = os.statvfs(folder)
    return state.f_bavail * state.f_frsize

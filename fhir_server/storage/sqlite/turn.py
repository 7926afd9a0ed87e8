"""Whose turn it is to write: a fair lock between the processes that share one record."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Turn:
    """Two file locks, a turnstile and the lock itself.

    A process passes the turnstile only once it holds the lock, so one that has just written queues behind the one that
    waits; SQLite's own busy waiting starved one of two writers. The kernel drops the locks of a killed process. Waiting
    has no end here: those who wait for an answer give up by themselves (`WriteBusy`).
    """

    def __init__(self, folder: Path) -> None:
        self._turnstile = _open(folder / "turnstile.lock")
        self._lock = _open(folder / "write.lock")

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for the turn and hold it."""
        fcntl.flock(self._turnstile, fcntl.LOCK_EX)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        finally:
            fcntl.flock(self._turnstile, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close both files."""
        os.close(self._lock)
        os.close(self._turnstile)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

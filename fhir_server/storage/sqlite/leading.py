"""Leadership among the processes of a data folder: a file lock, which the kernel drops when its holder dies."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from threading import Thread

from fhir_server.storage.base import Lead


@asynccontextmanager
async def lead(data_dir: Path, name: str) -> AsyncIterator[Lead]:
    """Wait for the lock of a name and hold it while the context lasts."""
    lock = await _Waiting(data_dir / f"{name}.lead").taken()
    try:
        yield Lead()
    finally:
        os.close(lock)


class _Waiting:
    """The wait for a lock, in a thread of its own: it has no end, and costs nothing while it lasts."""

    def __init__(self, path: Path) -> None:
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[int] = self._loop.create_future()
        self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    async def taken(self) -> int:
        """Return the descriptor that holds the lock."""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Not a thread of a pool: the end of the process would wait for it.
            Thread(target=self._wait, name="waits-to-lead", daemon=True).start()
            return await self._future
        return self._lock

    def _wait(self) -> None:
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        with suppress(RuntimeError):  # the loop is closed, and so will be the lock with the process
            self._loop.call_soon_threadsafe(self._give)

    def _give(self) -> None:
        if self._future.cancelled():
            os.close(self._lock)
        else:
            self._future.set_result(self._lock)

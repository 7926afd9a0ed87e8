"""What a process says of itself: memory, descriptors, processor time, garbage, and how late its event loop is."""

import asyncio
import gc
import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from fhir_server.telemetry import numbers
from fhir_server.telemetry.sharing import Board, Sampled, sample_by

_BEAT: Final = 0.5
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class Process:
    """This process, while its event loop runs.

    Args:
        role: what it does: `serving`, `background`, `both`, `owner`.
        board: gets its numbers once a second, for the other processes.
        disk: of which the free bytes are told.
    """

    def __init__(self, role: str, board: Board, disk: Path) -> None:
        self._role, self._board, self._disk = role, board, disk
        self._began = time.time()
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._beats = 0
        self._runs = False
        sample_by(self._sample)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Tell of it for as long as the context lasts."""
        gc.callbacks.append(_collected)
        self._runs = True
        self._next()
        try:
            yield
        finally:
            self._runs = False
            gc.callbacks.remove(_collected)
            with suppress(OSError):
                self._board.save()
            if self._timer is not None:
                self._timer.cancel()

    def _next(self) -> None:
        loop = asyncio.get_running_loop()
        self._due = loop.time() + _BEAT
        self._timer = loop.call_at(self._due, self._beat)

    def _beat(self) -> None:
        late = asyncio.get_running_loop().time() - self._due
        numbers.LOOP_LAG.observe(max(0.0, late), self._role)
        self._beats += 1
        if self._beats % 2:
            with suppress(OSError):  # a full disk: the numbers of this process stay as the others know them
                self._board.save()
        self._next()

    def _sample(self) -> Iterator[Sampled]:
        if not self._runs:
            return
        spent = os.times()
        numbers.CPU.values = {(self._role,): spent.user + spent.system}
        yield numbers.PROCESSES, 1, (self._role,)
        yield numbers.STARTED, self._began, ()
        yield numbers.MOST_DESCRIPTORS, resource.getrlimit(resource.RLIMIT_NOFILE)[0], ()
        yield numbers.BUILD, 1, tuple(_BUILD)
        yield numbers.FREE_BYTES, _free(self._disk), ()
        if sys.platform == "linux":
            yield numbers.MEMORY, int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE, (self._role,)
            yield numbers.DESCRIPTORS, len(os.listdir("/proc/self/fd")), (self._role,)


_BUILD: list[str] = ["", "", ""]


def built(version: str, engine: str) -> None:
    """Say what runs."""
    _BUILD[:] = [version, sys.version.partition(" ")[0], engine]


def _free(disk: Path) -> float:
    found = os.statvfs(disk if disk.exists() else "/")
    return found.f_bavail * found.f_frsize


_since = 0.0


def _collected(phase: str, info: dict[str, Any]) -> None:
    """Count a run of the garbage collector; it calls this before and after."""
    global _since
    if phase == "start":
        _since = time.perf_counter()
    else:
        # No lock: the collector may run while one is held. Runs do not overlap, so nothing is lost.
        key = (str(info["generation"]),)
        counted, spent = numbers.COLLECTIONS.values, numbers.COLLECTION_SECONDS.values
        counted[key] = counted.get(key, 0) + 1
        spent[key] = spent.get(key, 0) + time.perf_counter() - _since

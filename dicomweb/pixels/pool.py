"""Pool: a few workers that tasks take turns on; a task that kills its worker costs itself alone."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

from dicomweb.pixels.faults import PixelFailure
from dicomweb.pixels.process import Process


class Pool:
    """Workers, begun when first needed.

    Args:
        workers: how many. timeout: seconds of one task. memory: bytes of one worker. waiting: most tasks that wait.
    """

    def __init__(self, workers: int = 2, timeout: float = 30.0, memory: int = 2 << 30, waiting: int = 200) -> None:
        self._timeout, self._waiting = timeout, workers + waiting
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="pixels")
        self._free: SimpleQueue[Process] = SimpleQueue()
        self._all = [Process(memory) for _ in range(workers)]
        for process in self._all:
            self._free.put(process)
        self._held = 0

    @property
    def lost(self) -> int:
        """Return how many workers crashed or were too slow."""
        return sum(process.lost for process in self._all)

    @property
    def pids(self) -> list[int]:
        """Return the ids of the processes that run."""
        return [process.pid for process in self._all if process.pid]

    async def run(self, task: str, **arguments: Any) -> Any:
        """Do a task in a worker. Raises PixelFailure."""
        if self._held >= self._waiting:
            raise PixelFailure("busy", "too many pixels wait for a worker; try again in a moment")
        self._held += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._once, task, arguments)
        finally:
            self._held -= 1

    def _once(self, task: str, arguments: dict[str, Any]) -> Any:
        process = self._free.get()
        try:
            return process.run(task, arguments, self._timeout)
        finally:
            self._free.put(process)

    async def here(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run a function in a thread, for what needs no codec."""
        return await asyncio.to_thread(function, *arguments)

    async def close(self) -> None:
        """End the workers; a task that one is at fails."""
        for process in self._all:
            process.close()
        await asyncio.to_thread(self._threads.shutdown, True, cancel_futures=True)

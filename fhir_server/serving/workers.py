"""The worker processes of one owner: started, watched, restarted, stopped."""

import asyncio
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

from fhir_server.settings import Settings

logger = logging.getLogger(__name__)
_STOP_WITHIN = 20.0
_QUICK_DEATH = 5.0
_PAUSE = 1.0


class Workers:
    """A fixed number of worker processes on shared sockets."""

    def __init__(self, settings: Settings, sockets: Sequence[socket.socket]) -> None:
        self._settings = settings
        self._sockets = sockets
        self._running: list[tuple[subprocess.Popen[bytes], float]] = []
        self._alive, self._pipe = os.pipe()
        self._stopping = False

    def start(self) -> None:
        """Start all of them."""
        for _ in range(self._settings.workers):
            self._running.append(self._spawn())

    async def watch(self) -> None:
        """Replace a worker that dies, for as long as this runs; one that dies at once is retried after a pause."""
        while not self._stopping:
            await asyncio.sleep(0.5)
            for place, (process, started) in enumerate(self._running):
                if process.poll() is None or self._stopping:
                    continue
                logger.error("worker %d ended with status %s; starting another", process.pid, process.returncode)
                if time.monotonic() - started < _QUICK_DEATH:
                    await asyncio.sleep(_PAUSE)
                self._running[place] = self._spawn()

    async def stop(self) -> None:
        """Let the workers finish what they are doing, then end those that will not."""
        self._stopping = True
        os.close(self._pipe)
        await asyncio.gather(*(asyncio.to_thread(_end, process) for process, _ in self._running))
        os.close(self._alive)

    def _spawn(self) -> tuple[subprocess.Popen[bytes], float]:
        numbers = [sock.fileno() for sock in self._sockets]
        command = [sys.executable, "-m", "fhir_server.serving.worker", str(self._alive), *map(str, numbers)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[self._alive, *numbers])  # noqa: S603
        assert process.stdin is not None
        process.stdin.write(self._settings.model_dump_json().encode() + b"\n")
        process.stdin.close()
        return process, time.monotonic()


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_STOP_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

"""The worker processes of one owner: forked or started, watched, replaced, stopped."""

import asyncio
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Protocol

from fhir_server.api.application import Application
from fhir_server.serving.forked import Forked
from fhir_server.settings import Settings

logger = logging.getLogger(__name__)
_STOP_WITHIN = 20.0
_QUICK_DEATH = 5.0
_PAUSE = 1.0


class Process(Protocol):
    """What a worker is to its owner."""

    pid: int

    @property
    def returncode(self) -> int | None: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def kill(self) -> None: ...


class Workers:
    """A fixed number of worker processes on shared sockets.

    The first are forked, so that what costs time and memory at the start (imports, definitions, compiled checks) is
    done once and shared. That is only possible before the owner runs threads or opens a store: make this object then.
    Those that replace a dead one later start anew.
    """

    def __init__(self, settings: Settings, app: Application) -> None:
        self._settings = settings
        self._sockets: Sequence[socket.socket] = ()
        self._alive, self._pipe = os.pipe()
        self._stopping = False
        self._forked: list[Forked] = []
        for _ in range(settings.workers):
            self._forked.append(Forked(app, self._alive, (self._pipe, *(one.channel for one in self._forked))))
        self._running: list[tuple[Process, float]] = []

    def start(self, sockets: Sequence[socket.socket]) -> None:
        """Let them answer on these sockets."""
        self._sockets = sockets
        for worker in self._forked:
            worker.begin(sockets)
            self._running.append((worker, time.monotonic()))

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

    def _spawn(self) -> tuple[Process, float]:
        numbers = [sock.fileno() for sock in self._sockets]
        command = [sys.executable, "-m", "fhir_server.serving.worker", str(self._alive), *map(str, numbers)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[self._alive, *numbers])  # noqa: S603
        assert process.stdin is not None
        process.stdin.write(self._settings.model_dump_json().encode() + b"\n")
        process.stdin.close()
        return process, time.monotonic()


def _end(process: Process) -> None:
    try:
        process.wait(_STOP_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

"""The worker processes of one owner: forked or started, watched, replaced, stopped."""

import asyncio
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from fhir_server.api.application import Application
from fhir_server.serving.forked import Forked
from fhir_server.serving.stopping import LEAVE, Stop
from fhir_server.settings import Settings

logger = logging.getLogger(__name__)
Role = Literal["serving", "background", "both"]
_END_WITHIN = 10.0
"""Seconds for what a worker does after its last answer: the audit, its leadership, its store."""

_START_WITHIN = 90.0
_QUICK_DEATH = 5.0
_PAUSE = 1.0


class Process(Protocol):
    """What a worker is to its owner."""

    pid: int

    @property
    def returncode(self) -> int | None:
        """Its exit code once it has ended and was waited for; negative: the signal that ended it."""

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return the exit code. Raises TimeoutExpired."""

    def kill(self) -> None:
        """End it at once, by SIGKILL."""


@dataclass(slots=True)
class _Worker:
    """One of them. role: what it does; started: when, on the monotonic clock."""

    process: Process
    role: Role
    sockets: Sequence[socket.socket]
    started: float


class Workers:
    """A fixed number of worker processes: some on shared sockets, and one for what goes on beside requests, if it is to
    have a process of its own (docs/adr/0014-feed-and-leadership.md).

    The first are forked, so that what costs time and memory at the start (imports, definitions, compiled checks) is
    done once and shared. That is only possible before the owner runs threads or opens a store: make this object then.
    Those that replace a dead one later start anew.
    """

    def __init__(self, settings: Settings, app: Application) -> None:
        self._settings = settings
        self._alive, self._pipe = os.pipe()
        self._stopping = False
        self._forked: list[tuple[Forked, Role]] = []
        for role in roles(settings):
            app.background, app.role = role != "serving", role
            others = (self._pipe, *(one.channel for one, _ in self._forked))
            self._forked.append((Forked(app, self._alive, others), role))
        app.background = not has_own_background(settings)
        app.role = "both" if app.background else "serving"
        self._running: list[_Worker] = []

    def start(self, sockets: Sequence[socket.socket], own: socket.socket | None) -> None:
        """Let them answer on these sockets; `own`: that of the one for what goes on beside requests."""
        for worker, role in self._forked:
            theirs = sockets if role != "background" or own is None else (own,)
            worker.begin(theirs)
            self._running.append(_Worker(worker, role, theirs, time.monotonic()))

    async def watch(self) -> None:
        """Replace a worker that dies, for as long as this runs; one that dies at once is retried after a pause."""
        while not self._stopping:
            await asyncio.sleep(0.5)
            for worker in self._running:
                process = worker.process
                if process.poll() is None or self._stopping:
                    continue
                logger.error("worker %d ended with status %s; starting another", process.pid, process.returncode)
                if time.monotonic() - worker.started < _QUICK_DEATH:
                    await asyncio.sleep(_PAUSE)
                worker.process, worker.started = self._spawn(worker), time.monotonic()

    async def restart(self) -> None:
        """Put a new process in the place of each worker, one after the other. The sockets stay open all the time, and a
        worker leaves when the one that takes its place listens."""
        for worker in self._running:
            ready, told = os.pipe()
            fresh = self._spawn(worker, told)
            os.close(told)
            listens = await asyncio.to_thread(_told, ready)
            os.close(ready)
            if not listens or self._stopping:
                logger.error("worker %d did not start; worker %d stays", fresh.pid, worker.process.pid)
                await asyncio.to_thread(_end, fresh, 0.0)
                return
            before = worker.process  # not the one from before the wait, should that have died and been replaced
            worker.process, worker.started = fresh, time.monotonic()
            _signal(before, signal.SIGUSR1)
            await asyncio.to_thread(_end, before, LEAVE + self._settings.stop_grace + _END_WITHIN)
            logger.info("worker %d has taken the place of worker %d", fresh.pid, before.pid)

    async def stop(self, asked: Stop) -> None:
        """Let the workers take leave and finish what they are doing, then end those that will not."""
        self._stopping = True
        for worker in self._running:
            _signal(worker.process, signal.SIGTERM)
        hurrying = asyncio.create_task(self._hurry(asked))
        seconds = self._settings.drain + self._settings.stop_grace + _END_WITHIN
        await asyncio.gather(*(asyncio.to_thread(_end, worker.process, seconds) for worker in self._running))
        asked.hurry()
        await hurrying
        os.close(self._alive)

    async def _hurry(self, asked: Stop) -> None:
        """Close the pipe, which ends the wait of the workers, once somebody is in a hurry."""
        await asked.now.wait()
        os.close(self._pipe)

    def _spawn(self, worker: _Worker, ready: int = -1) -> Process:
        numbers = [sock.fileno() for sock in worker.sockets]
        command = [sys.executable, "-m", "fhir_server.serving.worker", worker.role, str(self._alive), str(ready)]
        command += map(str, numbers)
        kept = [number for number in (self._alive, ready, *numbers) if number >= 0]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=kept)  # noqa: S603
        assert process.stdin is not None
        process.stdin.write(self._settings.model_dump_json().encode() + b"\n")
        process.stdin.close()
        return process


def has_own_background(settings: Settings) -> bool:
    """Tell whether what goes on beside requests has a process of its own."""
    return settings.background == "own" or (settings.background == "auto" and settings.workers > 1)


def roles(settings: Settings) -> list[Role]:
    """Return the roles of the processes beside the owner, which answers requests itself where there is one worker."""
    own = has_own_background(settings)
    serving: Role = "serving" if own else "both"
    return [serving] * (settings.workers if settings.workers > 1 else 0) + (["background"] if own else [])


def _signal(process: Process, number: signal.Signals) -> None:
    if process.poll() is None:
        os.kill(process.pid, number)


def _told(ready: int) -> bool:
    """Wait until a worker says that it listens; False where it ends or takes too long."""
    found, _, _ = select.select([ready], [], [], _START_WITHIN)
    return bool(found) and bool(os.read(ready, 1))


def _end(process: Process, within: float) -> None:
    try:
        process.wait(within)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

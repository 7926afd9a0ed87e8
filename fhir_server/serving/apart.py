"""The processes of plugins apart: started with the server, started again when they die, ended with it."""

import asyncio
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterable

from fhir_server.plugin_host.apart import MODULE
from fhir_server.settings import Settings

logger = logging.getLogger(__name__)
_LOOK = 0.2
_QUICK_DEATH = 5.0
_PAUSE = 2.0
_STOP_WITHIN = 10.0


class Apart:
    """One process for each plugin that runs apart; they end when this process does, however it ends."""

    def __init__(self, settings: Settings, names: Iterable[str]) -> None:
        self._settings, self._names = settings, tuple(names)
        self._alive, self._pipe = os.pipe()
        self._running: dict[str, tuple[subprocess.Popen[bytes], float]] = {}

    async def run(self) -> None:
        """Keep them running until cancelled."""
        try:
            for name in self._names:
                self._start(name)
            while True:
                await asyncio.sleep(_LOOK)
                for name, (process, started) in list(self._running.items()):
                    if process.poll() is None:
                        continue
                    logger.error("the process of plugin %s ended with %s; starting another", name, process.returncode)
                    if time.monotonic() - started < _QUICK_DEATH:
                        await asyncio.sleep(_PAUSE)
                    self._start(name)
        finally:
            os.close(self._pipe)
            os.close(self._alive)
            await asyncio.gather(*(asyncio.to_thread(_end, process) for process, _ in self._running.values()))

    def _start(self, name: str) -> None:
        command = [sys.executable, "-m", MODULE, "serve", name, str(self._alive)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[self._alive])  # noqa: S603
        assert process.stdin is not None
        process.stdin.write(self._settings.model_dump_json().encode() + b"\n")
        process.stdin.close()
        self._running[name] = process, time.monotonic()


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_STOP_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

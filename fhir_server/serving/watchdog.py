"""Watchdog of the event loop: names what blocks it, breaks it off if it can be, else ends the worker.

While the loop is blocked nobody is answered by this process. Python code of a plugin, and most of its waits, are broken
off by a signal, whose handler raises in the middle of them; what sits in foreign code cannot be, and then the worker
ends, so that its owner starts another. The server's own code is named in the log and left to finish.
"""

import asyncio
import faulthandler
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType

from fhir_server.plugin_host.faults import Faults
from fhir_server.plugins import Plugins

logger = logging.getLogger(__name__)
_BEAT = 0.25
_SIGNAL = signal.SIGUSR2
EXIT = 70
"""Exit status of a worker that ended itself."""


class Blocked(Exception):
    """Raised in the middle of what blocks the event loop."""


class Watchdog:
    """Watches the loop of one process from a thread.

    Args:
        folders: where the code of each plugin lies, by its name.
        limit: seconds without a turn of the loop after which something blocks it.
        end: ends the process, when nothing else helps; None where there is nobody to start another.
    """

    def __init__(
        self, faults: Faults, folders: Mapping[str, Path], limit: float, end: Callable[[], None] | None
    ) -> None:
        self._faults, self._folders, self._limit, self._end = faults, folders, limit, end
        self._last = time.monotonic()
        self._main = threading.main_thread().ident or 0
        self._stop = threading.Event()

    async def run(self) -> None:
        """Watch for as long as this runs; called in the main thread."""
        before = signal.signal(_SIGNAL, self._break_off)
        signal.siginterrupt(_SIGNAL, True)
        self._last = time.monotonic()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()
        try:
            while True:
                self._last = time.monotonic()
                await asyncio.sleep(_BEAT)
        finally:
            self._stop.set()
            signal.signal(_SIGNAL, before)

    def _watch(self) -> None:
        again = 0.0
        while not self._stop.wait(_BEAT):
            silent = time.monotonic() - self._last
            if silent < self._limit:
                again = self._limit
            elif silent >= again:
                again = silent + self._limit
                self._act(silent)

    def _act(self, silent: float) -> None:
        """Name who blocks the loop; a plugin is broken off, and at the second time the worker ends."""
        plugin, place = self._place(sys._current_frames().get(self._main))
        who = f"plugin {plugin}" if plugin else "the server"
        logger.error("%s blocks the event loop for %.1f s at %s", who, silent, place)
        if not plugin:
            return
        self._faults.note(plugin, "event loop", Blocked(place))
        if silent > 2 * self._limit and self._end is not None:
            logger.critical("plugin %s cannot be broken off; process %d ends", plugin, os.getpid())
            self._end()
        signal.pthread_kill(self._main, _SIGNAL)

    def _place(self, frame: FrameType | None) -> tuple[str, str]:
        """Return the plugin that runs, and the innermost line of it; none: the innermost line of all."""
        first = ""
        for found, line in traceback.walk_stack(frame):
            place = f"{found.f_code.co_filename}:{line} {found.f_code.co_name}"
            first = first or place
            for plugin, folder in self._folders.items():
                if Path(found.f_code.co_filename).is_relative_to(folder):
                    return plugin, place
        return "", first

    def _break_off(self, number: int, frame: FrameType | None) -> None:
        """Raise in the middle of a plugin; the loop may have gone on meanwhile, then nothing is to be done."""
        plugin, place = self._place(frame)
        if plugin:
            raise Blocked(f"broken off at {place}")


def end_worker() -> None:
    """End this process at once; its owner starts another."""
    faulthandler.dump_traceback()
    os._exit(EXIT)


def folders_of(plugins: Plugins) -> dict[str, Path]:
    """Return where the code of each plugin lies."""
    return {plugin.name: Path(plugin.module.__file__).resolve().parent for plugin in plugins.loaded}

"""Process: one worker, begun when there is something to do and again after it was lost."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from dicomweb.pixels.faults import PixelFailure
from dicomweb.pixels.wire import NO_MEMORY, receive, send

# Workers need none of the server: its package would be imported with `dicomweb`, so a bare one takes its place.
_BEGIN = (
    "import sys, types; package = types.ModuleType('dicomweb'); package.__path__ = [sys.argv[3]]; "
    "sys.modules['dicomweb'] = package; from dicomweb.pixels.worker import main; "
    "main(int(sys.argv[1]), int(sys.argv[2]))"
)
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
lost = 0
"""Workers of this process of the server that crashed or were too slow."""
_TASKS = 2_000
"""After so many a worker is replaced: native code may leak."""


class Process:
    """One worker process; used by one thread at a time.

    Args:
        memory: most bytes of its address space; 0 for no limit.
    """

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._done = 0
        self.lost = 0

    @property
    def pid(self) -> int:
        """Return its process id; 0 where none runs."""
        return self._process.pid if self._process is not None else 0

    def run(self, task: str, arguments: dict[str, Any], timeout: float) -> Any:
        """Do a task within some seconds.

        Raises:
            PixelFailure: what the worker says, or what became of it.
        """
        line = self._ready()
        deadline = time.monotonic() + timeout
        line.settimeout(timeout)
        try:
            send(line, (task, arguments))
            line.settimeout(max(deadline - time.monotonic(), 0.001))
            answer = receive(line)
        except TimeoutError as error:
            self._lose()
            raise PixelFailure("timeout", f"the pixels took longer than {timeout:g} s") from error
        except (EOFError, OSError) as error:
            raise self._crashed() from error
        self._done += 1
        if "done" in answer:
            return answer["done"]
        if answer["kind"] == "memory":
            self.close()  # what it could not give back goes with it
        raise PixelFailure(answer["kind"], answer["text"])

    def close(self) -> None:
        """End the worker."""
        line, process = self._line, self._process
        self._line = self._process = None
        if line is not None:
            line.close()
        if process is not None:
            process.kill()
            process.wait()

    def _ready(self) -> socket.socket:
        if self._done >= _TASKS or (self._process is not None and self._process.poll() is not None):
            self.close()
        if self._line is None:
            self._begin()
        assert self._line is not None
        return self._line

    def _begin(self) -> None:
        ours, theirs = socket.socketpair()
        folder = str(Path(__file__).resolve().parents[1])
        line = [sys.executable, "-s", "-c", _BEGIN, str(theirs.fileno()), str(self._memory), folder]
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "LC_ALL", "VIRTUAL_ENV")}
        environment = {**kept, **dict.fromkeys(_ONE_THREAD, "1")}
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter with our own code
                line, pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
            )
        self._line, self._done = ours, 0

    def _lose(self) -> None:
        global lost
        self.lost += 1
        lost += 1
        self.close()

    def _crashed(self) -> PixelFailure:
        process = self._process
        try:
            code = process.wait(1) if process is not None else 0
        except subprocess.TimeoutExpired:
            code = 0
        self._lose()
        if code == NO_MEMORY:
            return PixelFailure("memory", "the pixels need more memory than a worker has")
        name = signal.Signals(-code).name if -code in signal.valid_signals() else f"exit {code}"
        return PixelFailure("crashed", f"the codec crashed on these pixels ({name})")

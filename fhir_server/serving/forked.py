"""A worker that is a fork of its owner, and waits until it is given its sockets."""

import os
import signal
import socket
import subprocess
import time
import traceback
from collections.abc import Sequence

from fhir_server.api.application import Application
from fhir_server.serving.worker import run

_STEP = 0.02
_MOST_SOCKETS = 16


class Forked:
    """One such worker, as `subprocess.Popen` shows a process.

    Args:
        pipe: its other end is the owner's alone; when that closes, the worker ends.
        others: descriptors of the owner that the worker must not hold open.
    """

    def __init__(self, app: Application, pipe: int, others: Sequence[int]) -> None:
        ours, theirs = socket.socketpair()
        self.returncode: int | None = None
        self._channel = ours
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            for number in others:
                os.close(number)
            _live(app, pipe, theirs)
        theirs.close()

    @property
    def channel(self) -> int:
        """The descriptor through which the sockets go."""
        return self._channel.fileno()

    def begin(self, sockets: Sequence[socket.socket]) -> None:
        """Hand the listening sockets over."""
        socket.send_fds(self._channel, [b"."], [sock.fileno() for sock in sockets])
        self._channel.close()

    def poll(self) -> int | None:
        """Return the exit status (negative: the signal), None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end. Raises TimeoutExpired."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (status := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("worker", timeout or 0)
            time.sleep(_STEP)
        return status

    def kill(self) -> None:
        """End it at once."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


def _live(app: Application, pipe: int, channel: socket.socket) -> None:
    """Be the worker; never returns into the owner's code."""
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the owner tells when to end
        _, numbers, _, _ = socket.recv_fds(channel, 1, _MOST_SOCKETS)
        channel.close()
        if numbers:  # none: the owner could not start
            run(app, [socket.socket(fileno=number) for number in numbers], pipe)
        status = 0
    except BaseException:  # what a process would show when it ends
        traceback.print_exc()
    finally:
        os._exit(status)

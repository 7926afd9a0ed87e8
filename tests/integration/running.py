"""A real server in a process of its own, as an operator starts it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

_START_WITHIN = 90.0


@dataclass(slots=True)
class Running:
    """A server that answers: its base URL, process and data folder."""

    base: str
    process: subprocess.Popen[bytes]
    folder: Path
    log: Path

    def kill(self) -> None:
        """Kill the owner and its workers at once, as a power cut would."""
        family = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        for one in family:
            one.send_signal(signal.SIGKILL)
        psutil.wait_procs(family)
        self.process.wait()

    def stop(self) -> int:
        """Stop it as an operator does; return the exit status."""
        self.process.terminate()
        return self.process.wait(60)


def free_port() -> int:
    """Return a TCP port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def command(name: str, *arguments: str | Path) -> list[str]:
    """Return the command line of `fhir-server NAME ...`."""
    return [sys.executable, "-m", "fhir_server.cli", name, *map(str, arguments)]


def start(folder: Path, *flags: str, demo: bool = False, logs: Path | None = None, scheme: str = "http") -> Running:
    """Start a server and wait until it answers; its log lies beside its folder, or in `logs`.

    It is open to everybody unless the flags say otherwise.
    """
    port = free_port()
    log = (logs or folder.parent) / f"{folder.name}.log"
    arguments = ["--port", str(port), "--data-dir", str(folder), "--demo" if demo else "--no-demo"]
    arguments += [*flags] if "--auth" in flags else ["--auth", "none", *flags]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FHIR_SERVER_")}
    with log.open("ab") as stream:
        process = subprocess.Popen(command("serve", *arguments), stderr=stream, stdout=stream, env=environment)
    running = Running(f"{scheme}://127.0.0.1:{port}/fhir", process, folder, log)
    deadline = time.monotonic() + _START_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{running.base}/metadata", timeout=30, verify=False).is_success:
                return running
        except httpx.TransportError:
            time.sleep(0.05)
    process.kill()
    process.wait()
    raise AssertionError(f"the server did not start: {log.read_text()[-2000:]}")


@contextmanager
def running(
    folder: Path, *flags: str, demo: bool = False, logs: Path | None = None, scheme: str = "http"
) -> Iterator[Running]:
    """Run a server for a while and stop it."""
    server = start(folder, *flags, demo=demo, logs=logs, scheme=scheme)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()

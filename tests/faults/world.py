"""A server, its store and a proxy between them: what is broken in the tests of faults."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.faults.proxy import Proxy
from tests.integration.running import Running, free_port, running
from tests.servers.mongodb import BINARY

INSTALLED = Path(__file__).parents[1] / "integration" / "installed"
LEASE = 4


@dataclass(slots=True)
class Ferret:
    """FerretDB of one test, which may be stopped, killed and started again on the same data and port."""

    folder: Path
    port: int = field(default_factory=free_port)
    host: str = "127.0.0.1"
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start it."""
        self.folder.mkdir(exist_ok=True)
        line = [str(BINARY), f"{self.host}:{self.port}", str(self.folder)]
        self.process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                socket.create_connection((self.host, self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise AssertionError("FerretDB did not start")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill it as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End it."""
        if self.process is not None and self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait(10)


@dataclass(slots=True)
class World:
    """What the tests break."""

    ferret: Ferret
    proxy: Proxy
    server: Running
    folder: Path

    @property
    def root(self) -> str:
        """The URL beside the FHIR endpoint."""
        return self.server.base.removesuffix("/fhir")

    def notes(self) -> list[str]:
        """Return the changes that the consumer was given, `Type/id/_history/n`."""
        file = self.folder / "notes"
        return [line.split()[2] for line in file.read_text().splitlines()] if file.exists() else []

    def ready(self) -> int:
        """Return what `/health/ready` answers."""
        return httpx.get(f"{self.root}/health/ready", timeout=10).status_code

    def until(self, status: int, within: float) -> float:
        """Wait until `/health/ready` answers so; return after how many seconds it did."""
        began = time.monotonic()
        while self.ready() != status:
            assert time.monotonic() - began < within, f"/health/ready is not {status} after {within} s"
            time.sleep(0.05)
        return time.monotonic() - began


def flags(url: str, name: str = "faults") -> list[str]:
    """Return the flags of a node."""
    settings = {
        "storage": "mongodb", "mongodb-url": url, "mongodb-database": name, "mongodb-lease": LEASE,
        "mongodb-timeout": 3, "plugins-dir": INSTALLED, "plugins-disabled": _others(), "metrics": "open",
    }  # fmt: skip
    return [part for name, value in settings.items() for part in (f"--{name}", str(value))]


def _others() -> str:
    from importlib.metadata import entry_points

    return ",".join(point.name for point in entry_points(group="fhir_server.plugins"))


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """Run a server whose store is behind a proxy."""
    os.environ["NOTES_OUT"] = str(folder)
    ferret = Ferret(folder / "ferret")
    try:
        ferret.start()
        with ExitStack() as stack:
            proxy = stack.enter_context(Proxy(ferret.port, wire="mongodb"))
            server = stack.enter_context(running(folder / "data", *flags(f"mongodb://127.0.0.1:{proxy.port}/")))
            yield World(ferret, proxy, server, folder)
            proxy.heal()
    finally:
        os.environ.pop("NOTES_OUT", None)
        ferret.close()

"""A server that AEs may call, on a free port of this machine."""

import atexit
import gc
import os
import shutil
import socket
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fhir_server.testing.server import TestServer, serving
from tests.plugins.only import but

TITLE = "FHIRSERVER"
EVERYTHING = ["echo", "store", "find", "move", "get", "worklist", "mpps", "commitment"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let pass what pynetdicom's own threads throw when we end an association earlier than they thought, and the
    sockets that they leave to the collector."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"))


@pytest.fixture(scope="module", autouse=True)
def swept() -> Iterator[None]:
    """Collect the sockets that pynetdicom leaves open, lest a later test is blamed for them.

    It waits by `select`, and takes a connection beyond the 1,024th open file for a broken one.
    """
    assert len(os.listdir("/dev/fd")) < 900, "too many open files for pynetdicom: what has left them open?"
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def free_port() -> int:
    """Return a port that nobody listens on, and that nobody else is given until the process ends."""
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # whoever listens there later says so too
    found.bind(("127.0.0.1", 0))
    atexit.register(found.close)
    return int(found.getsockname()[1])


@dataclass
class Site:
    """A server, the port on which it is called, and the file of its table."""

    server: TestServer
    port: int
    table: Path

    def dcmtk(self, tool: str, *arguments: str, title: str = "CT1", **more: Any) -> "subprocess.CompletedProcess[str]":
        """Run a tool of dcmtk against it."""
        command = [f"/usr/bin/{tool}", "-aet", title, "-aec", TITLE, "127.0.0.1", str(self.port), *arguments]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=os.environ | {"TCP_NODELAY": "1"},
            **more,
        )


@contextmanager
def listening(folder: Path, table: str, **settings: Any) -> Iterator[Site]:
    """Start a server with a table of AEs."""
    port, file = free_port(), folder / "aes.toml"
    file.write_text(table)
    chosen = {"dimse_port": port, "dimse_table": str(file), "dimse_pause": 0.2, **settings.pop("dicom", {})}
    with serving(real_time=True, plugins_disabled=but("dicomweb"), plugins={"dicomweb": chosen}, **settings) as server:
        wait_for(port)
        yield Site(server, port, file)


def wait_for(port: int) -> None:
    """Wait until somebody listens."""
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError("nobody listens")


def eventually(holds: Callable[[], Any], seconds: float = 10) -> Any:
    """Return what is there once it is something."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := holds():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come about")


def ae(title: str, port: int = 0, may: list[str] | None = None, **more: str) -> str:
    """Return a row of the table."""
    told = "".join(f"{name} = {value}\n" for name, value in more.items())
    return f'[[ae]]\ntitle = "{title}"\nhost = "127.0.0.1"\nport = {port}\nmay = {may or EVERYTHING}\n{told}\n'


@pytest.fixture(scope="module")
def dcmtk() -> None:
    """Debian's dcmtk, by its full path: pynetdicom has tools of the same names."""
    if not shutil.which("/usr/bin/storescu"):
        pytest.skip("dcmtk is not installed: apt-get install dcmtk")

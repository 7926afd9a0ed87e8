"""The local door: how a command speaks to the process that owns the data folder, or becomes its owner for a while."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from fhir_server.plugins.registrations import CommandFailed as CommandFailed
from fhir_server.serving.maintenance import owner_of
from fhir_server.settings import Settings

FHIR_SOCKET = "fhir.sock"
CONTROL_SOCKET = "control.sock"
BACKGROUND_SOCKET = "background.sock"
_START_WITHIN = 120.0
_TIMEOUT = httpx.Timeout(600.0, connect=5.0)


def client(socket_path: Path) -> httpx.Client:
    """Return an HTTP client that speaks through a Unix socket."""
    return httpx.Client(transport=httpx.HTTPTransport(uds=str(socket_path)), base_url="http://local", timeout=_TIMEOUT)


def need_record(settings: Settings) -> None:
    """Hold that there is a record to read; otherwise an empty one would be made, and copied as if all were well.

    Raises:
        CommandFailed: the data folder has none.
    """
    record = settings.data_dir / "tenants" / "default" / "record.db"
    if not settings.shared and not record.exists() and owner_of(settings.data_dir) is None:
        raise CommandFailed(
            f"there is no record in {settings.data_dir}: see whether data_dir is right, and its disk there"
        )


def need_writable(folder: Path) -> None:
    """Hold that something can be written in a data folder that is there. Raises CommandFailed."""
    if folder.is_dir() and not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise CommandFailed(
            f"nothing can be written in the data folder {folder}: see who owns it and how it is mounted"
        )


@contextmanager
def open_door(settings: Settings) -> Iterator[Path]:
    """Give the data folder of a live owner; without one, run a server that only local commands reach meanwhile."""
    owner = owner_of(settings.data_dir)
    if owner is not None:
        if not owner.control:
            raise CommandFailed(f"{settings.data_dir} is in use by {owner.address} (process {owner.pid})")
        _wait_until_ready(settings.data_dir)  # it may have started a moment ago
        yield settings.data_dir
        return
    need_writable(settings.data_dir)
    process = subprocess.Popen(
        [sys.executable, "-m", "fhir_server.serving.supervisor"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert process.stdin is not None
    process.stdin.write(settings.model_copy(update={"demo": False}).model_dump_json().encode() + b"\n")
    process.stdin.flush()
    try:
        _wait_until_ready(settings.data_dir, process)
        yield settings.data_dir
    finally:
        process.stdin.close()
        process.wait()


@contextmanager
def local_client(settings: Settings, *, begins: bool) -> Iterator[httpx.Client]:
    """Give a client of the server that owns the data folder, as its operator; `begins`: a record may be made."""
    if not begins:
        need_record(settings)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with open_door(settings) as folder, client(folder / FHIR_SOCKET) as http:
        yield http


def _wait_until_ready(folder: Path, process: subprocess.Popen[bytes] | None = None) -> None:
    deadline = time.monotonic() + _START_WITHIN
    while time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            raise CommandFailed(f"the store in {folder} could not be opened")
        if _listens(folder / CONTROL_SOCKET):
            with suppress(httpx.TransportError), client(folder / CONTROL_SOCKET) as door:
                if door.get("/status").status_code == httpx.codes.OK:
                    return
        time.sleep(0.05)
    raise CommandFailed(f"the store in {folder} did not open within {_START_WITHIN:.0f} s")


def _listens(path: Path) -> bool:
    """Tell whether somebody is there; httpx leaves a socket open when nobody is."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0

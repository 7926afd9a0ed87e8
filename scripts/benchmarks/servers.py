"""Servers under test: ours in processes of its own, and a bare ASGI app of the same make for the ratio."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

_BARE = """
import sys
BODY = bytes.fromhex(sys.argv[1]) if len(sys.argv) > 1 else b""
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    headers = [(b"content-type", b"application/fhir+json"), (b"content-length", b"%d" % len(BODY))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})
"""


AUDITED = ("--auth", "smart", "--audit", "on")


def free_port() -> int:
    """Return a TCP port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def ours(
    folder: Path, *, workers: int = 2, flags: tuple[str, ...] = (), environment: Mapping[str, str] | None = None
) -> Iterator[tuple[int, psutil.Process, float]]:
    """Run our server on a data folder; yield its port, its owner process and the seconds until it was ready.

    environment: in place of this process's.
    """
    port = free_port()
    command = [sys.executable, "-m", "fhir_server.cli", "serve", "--port", str(port), "--data-dir", str(folder)]
    command += ["--workers", str(workers), "--no-demo"]
    command += [*flags] if "--auth" in flags else ["--auth", "none", *flags]
    begun = time.perf_counter()
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment)
    try:
        _wait(f"http://127.0.0.1:{port}/fhir/metadata")
        yield port, psutil.Process(process.pid), time.perf_counter() - begun
    finally:
        process.terminate()
        process.wait()


@contextmanager
def bare(body: bytes, folder: Path, *, workers: int = 2) -> Iterator[tuple[int, psutil.Process]]:
    """Run a bare ASGI app under the same HTTP server with as many workers, answering everything with `body`."""
    port = free_port()
    (folder / "bare.py").write_text(
        _BARE.replace('bytes.fromhex(sys.argv[1]) if len(sys.argv) > 1 else b""', repr(body))
    )
    command = [sys.executable, "-m", "uvicorn", "bare:app", "--port", str(port), "--workers", str(workers)]
    command += ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
    process = subprocess.Popen(command, cwd=folder)
    try:
        _wait(f"http://127.0.0.1:{port}/")
        yield port, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def _wait(url: str) -> None:
    for _ in range(3000):
        try:
            if httpx.get(url, timeout=30).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.01)
    raise SystemExit(f"{url} did not answer")


def resident(process: psutil.Process) -> list[int]:
    """Return the resident megabytes of the process and its children."""
    return [round(one.memory_info().rss / 1e6) for one in [process, *process.children(recursive=True)]]

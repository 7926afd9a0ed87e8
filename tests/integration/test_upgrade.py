"""From the release before to this one and back: a real older release, taken from the history, on the same store."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import httpx
import pytest

from fhir_server.settings import Settings
from fhir_server.storage.mongodb.store import open_alone
from tests.integration.running import free_port
from tests.plugins.only import but
from tests.servers.mongodb import fresh, mongodb_url

ROOT = Path(__file__).resolve().parents[2]
BEFORE = "9fc2935"
"""The release before this one: the newest commit of the session before."""

_OWN = re.compile(rb'^\{"resourceType":"Bundle","id":"[^"]*","meta":\{"lastUpdated":"[^"]*"\}')
_WITHIN = 90.0
URLS = (
    "Patient?_sort=_id", "Patient/one/_history", "Patient/one/_history/1", "Patient?gender=female&_sort=_id",
    "Observation?subject=Patient/one&_include=Observation:subject", "Patient?_has:Observation:subject:status=final",
    "Patient/gone", "Observation/o/_history",
)  # fmt: skip


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree of the release before."""
    tree = tmp_path_factory.mktemp("before")
    known = subprocess.run(
        ["git", "cat-file", "-e", f"{BEFORE}^{{commit}}"], cwd=ROOT, capture_output=True, check=False
    )
    if known.returncode:
        pytest.skip(f"test data: this clone has no history down to {BEFORE}")
    names = ("fhir_server", "profiles", "terminology", "plugins", "dicomweb", "pyproject.toml")
    packed = subprocess.run(["git", "archive", BEFORE, *names], cwd=ROOT, capture_output=True, check=True)
    subprocess.run(["tar", "-x", "-C", tree], input=packed.stdout, check=True)
    return tree


@contextmanager
def serving(tree: Path, folder: Path, *flags: str) -> Iterator[httpx.Client]:
    """Run the server of a release as a process."""
    port, log = free_port(), folder.parent / f"{folder.name}.log"
    with log.open("ab") as stream:
        command = [*_command(tree, "serve", folder), "--port", str(port), "--no-demo", "--auth", "none", *flags]
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=_environment(tree), cwd=tree)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/fhir/", timeout=60) as client:
            until = time.monotonic() + _WITHIN
            while not _answers(client):
                assert process.poll() is None and time.monotonic() < until, log.read_text()[-2_000:]
                time.sleep(0.05)
            yield client
    finally:
        process.terminate()
        assert process.wait(60) == 0 or process.returncode == 1


def _command(tree: Path, name: str, folder: Path) -> list[str]:
    return [sys.executable, "-m", "fhir_server.cli", name, "--data-dir", str(folder)]


def _environment(tree: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FHIR_SERVER_")}
    without = {"FHIR_SERVER_PLUGINS_DISABLED": ",".join(but())}
    return {**kept, **without, "PYTHONPATH": f"{tree}{os.pathsep}{tree / 'plugins'}"}


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("metadata").is_success
    except httpx.TransportError:
        return False


def put(client: httpx.Client, type_: str, id_: str, **members: Any) -> None:
    answer = client.put(f"{type_}/{id_}", json={"resourceType": type_, "id": id_, **members})
    assert answer.status_code in (200, 201), answer.text


def everything(client: httpx.Client) -> dict[str, tuple[int, bytes]]:
    """Return what a server answers, without the ids and instants of its Bundles and without its own address."""
    base = str(client.base_url).rstrip("/").encode()
    found = {}
    for url in URLS:
        answer = client.get(url)
        found[url] = (answer.status_code, _OWN.sub(b"", answer.content).replace(base, b""))
    return found


def fill(client: httpx.Client) -> None:
    """Write a history, a deletion and a transaction."""
    put(client, "Patient", "one", gender="male")
    put(client, "Patient", "one", gender="female")
    put(client, "Patient", "gone")
    assert client.delete("Patient/gone").is_success
    observation = {
        "resourceType": "Observation", "id": "o", "status": "final", "subject": {"reference": "Patient/one"},
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
    }  # fmt: skip
    entries = [{"resource": observation, "request": {"method": "PUT", "url": "Observation/o"}}]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    assert client.post("", json=bundle).is_success


def upgrade(action: str, folder: Path, *flags: str) -> str:
    """Run `fhir-server upgrade` of this release."""
    command = [*_command(ROOT, "upgrade", folder), action, *flags]
    done = subprocess.run(command, env=_environment(ROOT), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.long
def test_an_embedded_store_goes_to_this_release_and_back(older: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with serving(older, folder) as before:
        fill(before)
        known = everything(before)
    with serving(ROOT, folder) as now:
        assert everything(now) == known
        put(now, "Patient", "two", gender="female")
        put(now, "Patient", "one", gender="female", active=True)
        assert upgrade("status", folder) == "default: format 3, up to date\n"
        known = everything(now)
    with serving(older, folder) as before:
        assert everything(before) == known
        put(before, "Patient", "three")
    _set_format(folder, 4)
    with (
        pytest.raises(
            AssertionError, match=r"format 4, but this server knows up to 3: it was written by a newer release"
        ),
        serving(older, folder),
    ):
        pass


def _set_format(folder: Path, number: int) -> None:
    record = apsw.Connection(str(folder / "tenants/default/record.db"))
    record.execute("UPDATE meta SET value=? WHERE key='format'", (number,))
    record.close()


async def test_nodes_on_one_database_are_upgraded_one_after_the_other_and_back(older: Path, tmp_path: Path) -> None:
    flags = ("--storage", "mongodb", "--mongodb-url", mongodb_url(), "--mongodb-database", fresh("u"))
    with serving(older, tmp_path / "a", *flags) as before:
        fill(before)
        with serving(ROOT, tmp_path / "b", *flags) as now:
            for number in range(3):
                put(before, "Patient", f"a{number}")
                put(now, "Patient", f"b{number}")
                put(now, "Patient", f"a{number}", gender="female")
            assert everything(before) == everything(now)
            assert upgrade("status", tmp_path / "b", *flags) == "default: format 1, waits: format 3\n"
        put(before, "Patient", "last")
        known = everything(before)
    with serving(older, tmp_path / "a", *flags) as before:
        assert everything(before) == known, "the release before opens what this one has opened"
    settings = Settings(storage="mongodb", mongodb_url=flags[3], mongodb_database=flags[5])
    store = await open_alone(f"{flags[5]}_default", settings, lambda: 0)
    assert await store.upgrade(finish=True) == (3, 3) == await store.upgrade(finish=True)
    await store.close()

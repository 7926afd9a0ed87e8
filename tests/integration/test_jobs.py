"""Jobs on a server of several processes: any of them answers for a job, and a job outlives the process that ran it."""

import json
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.running import Running, command, running, start

Json = dict[str, Any]
MANY = 8_000
TWO_WORKERS = ("--workers", "2")
ASYNC = {"prefer": "respond-async"}
_WITHIN = 90.0


def _load(folder: Path, count: int) -> None:
    """Load patients into a folder that no server runs on."""
    source = folder.parent / "patients.ndjson"
    with source.open("w") as stream:
        for number in range(count):
            stream.write(json.dumps(_patient(number)) + "\n")
    done = subprocess.run(command("load", "--data-dir", folder, source), capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr


def _patient(number: int) -> Json:
    """A patient with many index rows, so that a reindex takes its time."""
    return {
        "resourceType": "Patient",
        "id": f"p{number}",
        "name": [{"family": f"Family{number}", "given": [f"Given{n}x{number}" for n in range(8)]}],
        "identifier": [{"system": f"urn:test:{n}", "value": f"{number}"} for n in range(8)],
        "address": [{"city": f"City{n}x{number}", "postalCode": f"{n}{number}"} for n in range(4)],
    }


def _submit(server: Running, method: str, path: str) -> str:
    """Ask for a job; return its id."""
    answer = httpx.request(method, f"{server.base}/{path}", headers=ASYNC, timeout=60)
    assert answer.status_code == 202, answer.text
    where = answer.headers["content-location"]
    assert where.startswith(f"{server.base}/$job/")
    return where.rpartition("/")[2]


def _poll(server: Running, job: str) -> httpx.Response:
    """Ask for a job over a connection of its own, so that all workers are asked in turn."""
    return httpx.get(f"{server.base}/$job/{job}", timeout=60)


def _finished(server: Running, job: str) -> Json:
    """Poll to the end; return the result."""
    deadline = time.monotonic() + _WITHIN
    while (answer := _poll(server, job)).status_code == 202:
        assert answer.headers["retry-after"] and answer.headers["x-progress"]
        assert time.monotonic() < deadline, answer.headers["x-progress"]
        time.sleep(0.2)
    assert answer.status_code == 200, answer.text
    result: Json = answer.json()
    return result


def _begun(server: Running, job: str) -> int:
    """Wait until a job is at work and not done; return how far it came."""
    deadline = time.monotonic() + _WITHIN
    while time.monotonic() < deadline:
        answer = _poll(server, job)
        assert answer.status_code == 202, f"the job was too fast to be killed: {answer.text[:200]}"
        if found := re.match(r"([1-9]\d*)/(\d+) running", answer.headers["x-progress"]):
            assert int(found[1]) < int(found[2])
            return int(found[1])
        time.sleep(0.02)
    raise AssertionError("the job did not begin")


def _count(result: Json) -> int:
    return next(int(part["valueUnsignedInt"]) for part in result["parameter"] if part["name"] == "count")


@pytest.mark.slow
def test_every_worker_answers_for_a_job(tmp_path: Path) -> None:
    _load(tmp_path / "data", 300)
    with running(tmp_path / "data", *TWO_WORKERS) as server:
        search = _submit(server, "GET", "Patient?family:exact=Family7")
        reindex = _submit(server, "POST", "$reindex")
        bundle = _finished(server, search)
        assert bundle["type"] == "batch-response"
        assert bundle["entry"][0]["response"]["status"].startswith("200")
        assert bundle["entry"][0]["resource"]["entry"][0]["resource"]["id"] == "p7"
        assert _count(_finished(server, reindex)) == 300
        assert all(_poll(server, job).json() == _poll(server, job).json() for job in (search, reindex) * 5)
        httpx.delete(f"{server.base}/$job/{search}").raise_for_status()
        assert {_poll(server, search).status_code for _ in range(10)} == {404}


@pytest.mark.slow
def test_a_reindex_that_was_killed_is_taken_over_after_the_restart(tmp_path: Path) -> None:
    _load(tmp_path / "data", MANY)
    server = start(tmp_path / "data", *TWO_WORKERS)
    try:
        job = _submit(server, "POST", "$reindex")
        came_to = _begun(server, job)
    finally:
        server.kill()
    with running(tmp_path / "data", *TWO_WORKERS) as again:
        left = _poll(again, job)
        assert left.status_code == 202
        assert int(left.headers["x-progress"].partition("/")[0]) >= came_to
        assert _count(_finished(again, job)) == MANY
        found = httpx.get(f"{again.base}/Patient?family=Family{MANY - 1}&_elements=id", timeout=60).json()
        assert [entry["resource"]["id"] for entry in found["entry"]] == [f"p{MANY - 1}"]

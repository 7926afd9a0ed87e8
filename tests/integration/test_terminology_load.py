"""`fhir-server terminology` beside a server: what is loaded is seen, what is half loaded never is."""

import json
import random
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from tests.integration.running import command, running

_ROWS = 60_000
_ROUNDS = 8
_URL = "urn:example:many"


def _write(folder: Path) -> Path:
    path = folder / "many.csv"
    lines = (f"C{number},Thing {number},C{(number - 1) // 7}\n" for number in range(1, _ROWS))
    path.write_text("code,display,parent\nC0,Everything,\n" + "".join(lines))
    return path


def _load(path: Path, data: Path) -> subprocess.Popen[bytes]:
    arguments = command("terminology", "load", "csv", path, "--url", _URL, "--version", "1", "--data-dir", data)
    return subprocess.Popen(arguments, stderr=subprocess.DEVNULL)


def _lookup(base: str, code: str) -> httpx.Response:
    return httpx.get(f"{base}/CodeSystem/$lookup", params={"system": _URL, "code": code}, timeout=60)


@pytest.mark.slow
def test_a_load_that_is_killed_leaves_nothing_in_force_and_the_next_one_is_seen_by_the_server(tmp_path: Path) -> None:
    path, data = _write(tmp_path), tmp_path / "data"
    with running(data, "--workers", "2") as server:
        assert _lookup(server.base, "C1").status_code >= 400
        dice, began = random.Random(3), time.monotonic()
        whole = _load(path, tmp_path / "elsewhere")
        assert whole.wait(120) == 0
        takes = time.monotonic() - began
        for _ in range(_ROUNDS):
            load = _load(path, data)
            time.sleep(takes * dice.uniform(0.1, 0.9))
            load.kill()
            load.wait()
            if list((data / "terminology").glob("*.codes")):
                break  # it was faster than usual, and is whole
            assert _lookup(server.base, "C1").status_code >= 400
        load = _load(path, data)
        assert load.wait(120) == 0
        assert not list((data / "terminology").glob("*.building"))
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and _lookup(server.base, "C1").status_code != 200:
            time.sleep(0.2)
        answers = [_lookup(server.base, f"C{_ROWS - 1}") for _ in range(6)]
        assert [answer.status_code for answer in answers] == [200] * 6
        children = {"system": _URL, "filter": [{"property": "parent", "op": "=", "value": "C1"}]}
        body = {"resourceType": "ValueSet", "status": "active", "compose": {"include": [children]}}
        answer = httpx.post(
            f"{server.base}/ValueSet/$expand",
            content=json.dumps({"resourceType": "Parameters", "parameter": [{"name": "valueSet", "resource": body}]}),
            headers={"content-type": "application/fhir+json"},
            timeout=60,
        )
        assert [each["code"] for each in answer.json()["expansion"]["contains"]] == [f"C{n}" for n in range(8, 15)]
        removed = subprocess.run(command("terminology", "remove", _URL, "--data-dir", data), check=True)
        assert removed.returncode == 0
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and _lookup(server.base, "C1").status_code == 200:
            time.sleep(0.2)
        assert _lookup(server.base, "C1").status_code >= 400


def test_what_cannot_be_loaded_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("code\nA\nA\n")
    for arguments, message in (
        (("load", "csv", tmp_path / "a.csv", "--url", "urn:a"), "the code 'A' is defined twice"),
        (("load", "csv", tmp_path / "none.csv", "--url", "urn:a"), "none.csv does not exist"),
        (("load", "snomed", tmp_path), "has no concepts of a snapshot in RF2"),
        (("load", "other", tmp_path), "load takes a KIND"),
        (("remove", "urn:a"), "urn:a was not loaded here"),
    ):
        done = subprocess.run(
            command("terminology", *arguments, "--data-dir", tmp_path / "data"), capture_output=True, text=True
        )
        assert done.returncode == 1
        assert message in done.stderr
        assert "Traceback" not in done.stderr
    listed = subprocess.run(
        command("terminology", "list", "--data-dir", tmp_path / "data"), capture_output=True, text=True, check=True
    )
    assert "urn:a" not in listed.stdout

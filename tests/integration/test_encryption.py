"""Encryption as an operator uses it: switched on, rotated, lost and recovered; the disk never shows a patient."""

import json
import os
import random
import shutil
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from tests.integration.running import command, running, start

NAME = "Kowalskiewicz"
PATIENT = {"resourceType": "Patient", "name": [{"family": NAME, "given": ["Zdzislawa"]}], "birthDate": "1970-01-01"}
ON = ("--encryption", "on")


def _run(name: str, *arguments: str | Path, status: int = 0, **environment: str) -> str:
    """Run a command; return what it wrote."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("FHIR_SERVER_")}
    done = subprocess.run(
        command(name, *arguments), capture_output=True, text=True, timeout=180, env={**known, **environment}
    )
    assert done.returncode == status, done.stderr
    return done.stdout + done.stderr


def _ready(folder: Path, recovery: Path) -> None:
    _run("keys", "init", "--data-dir", folder, "--recovery-file", recovery)
    _run("keys", "confirm", "--data-dir", folder, "--recovery-file", recovery)


def _plain(folder: Path) -> list[str]:
    """The files in which the patient's name stands."""
    words = (NAME.encode(), NAME.lower().encode(), NAME.upper().encode(), b"Zdzislawa", b"zdzislawa")
    found = []
    for path in folder.rglob("*"):
        if path.is_file() and any(word in path.read_bytes() for word in words):
            found.append(str(path))
    return found


def _fill(base: str, count: int = 20) -> None:
    with httpx.Client(base_url=base, timeout=60) as http:
        for number in range(count):
            http.put(f"/Patient/p{number}", json={**PATIENT, "id": f"p{number}"}).raise_for_status()
        http.delete("/Patient/p0").raise_for_status()
        assert _total(base, f"Patient?_content={NAME}") >= count - 1


def _total(base: str, query: str) -> int:
    answer = httpx.get(f"{base}/{query}&_summary=count", timeout=60)
    return int(answer.raise_for_status().json()["total"])


def test_no_command_leaves_a_patient_on_the_disk(tmp_path: Path) -> None:
    folder, copy = tmp_path / "data", tmp_path / "copy"
    _ready(folder, tmp_path / "recovery.txt")
    source = tmp_path / "outside" / "patients.ndjson"
    source.parent.mkdir()
    source.write_text("".join(json.dumps({**PATIENT, "id": f"l{number}"}) + "\n" for number in range(50)))
    _run("load", source, "--data-dir", folder, *ON)
    assert _plain(folder) == []
    with running(folder, *ON, "--workers", "2") as server:
        _fill(server.base)
        assert _plain(folder) == []
        _run("reindex", "--data-dir", folder, *ON)
        _run("backup", copy, "--data-dir", folder, *ON, "--patient-keys-copy", tmp_path / "keys")
        for _ in range(3):
            assert "are under new keys" in _run("keys", "rotate", "--data-dir", folder)
            assert "record up to date" in _run("keys", "status", "--data-dir", folder)
            assert _total(server.base, f"Patient?family={NAME}") == 69
        _fill(server.base, 5)
        assert _plain(folder) == _plain(copy) == []
        server.kill()
    assert _plain(folder) == []
    with running(folder, *ON, "--workers", "2") as server:
        assert _total(server.base, f"Patient?family={NAME}") == 69
        assert "record up to date" in _run("keys", "status", "--data-dir", folder)
    _run("keys", "rotate", "--data-dir", folder)
    assert _plain(folder) == []
    with running(folder, *ON) as server:
        assert _total(server.base, f"Patient?family={NAME}") == 69


def test_a_backup_and_the_recovery_file_bring_an_empty_machine_back(tmp_path: Path) -> None:
    folder, copy, safe = tmp_path / "data", tmp_path / "copy", tmp_path / "safe.txt"
    keys = tmp_path / "keys"
    _ready(folder, safe)
    with running(folder, *ON) as server:
        _fill(server.base)
        assert "keys of patients" in _run("backup", tmp_path / "none", "--data-dir", folder, *ON, status=1)
        _run("backup", copy, "--data-dir", folder, *ON, "--patient-keys-copy", keys)
    for lost in (folder, tmp_path / "data.patient-keys"):
        shutil.rmtree(lost)
    (tmp_path / "data.master.key").unlink()

    third = tmp_path / "third"
    assert "--patient-keys-copy" in _run("restore", copy, "--data-dir", third, *ON, status=1)
    _run("restore", copy, "--data-dir", third, *ON, "--recovery-file", safe, "--patient-keys-copy", keys)
    assert "record up to date" in _run("keys", "status", "--data-dir", third)
    again = tmp_path / "again"
    _run("restore", copy, "--data-dir", again, *ON, "--patient-keys-copy", keys)
    assert "master key" in _run("serve", "--data-dir", again, "--auth", "none", "--no-demo", *ON, status=1)
    _run("keys", "recover", "--data-dir", again, "--recovery-file", safe)
    with running(again, *ON) as server:
        assert _total(server.base, f"Patient?family={NAME}") == 19
        _fill(server.base)
    assert _plain(again) == _plain(copy) == []


def test_a_server_says_why_it_does_not_start(tmp_path: Path) -> None:
    folder, safe = tmp_path / "data", tmp_path / "safe.txt"
    serve = ("serve", "--data-dir", folder, "--auth", "none", "--no-demo", "--port", "0")
    assert "keys init" in _run(*serve, *ON, status=1)
    _run("keys", "init", "--data-dir", folder, "--recovery-file", safe)
    assert "not confirmed" in _run(*serve, *ON, status=1)
    _run("keys", "confirm", "--data-dir", folder, "--recovery-file", safe)
    with running(folder, *ON):
        pass
    assert "needs encryption=on" in _run(*serve, status=1)
    (tmp_path / "other.key").write_text("00" * 32)
    assert "was wrapped by file:" in _run(*serve, "--encryption-key", f"file:{tmp_path / 'other.key'}", status=1)
    assert "must be one of" in _run(*serve, "--encryption-key", "paper:here", status=1)
    assert "within the data folder" in _run(
        "keys", "init", "--data-dir", tmp_path / "new", "--recovery-file", tmp_path / "new" / "x.txt", status=1
    )
    assert "recovery key already" in _run("keys", "init", "--data-dir", folder, status=1)


@pytest.mark.slow
def test_encrypting_a_plain_store_survives_kill_9(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    _ready(folder, tmp_path / "safe.txt")
    server = start(folder)
    try:
        _fill(server.base, 200)
    finally:
        server.kill()
    assert _plain(folder) != []
    dice, kills = random.Random(4), 0
    for _ in range(12):
        process = subprocess.Popen(command("keys", "encrypt", "--data-dir", folder), stderr=subprocess.DEVNULL)
        try:
            process.wait(dice.uniform(0.3, 1.6))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
    _run("keys", "encrypt", "--data-dir", folder)
    assert kills > 0
    assert _plain(folder) == []
    with running(folder, *ON) as server:
        assert _total(server.base, f"Patient?family={NAME}") == 199


@pytest.mark.slow
def test_rotating_keys_survives_kill_9(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    _ready(folder, tmp_path / "safe.txt")
    with running(folder, *ON) as server:
        _fill(server.base, 100)
    dice = random.Random(5)
    for _ in range(10):
        process = subprocess.Popen(command("keys", "rotate", "--data-dir", folder), stderr=subprocess.DEVNULL)
        time.sleep(dice.uniform(0.3, 1.6))
        process.kill()
        process.wait()
    with running(folder, *ON) as server:
        assert _total(server.base, f"Patient?family={NAME}") == 99
    assert "record up to date" in _run("keys", "status", "--data-dir", folder)

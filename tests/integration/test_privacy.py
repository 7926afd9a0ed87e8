"""Erasure and export as an operator asks for them, and a backup that does not revive the erased."""

import json
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import httpx

from tests.integration.running import command, running

SECRET = "Quastenflosser-4711"


def _run(name: str, folder: Path, *arguments: str | Path, status: int = 0) -> Any:
    done = subprocess.run(
        command(name, "--data-dir", folder, "--auth", "none", *arguments),
        capture_output=True, text=True, timeout=180, cwd=folder.parent,
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout) if done.stdout.strip() else done.stderr


def _holding(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


def test_a_restored_backup_does_not_revive_the_erased(tmp_path: Path) -> None:
    folder, saved, again = tmp_path / "store", tmp_path / "saved", tmp_path / "again"
    with running(folder) as server:
        for id_, family in (("a", SECRET), ("b", "Muster")):
            body = {"resourceType": "Patient", "id": id_, "identifier": [{"value": f"{family}-1"}]}
            assert httpx.put(f"{server.base}/Patient/{id_}", json=body).status_code == 201
        _run("backup", folder, saved)
        assert "legal hold (case 7)" in _hold_and_try(folder)
        certificate = _run("privacy", folder, "erase", "a")
        assert certificate["outcome"] == "erased"
        assert httpx.get(f"{server.base}/Patient/a").status_code == 410
    assert _holding(folder) == []
    assert _holding(saved) != []
    register = tmp_path / "register.ndjson"
    shutil.copyfile(folder / "erasures.ndjson", register)
    said = _run("restore", again, saved, "--erasures", register)
    assert "default: 1 patients erased again" in said
    assert _holding(again) == []
    with running(again) as server:
        assert httpx.get(f"{server.base}/Patient/a").status_code == 410
        assert httpx.get(f"{server.base}/Patient/b").status_code == 200


def _hold_and_try(folder: Path) -> str:
    _run("privacy", folder, "hold", "a", "--reason", "case 7")
    said = str(_run("privacy", folder, "erase", "a", status=1))
    _run("privacy", folder, "release", "a")
    return said


def test_without_a_register_a_restore_says_what_may_be_back(tmp_path: Path) -> None:
    folder, saved, again = tmp_path / "store", tmp_path / "saved", tmp_path / "again"
    with running(folder):
        _run("backup", folder, saved)
    assert "there is no register of erasures" in _run("restore", again, saved)


def test_a_patient_is_exported_to_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    with running(folder) as server:
        body = {"resourceType": "Patient", "id": "a", "identifier": [{"value": SECRET}]}
        assert httpx.put(f"{server.base}/Patient/a", json=body).status_code == 201
        _run("privacy", folder, "export", "a", "--out", tmp_path / "a.zip")
        policies = tmp_path / "policies.json"
        policies.write_text('[{"name": "p", "type": "Observation", "days": 1, "action": "erase"}]')
        assert _run("privacy", folder, "retention", "--policies", policies, "--apply")["dryRun"] is False
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert SECRET.encode() in archive.read("Patient.ndjson")

"""`fhir-server tenants` on real servers, several workers, and what backup, restore, load and export do with one."""

import json
import subprocess
import time
from pathlib import Path

import httpx

from tests.integration.running import command, running

PATIENT = {"resourceType": "Patient", "id": "1", "name": [{"family": "Able"}]}


def _run(name: str, folder: Path, *arguments: str | Path, status: int = 0) -> tuple[str, str]:
    done = subprocess.run(command(name, *arguments, "--data-dir", folder), capture_output=True, text=True, timeout=120)
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout.strip(), done.stderr


def test_tenants_live_without_a_server_and_with_several_workers(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    once, said = _run("tenants", folder, "create", "clinic", "--display", "The clinic")
    assert len(once) == 20 and "/t/clinic/fhir" in said
    assert _run("tenants", folder, "list")[0] == "clinic  active  The clinic"
    with running(folder, "--workers", "2") as server:
        base = server.base.replace("/fhir", "/t/clinic/fhir")
        assert httpx.put(f"{base}/Patient/1", json=PATIENT).status_code == 201
        _run("tenants", folder, "create", "other")
        for _ in range(20):  # whichever worker answers
            assert httpx.get(f"{base.replace('clinic', 'other')}/Patient").status_code == 200
        _, said = _run("tenants", folder, "create", "other", status=1)
        assert "taken" in said
        assert '"page_size": 1' in _run("tenants", folder, "set", "clinic", "--setting", "page_size=1")[0]
        _run("tenants", folder, "suspend", "clinic", "--reason", "moving house")
        time.sleep(1)
        answers = [httpx.get(f"{base}/Patient/1") for _ in range(20)]
        assert {answer.status_code for answer in answers} == {403}
        assert "moving house" in answers[0].text
        _run("tenants", folder, "export", "clinic", tmp_path / "lines")
        assert json.loads((tmp_path / "lines" / "Patient.ndjson").read_text())["id"] == "1"
        _run("tenants", folder, "resume", "clinic")
        time.sleep(1)
        assert {httpx.get(f"{base}/Patient/1").status_code for _ in range(20)} == {200}
        _, said = _run("tenants", folder, "erase", "clinic", status=1)
        assert "confirm" in said
        certificate = json.loads(_run("tenants", folder, "erase", "clinic", "--confirm", "clinic")[0])
        assert certificate["resources"] == 1 and certificate["bytesLeft"] == 0
        assert not (folder / "tenants" / "clinic").exists()
        assert {httpx.get(f"{base}/Patient/1").status_code for _ in range(20)} == {404}
        assert "Traceback" not in server.log.read_text()


def test_one_tenant_is_loaded_backed_up_and_restored_alone(tmp_path: Path) -> None:
    folder, source = tmp_path / "data", tmp_path / "patients.ndjson"
    source.write_text("".join(json.dumps(PATIENT | {"id": str(number)}) + "\n" for number in range(30)))
    _run("tenants", folder, "create", "clinic", "--own-host", "clinic.example")
    _run("load", folder, source, "--tenant", "clinic")
    _, said = _run("load", folder, source, "--tenant", "nobody", status=1)
    assert "not served" in said
    _run("backup", folder, tmp_path / "one", "--tenant", "clinic")
    _run("backup", folder, tmp_path / "all")
    _, said = _run("backup", folder, tmp_path / "none", "--tenant", "nobody", status=1)
    assert "there is no tenant 'nobody'" in said
    assert [path.name for path in (tmp_path / "one" / "tenants").iterdir()] == ["clinic"]
    elsewhere = tmp_path / "elsewhere"
    _run("restore", elsewhere, tmp_path / "one", "--tenant", "clinic")
    assert _run("tenants", elsewhere, "list")[0] == "clinic  active  -  clinic.example"
    _, said = _run("restore", elsewhere, tmp_path / "one", "--tenant", "clinic", status=1)
    assert "not an empty folder" in said
    _run("restore", tmp_path / "again", tmp_path / "all")
    for copy in (elsewhere, tmp_path / "again"):
        with running(copy) as server:
            asked = f"{server.base.replace('/fhir', '/t/clinic/fhir')}/Patient?_summary=count"
            assert httpx.get(asked).json()["total"] == 30
            assert httpx.get(f"{server.base}/Patient?_summary=count").json()["total"] == 0
    _run("export", folder, tmp_path / "out", "--tenant", "clinic")
    assert len((tmp_path / "out" / "Patient.ndjson").read_text().splitlines()) == 30
    _run("tenants", folder, "erase", "clinic", "--confirm", "clinic")
    _, said = _run("restore", folder, tmp_path / "one", "--tenant", "clinic", status=1)
    assert "was erased" in said


def test_an_erased_tenant_is_not_brought_back_by_an_old_backup_of_all(tmp_path: Path) -> None:
    folder, source = tmp_path / "data", tmp_path / "patients.ndjson"
    source.write_text(json.dumps(PATIENT) + "\n")
    for name in ("clinic", "other"):
        _run("tenants", folder, "create", name)
        _run("load", folder, source, "--tenant", name)
    _run("backup", folder, tmp_path / "all")
    _run("tenants", folder, "erase", "clinic", "--confirm", "clinic")
    _, said = _run("restore", tmp_path / "again", tmp_path / "all", "--erasures", folder / "erasures.ndjson")
    assert "clinic: the tenant was erased, and is again" in said
    assert [path.name for path in sorted((tmp_path / "again" / "tenants").iterdir())] == ["default", "other"]
    listed = _run("tenants", tmp_path / "again", "list")[0].splitlines()
    assert [line.split()[:2] for line in listed] == [["clinic", "erased"], ["other", "active"]]

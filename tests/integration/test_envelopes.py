"""Keys of patients as an operator meets them: an erasure that reaches into older backups, and damage that is told."""

import json
import shutil
import time
from pathlib import Path

import httpx

from fhir_server.settings import Settings
from fhir_server.storage.sqlite.connection import connect
from tests.integration.running import running
from tests.integration.test_encryption import ON, _ready, _run

NAME = "Kowalskiewicz"


def _people(base: str) -> None:
    """Two patients with an observation and a Provenance each, and a custom search parameter."""
    with httpx.Client(base_url=base, timeout=60) as http:
        parameter = {
            "resourceType": "SearchParameter", "id": "mood", "url": "http://example.org/mood", "name": "mood",
            "status": "active", "description": "mood", "code": "mood", "base": ["Patient"], "type": "token",
            "expression": "Patient.extension.where(url='http://example.org/mood').value",
        }  # fmt: skip
        http.put("/SearchParameter/mood", json=parameter).raise_for_status()
        for id_ in ("a", "b"):
            mood = [{"url": "http://example.org/mood", "valueCode": "calm"}]
            named = {"resourceType": "Patient", "id": id_, "name": [{"family": f"{NAME}{id_}"}], "extension": mood}
            http.put(f"/Patient/{id_}", json=named).raise_for_status()
            seen = {
                "resourceType": "Observation", "id": f"o-{id_}", "status": "final", "code": {"text": "x"},
                "subject": {"reference": f"Patient/{id_}"}, "note": [{"text": f"{NAME}{id_}"}],
            }  # fmt: skip
            http.put(f"/Observation/o-{id_}", json=seen).raise_for_status()


def _found(base: str, query: str) -> set[str]:
    bundle = httpx.get(f"{base}/{query}", timeout=60).raise_for_status().json()
    return {entry["resource"]["id"] for entry in bundle.get("entry", ())}


def test_an_erasure_reaches_into_the_backups_made_before_it(tmp_path: Path) -> None:
    folder, copy, keys, safe = (tmp_path / name for name in ("data", "backup", "keys", "safe.txt"))
    apart = (*ON, "--patient-keys-copy", str(keys))
    _ready(folder, safe)
    with running(folder, *apart) as server:
        _people(server.base)
        _run("backup", copy, "--data-dir", folder, *apart)
        certificate = json.loads(_run("privacy", "erase", "b", "--data-dir", folder, *apart))
        assert certificate["outcome"] == "erased" and certificate["keyDestroyed"] is True
        assert "patient keys" in _run("keys", "status", "--data-dir", folder, *apart)
    for lost in (folder, tmp_path / "data.patient-keys"):
        shutil.rmtree(lost)
    (tmp_path / "data.master.key").unlink()

    again = tmp_path / "again"  # an empty machine: the backup, the recovery key, the newest copy of patient keys
    _run("restore", copy, "--data-dir", again, *apart, "--recovery-file", safe)  # without the register of erasures
    with running(again, *apart) as server:
        assert _found(server.base, f"Patient?family={NAME}a") == {"a"}
        assert _found(server.base, "Patient?mood=calm") == {"a"}
        assert _found(server.base, "Observation?patient=Patient/a") == {"o-a"}
        assert _found(server.base, f"Patient?_content={NAME}a") == {"a"}
        assert _found(server.base, "Patient") == {"a"}
        for gone in ("Patient/b", "Observation/o-b", "Observation/o-b/_history/1"):
            assert httpx.get(f"{server.base}/{gone}").status_code == 410
        assert httpx.put(f"{server.base}/Patient/b", json={"resourceType": "Patient", "id": "b"}).status_code == 201


def test_a_damaged_body_is_an_outcome_that_says_so_and_an_event_of_the_audit(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    _ready(folder, tmp_path / "safe.txt")
    with running(folder, *ON) as server:
        _people(server.base)
    settings = Settings(data_dir=folder, encryption="on")
    connection = connect(folder / "tenants" / "default" / "record.db", settings, writer=True)
    sql = "SELECT b.pid, b.data FROM body b JOIN resource r ON r.pid=b.pid WHERE r.id='o-b'"
    pid, data = connection.execute(sql).fetchall()[0]
    connection.execute("UPDATE body SET data=? WHERE pid=?", (data[:-1] + bytes([data[-1] ^ 1]), pid))
    connection.close()
    with running(folder, *ON, "--audit", "on") as server:
        answer = httpx.get(f"{server.base}/Observation/o-b")
        assert answer.status_code == 500
        issue = answer.json()["issue"][0]
        assert answer.json()["resourceType"] == "OperationOutcome" and "is damaged" in issue["diagnostics"]
        assert NAME not in answer.text
        assert httpx.get(f"{server.base}/Observation/o-a").status_code == 200
        time.sleep(0.5)
        bundle = httpx.get(f"{server.base}/AuditEvent?_count=50").raise_for_status().json()
        events = [entry["resource"] for entry in bundle["entry"]]
        alarms = [event for event in events if any(code["code"] == "alarm" for code in event.get("subtype", ()))]
        assert len(alarms) == 1 and "damaged-store" in json.dumps(alarms[0])
        assert "Observation/o-b" in json.dumps(alarms[0]) and "Patient/b" in json.dumps(alarms[0])
        failed = [event for event in events if event["outcome"] == "8" and "HTTP 500" in json.dumps(event)]
        assert any("Observation/o-b" in json.dumps(event) for event in failed)

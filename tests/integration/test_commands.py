"""The commands, as an operator runs them: on a live server and on a folder that nobody owns."""

import json
import lzma
import os
import signal
import sqlite3
import subprocess
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.integration.running import Running, command, running

PATIENT = {"resourceType": "Patient", "name": [{"family": "Load"}]}


def _run(name: str, folder: Path, *arguments: str | Path, status: int = 0) -> str:
    """Run a command; return what it wrote to stderr."""
    done = subprocess.run(
        command(name, "--data-dir", folder, *arguments), capture_output=True, text=True, timeout=180, cwd=folder.parent
    )
    assert done.returncode == status, done.stderr
    return done.stderr


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _sources(folder: Path) -> Path:
    """Four kinds of files: a transaction, NDJSON packed, a single resource, a collection. 8 resources."""
    sources = folder / "sources"
    (sources / "deep").mkdir(parents=True)
    urn = "urn:uuid:7b8f3d5e-3b1c-4c0e-8d3a-111111111111"
    observation = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": urn},
        "valueQuantity": {"value": 1, "unit": "kg"},
    }
    entries = [
        {"fullUrl": urn, "resource": PATIENT, "request": {"method": "POST", "url": "Patient"}},
        {"resource": observation, "request": {"method": "POST", "url": "Observation"}},
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    text = json.dumps(bundle).replace('"value": 1,', '"value": 1.20,')
    (sources / "transaction.json").write_text(text)
    basics = [{"resourceType": "Basic", "id": f"b{number}", "code": {"text": "x"}} for number in range(3)]
    (sources / "deep" / "basics.ndjson.xz").write_bytes(lzma.compress("\n".join(map(json.dumps, basics)).encode()))
    (sources / "single.json").write_text(json.dumps({**PATIENT, "id": "single"}))
    collection = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": PATIENT}, {"resource": PATIENT}],
    }
    (sources / "collection.json").write_text(json.dumps(collection))
    return sources


def _exported(folder: Path, target: Path) -> dict[str, set[str]]:
    _run("export", folder, target)
    return {path.name: set(map(_settled, path.read_text().splitlines())) for path in target.glob("*.ndjson")}


def _settled(line: str) -> str:
    """A resource without what the server writes into it, its numbers as they were written."""
    resource = json.loads(line, parse_float=str)
    resource.pop("meta", None)
    return json.dumps(resource, sort_keys=True)


def test_what_is_loaded_exported_and_loaded_elsewhere_is_the_same(tmp_path: Path) -> None:
    said = _run("load", tmp_path / "one", _sources(tmp_path))
    assert said.splitlines() == ["8 resources loaded, 0 refused, 0 files unreadable"]
    first = _exported(tmp_path / "one", tmp_path / "first")
    assert {name: len(lines) for name, lines in first.items()} == {
        "Basic.ndjson": 3,
        "Observation.ndjson": 1,
        "Patient.ndjson": 4,
    }
    (observation,) = first["Observation.ndjson"]
    assert '"value": "1.20"' in observation
    assert json.loads(observation)["subject"]["reference"].startswith("Patient/")
    with running(tmp_path / "two") as server:
        _run("load", server.folder, tmp_path / "first")
        assert _exported(server.folder, tmp_path / "second") == first
        _run("export", server.folder, tmp_path / "packed", "--gzip", "--type", "Basic")
        assert [path.name for path in (tmp_path / "packed").iterdir()] == ["Basic.ndjson.gz"]
        assert not list(tmp_path.rglob("*.part"))


def test_a_load_says_what_it_refused_and_why(tmp_path: Path) -> None:
    lines = [
        json.dumps({"resourceType": "Basic", "id": "good", "code": {"text": "x"}}),
        json.dumps({"resourceType": "Basic", "id": "bad", "code": {"text": 5}}),
        '{"resourceType": "Basic", ',
        json.dumps({"resourceType": "Nonsense", "id": "x"}),
    ]
    (tmp_path / "mixed.ndjson").write_text("\n".join(lines))
    entry = {"resource": {"resourceType": "Patient", "shoe": 42}, "request": {"method": "POST", "url": "Patient"}}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    (tmp_path / "whole.json").write_text(json.dumps(bundle))
    (tmp_path / "broken.json").write_text("{")
    files = [tmp_path / name for name in ("mixed.ndjson", "whole.json", "broken.json")]
    said = _run("load", tmp_path / "data", *files, "--report", tmp_path / "report.ndjson", status=1)
    assert "1 resources loaded, 4 refused, 1 files unreadable" in said
    assert "broken.json" in said
    report = {(Path(row["file"]).name, row["entry"]): row for row in _lines(tmp_path / "report.ndjson")}
    assert set(report) == {("mixed.ndjson", 1), ("mixed.ndjson", 2), ("mixed.ndjson", 3), ("whole.json", None)}
    assert "resource.code.text" in json.dumps(report["mixed.ndjson", 1])
    assert "shoe" in json.dumps(report["whole.json", None])


def test_a_load_that_is_killed_goes_on_and_writes_nothing_twice(tmp_path: Path) -> None:
    many = 6_000
    with (tmp_path / "many.ndjson").open("w") as stream:
        for number in range(many):
            stream.write(json.dumps({"resourceType": "Basic", "code": {"text": f"n{number}"}}) + "\n")
    with running(tmp_path / "data") as server:
        arguments = command("load", "--data-dir", server.folder, tmp_path / "many.ndjson")
        killed = 0
        for _ in range(20):
            load = subprocess.Popen(arguments, cwd=tmp_path, stderr=subprocess.DEVNULL)
            before = _count(server)
            while load.poll() is None and _count(server) == before:
                time.sleep(0.02)
            if load.poll() is not None:
                break
            load.kill()
            load.wait()
            killed += 1
        assert killed > 1
        assert _run("load", server.folder, tmp_path / "many.ndjson")
        assert _count(server) == many
        texts = {json.loads(line)["code"]["text"] for line in _export_text(server, tmp_path).splitlines()}
        assert texts == {f"n{number}" for number in range(many)}
        _run("load", server.folder, "--again", tmp_path / "many.ndjson")
        assert _count(server) == many


def _count(server: Running) -> int:
    answer = httpx.get(f"{server.base}/Basic?_summary=count", timeout=60)
    return int(answer.json()["total"])


def _export_text(server: Running, folder: Path) -> str:
    _run("export", server.folder, folder / "out")
    return (folder / "out" / "Basic.ndjson").read_text()


def test_a_load_without_a_server_shuts_other_owners_out_and_ends_its_own(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps({**PATIENT, "id": "one"}))
    _run("load", tmp_path / "data", tmp_path / "one.json")
    assert not [one for one in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(one.info["cmdline"] or [])]
    with running(tmp_path / "data") as server:
        assert httpx.get(f"{server.base}/Patient/one").is_success


class _Writer(threading.Thread):
    """Writes resources one after the other until told to stop."""

    def __init__(self, base: str) -> None:
        super().__init__(daemon=True)
        self.base, self.written, self.done = base, 0, threading.Event()

    def run(self) -> None:
        with httpx.Client(timeout=60) as client:
            while not self.done.is_set():
                body = {"resourceType": "Basic", "id": f"w{self.written}", "code": {"text": "x"}}
                client.put(f"{self.base}/Basic/w{self.written}", json=body).raise_for_status()
                self.written += 1


def test_a_backup_of_a_busy_server_is_one_instant_and_restores_elsewhere(tmp_path: Path) -> None:
    with running(tmp_path / "data") as server:
        _run("load", server.folder, _sources(tmp_path))
        writer = _Writer(server.base)
        writer.start()
        time.sleep(0.5)
        before = writer.written
        _run("backup", server.folder, tmp_path / "copy")
        after = writer.written + 1
        writer.done.set()
        writer.join()
        assert "not an empty folder" in _run("backup", server.folder, tmp_path / "copy", status=1)
        assert "in use by" in _run("restore", server.folder, tmp_path / "copy", status=1)
        patients = httpx.get(f"{server.base}/Patient").json()["total"]
    assert "not an empty folder" in _run("restore", tmp_path / "data", tmp_path / "copy", status=1)
    _run("restore", tmp_path / "elsewhere", tmp_path / "copy")
    with running(tmp_path / "elsewhere") as again:
        found = {line["id"] for line in map(json.loads, _export_text(again, tmp_path).splitlines())}
        written = sorted(int(id_[1:]) for id_ in found if id_.startswith("w"))
        assert written == list(range(len(written)))
        assert before <= len(written) <= after
        assert httpx.get(f"{again.base}/Patient").json()["total"] == patients
        assert httpx.get(f"{again.base}/Basic/w0/_history").json()["total"] == 1


def test_a_backup_that_was_changed_is_not_restored(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps({**PATIENT, "id": "one"}))
    _run("load", tmp_path / "data", tmp_path / "one.json")
    _run("backup", tmp_path / "data", tmp_path / "copy")
    record = next((tmp_path / "copy").rglob("record.db"))
    record.write_bytes(record.read_bytes()[:-1] + b"!")
    assert "record.db" in _run("restore", tmp_path / "other", tmp_path / "copy", status=1)
    assert not list((tmp_path / "other").rglob("record.db"))
    assert "not a backup" in _run("restore", tmp_path / "other", tmp_path, status=1)


def test_reindex_makes_rows_anew_on_a_live_server_and_on_a_folder_alone(tmp_path: Path) -> None:
    _run("load", tmp_path / "data", _sources(tmp_path))
    _run("reindex", tmp_path / "data")
    with running(tmp_path / "data") as server:
        _run("reindex", server.folder, "--type", "Patient")
        assert httpx.get(f"{server.base}/Patient?family=load&_summary=count").json()["total"] == 4
        assert "Nonsense" in _run("reindex", server.folder, "--type", "Nonsense", status=1)


def test_a_store_of_a_newer_release_is_refused_in_words_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps({**PATIENT, "id": "one"}))
    _run("load", tmp_path / "data", tmp_path / "one.json")
    with closing(sqlite3.connect(next((tmp_path / "data").rglob("record.db")))) as record, record:
        (before,) = record.execute("SELECT value FROM meta WHERE key='format'").fetchone()
        record.execute("UPDATE meta SET value=999 WHERE key='format'")
    for name, arguments in (("serve", ["--port", "0"]), ("export", [tmp_path / "out"])):
        said = _run(name, tmp_path / "data", *arguments, status=1)
        assert "has format 999" in said and "newer release" in said
        assert "Traceback" not in said
    with closing(sqlite3.connect(next((tmp_path / "data").rglob("record.db")))) as record, record:
        record.execute("UPDATE meta SET value=? WHERE key='format'", (before,))
    _run("export", tmp_path / "data", tmp_path / "out")
    assert (tmp_path / "out" / "Patient.ndjson").exists()


def test_a_worker_that_is_killed_is_replaced(tmp_path: Path) -> None:
    with running(tmp_path / "data", "--workers", "2") as server:
        workers = psutil.Process(server.process.pid).children()
        assert len(workers) == 3  # two, and the one for the feed and jobs
        os.kill(workers[0].pid, signal.SIGKILL)
        assert all(httpx.get(f"{server.base}/metadata", timeout=30).is_success for _ in range(5))
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and len(_alive(server) - {worker.pid for worker in workers}) < 1:
            time.sleep(0.1)
        assert len(_alive(server)) == 3
        assert all(httpx.get(f"{server.base}/metadata", timeout=30).is_success for _ in range(20))


def _alive(server: Running) -> set[int]:
    children = psutil.Process(server.process.pid).children()
    return {child.pid for child in children if child.status() != psutil.STATUS_ZOMBIE}


def test_workers_end_when_their_owner_is_killed(tmp_path: Path) -> None:
    with running(tmp_path / "data", "--workers", "2") as server:
        workers = psutil.Process(server.process.pid).children()
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        _, alive = psutil.wait_procs(workers, timeout=20)
        assert not alive


def test_serve_says_how_to_use_it_and_that_it_is_open(tmp_path: Path) -> None:
    with running(tmp_path / "data", demo=True) as server:
        time.sleep(0.5)
        said = server.log.read_text()
        assert "\033[31;1mOPEN:" in said
        assert f"FHIR R4 at {server.base}" in said
        line = next(line for line in said.splitlines() if "curl" in line)
        shown = subprocess.run(line[line.index("curl") :], shell=True, capture_output=True)
        assert json.loads(shown.stdout)["resourceType"] == "Bundle"
        assert httpx.get(f"{server.base}/Patient/demo-20").is_success


def test_a_wrong_setting_is_wrong_usage(tmp_path: Path) -> None:
    assert "port" in _run("serve", tmp_path / "data", "--port", "123456", status=2)
    assert "neither.json" in _run("load", tmp_path / "data", tmp_path / "neither.json", status=1)

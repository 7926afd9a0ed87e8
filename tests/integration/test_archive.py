"""The archive as an operator uses it: a server that is killed, a restore to an instant, a drill."""

import asyncio
import json
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from fhir_server.app import create_app
from fhir_server.cli import main
from fhir_server.serving.supervisor import as_operator
from fhir_server.settings import Settings
from tests.integration.running import Running, command, start


async def answers(folder: Path, *paths: str) -> list[httpx.Response]:
    """What a server on a restored folder says to its operator."""
    app = create_app(Settings(data_dir=folder, auth="none", reserve_bytes=0))
    app.background = False
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=as_operator(app))
        async with httpx.AsyncClient(transport=transport, base_url="http://restored.invalid") as client:
            return [await client.get(f"/fhir/{path}") for path in paths]


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def put(server: Running, id_: str, **elements: object) -> None:
    resource = {"resourceType": "Patient", "id": id_, **elements}
    answer = httpx.put(f"{server.base}/Patient/{id_}", json=resource, timeout=30)
    assert answer.is_success, answer.text


def erase(server: Running, id_: str) -> None:
    answer = httpx.post(f"{server.base}/Patient/{id_}/$erase", json={"resourceType": "Parameters"}, timeout=30)
    deadline = time.monotonic() + 30
    while httpx.get(f"{server.base}/Patient/{id_}", timeout=30).is_success and time.monotonic() < deadline:
        time.sleep(0.1)
    assert answer.is_success, answer.text


def shipped(archive: Path, after: float) -> None:
    """Wait until the archive has all that was committed by a time."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        alive = archive / "alive.json"
        if alive.exists() and json.loads(alive.read_text()).get("complete_until", 0) > after:
            return
        time.sleep(0.05)
    raise AssertionError("the archive stays behind")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """An archive of a server that was killed, and the instant before an erasure and a later write."""
    folder = tmp_path_factory.mktemp("pitr")
    target = folder / "archive"
    server = start(folder / "data", "--backup-archive", str(target), "--backup-every", "0.2")
    try:
        put(server, "kept", name=[{"family": "Kowalska"}])
        put(server, "erased", name=[{"family": "Nowak"}])
        shipped(target, time.time())
        before = now()
        erase(server, "erased")
        put(server, "later")
        shipped(target, time.time())
    finally:
        server.kill()
    return target, before


def test_a_restore_to_an_instant_has_nothing_of_later_and_erases_again_who_was_erased(
    archive: tuple[Path, str], tmp_path: Path
) -> None:
    target, before = archive
    data = tmp_path / "again"
    half = data / "tenants" / ".restoring-default"  # of a restore that was killed
    half.mkdir(parents=True)
    (half / "record.db").write_bytes(b"half a record")
    asked = command("restore", target, "--to", before, "--data-dir", data, "--auth", "none")
    done = subprocess.run(asked, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "default: 1 patients erased again" in done.stderr and not half.exists()
    assert main(["restore", str(target), "--data-dir", str(data), "--auth", "none"]) == 1  # it holds something
    paths = ("Patient/kept", "Patient/erased", "Patient/later", "Patient?family=kowalska&_summary=count")
    found = asyncio.run(answers(data, *paths))
    assert [answer.status_code for answer in found] == [200, 410, 404, 200]
    assert found[3].json()["total"] == 1


def test_a_restore_to_an_instant_that_the_archive_does_not_reach_says_so(
    archive: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [
        "restore",
        str(archive[0]),
        "--to",
        "2999-01-01T00:00:00Z",
        "--data-dir",
        str(tmp_path / "data"),
        "--auth",
        "none",
    ]
    assert main(asked) == 0
    assert "what was committed between that and 2999-01-01T00:00:00Z is not in it" in capsys.readouterr().err


def test_a_drill_measures_leaves_nothing_behind_and_tells_by_its_status(
    archive: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, _ = archive
    asked = [
        "drill",
        "--archive",
        str(target),
        "--scratch",
        str(tmp_path),
        "--json",
        "--data-dir",
        str(tmp_path / "no"),
    ]
    assert main(asked) == 0  # with authorization on, as it is by default
    found = json.loads(capsys.readouterr().out)
    assert found["problems"] == [] and found["resources"] == 2 and 0 < found["restore"] < found["rto"]
    assert list(tmp_path.iterdir()) == []
    assert main([*asked, "--auth", "none", "--recovery-point-goal", "1"]) == 3
    assert json.loads(capsys.readouterr().out)["over"][0].startswith("RPO is")
    assert len((target / "drills.ndjson").read_text().splitlines()) == 2
    segment = next(iter(target.glob("tenants/default/2*/segments/*/*.seg")))
    kept = segment.read_bytes()
    try:
        segment.write_bytes(kept[:-10])
        assert main([*asked, "--auth", "none"]) == 1
        assert segment.name in json.loads(capsys.readouterr().out)["problems"][0]
        assert main(["backup", "verify", "--archive", str(target)]) == 1
        assert segment.name in capsys.readouterr().out
    finally:
        segment.write_bytes(kept)
    assert list(tmp_path.iterdir()) == []
    assert main(["backup", "verify", "--archive", str(target)]) == 0
    assert main(["backup", "list", "--archive", str(target), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["tenants"]["default"][0]["bases"]) == 1
    assert main(["drill", "--archive", str(tmp_path / "none")]) == 1

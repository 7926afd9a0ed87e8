"""Packages on a real server: commands, several workers, a power cut in the middle of an installation."""

import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.integration.running import Running, command, running, start
from tests.unit.packages.builders import package, profile, value_set

GZIP = {"content-type": "application/gzip"}
_ROUNDS = 8


def _many(name: str, count: int = 300) -> bytes:
    return package(name, "1.0.0", *(profile(f"{name}-{number}") for number in range(count)))


def _run(folder: Path, *arguments: str | Path, status: int = 0) -> tuple[str, str]:
    done = subprocess.run(
        [*command("packages", *arguments), "--data-dir", str(folder)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == status, done.stderr
    return done.stdout, done.stderr


def _listed(server: Running) -> dict[str, int]:
    """The packages in force and how many resources each brings."""
    answer = httpx.get(f"{server.base}/$list-packages", timeout=30).json()
    found = {}
    for each in answer.get("parameter", ()):
        parts = {part["name"]: value for part in each["part"] for key, value in part.items() if key != "name"}
        found[str(parts["name"])] = int(parts["count"])
    return found


def test_the_commands_work_on_a_live_server(tmp_path: Path) -> None:
    folder, archive, broken = tmp_path / "data", tmp_path / "a.tgz", tmp_path / "broken.tgz"
    archive.write_bytes(package("a", "1.0.0", value_set("v", "x"), dependencies={"b": "1.0.0"}))
    broken.write_bytes(b"junk")
    with running(folder):
        _, said = _run(folder, "install", archive, broken, status=1)
        assert "a#1.0.0 installed: 1 ValueSet" in said
        assert "a#1.0.0 depends on what is not installed: b#1.0.0" in said
        assert "broken.tgz: the package cannot be used: it is not whole gzip data" in said
        assert _run(folder, "list")[0] == "a#1.0.0  1 resources\n  misses b#1.0.0\n"
        archive.write_bytes(package("a", "1.0.0"))
        assert "other content" in _run(folder, "install", archive, status=1)[1]
        assert "a#1.0.0 replaced: no resources" in _run(folder, "install", archive, "--replace")[1]
        assert "a#1.0.0 removed" in _run(folder, "remove", "a#1.0.0")[1]
        assert "not installed" in _run(folder, "remove", "a#1.0.0", status=1)[1]


def test_the_commands_work_on_a_folder_that_nobody_owns(tmp_path: Path) -> None:
    (tmp_path / "archives").mkdir()
    (tmp_path / "archives" / "a.tgz").write_bytes(package("a", "1.0.0", value_set("v", "x")))
    assert "a#1.0.0 installed: 1 ValueSet" in _run(tmp_path / "data", "install", tmp_path / "archives")[1]
    assert _run(tmp_path / "data", "list")[0] == "a#1.0.0  1 resources\n"


def test_a_wrong_command_says_what_is_wrong(tmp_path: Path) -> None:
    assert "install what?" in _run(tmp_path / "data", "install", status=1)[1]
    assert "nowhere.tgz is no package" in _run(tmp_path / "data", "install", tmp_path / "nowhere.tgz", status=1)[1]


def test_two_workers_both_have_it_within_a_second_and_after_a_backup(tmp_path: Path) -> None:
    with running(tmp_path / "data", "--workers", "2") as server:
        data = package("a", "1.0.0", value_set("v", "x"))
        for _ in range(20):  # whichever worker answers: both have looked once
            assert _code_in(server) == 400
        assert httpx.post(f"{server.base}/$install-package", content=data, headers=GZIP).status_code == 200
        time.sleep(1.1)
        assert {_code_in(server) for _ in range(40)} == {200}
        backup = subprocess.run(
            [*command("backup", tmp_path / "copy"), "--data-dir", str(server.folder)], capture_output=True, timeout=60
        )
        assert backup.returncode == 0, backup.stderr
    restored = subprocess.run(
        [*command("restore", tmp_path / "copy"), "--data-dir", str(tmp_path / "again")], capture_output=True, timeout=60
    )
    assert restored.returncode == 0, restored.stderr
    with running(tmp_path / "again") as server:
        assert _code_in(server) == 200


def _code_in(server: Running) -> int:
    """Search by the package's value set on a connection of its own, so that any worker may answer."""
    return httpx.get(f"{server.base}/Observation?code:in=http://example.org/ValueSet/v").status_code


@pytest.mark.slow
def test_a_kill_in_the_middle_of_an_installation_leaves_all_or_nothing(tmp_path: Path) -> None:
    seen = set()
    server = start(tmp_path / "data", logs=tmp_path)
    for number in range(_ROUNDS):
        thread = threading.Thread(target=_install_quietly, args=(server.base, _many(f"p{number}")), daemon=True)
        thread.start()
        time.sleep(0.01 * 2**number)
        server.kill()
        thread.join(30)
        server = start(tmp_path / "data", logs=tmp_path)
        found = _listed(server)
        assert set(found.values()) <= {300}
        seen.add(f"p{number}" in found)
        answer = httpx.post(f"{server.base}/$install-package", content=_many(f"p{number}"), headers=GZIP, timeout=30)
        assert answer.status_code == 200, answer.text
        assert _listed(server)[f"p{number}"] == 300
    server.stop()
    assert seen == {True, False}, "every kill came too early or too late to say anything"


def _install_quietly(base: str, data: bytes) -> None:
    with suppress(httpx.TransportError):  # the server is killed meanwhile
        httpx.post(f"{base}/$install-package", content=data, headers=GZIP, timeout=30)

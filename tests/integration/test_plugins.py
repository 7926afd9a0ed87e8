"""Plugins that misbehave in a real server: named, broken off, switched off; everybody else is served."""

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.integration.running import Running, command, running

_FOLDER = Path(__file__).parent / "plugins"
_FLAGS = ("--plugins-dir", str(_FOLDER), "--watchdog", "2")


def _hang(server: Running, how: str) -> httpx.Response | None:
    try:
        return httpx.get(f"{server.base}/$hang", params={"how": how}, timeout=60)
    except httpx.TransportError:
        return None


@pytest.mark.parametrize("how", ["sleep", "loop"])
def test_what_blocks_the_loop_is_named_and_broken_off(tmp_path: Path, how: str) -> None:
    with running(tmp_path / "data", *_FLAGS) as server:
        began = time.monotonic()
        answer = _hang(server, how)
        assert answer is not None
        assert answer.status_code == 500
        assert time.monotonic() - began < 5
        assert httpx.get(f"{server.base}/Patient", timeout=10).status_code == 200
        assert "plugin hanging blocks the event loop" in server.log.read_text()
        assert "hanging/plugin.py" in server.log.read_text()


def test_other_workers_go_on_and_a_deaf_one_is_replaced(tmp_path: Path) -> None:
    with running(tmp_path / "data", *_FLAGS, "--workers", "2") as server, ThreadPoolExecutor() as pool:
        hung = pool.submit(_hang, server, "deaf")
        until = time.monotonic() + 12
        served = 0
        while time.monotonic() < until:
            try:
                served += httpx.get(f"{server.base}/metadata", timeout=3).is_success
            except httpx.TransportError:
                time.sleep(0.1)  # this connection fell to the worker that hangs
        assert served > 20
        assert hung.result() is None
        assert "cannot be broken off" in server.log.read_text()
        assert "starting another" in server.log.read_text()
        for _ in range(10):
            assert httpx.get(f"{server.base}/metadata", timeout=10).is_success


def test_one_that_throws_is_counted_shown_and_switched_off_without_a_restart(tmp_path: Path) -> None:
    with running(tmp_path / "data", *_FLAGS, "--workers", "2") as server:
        answer = _hang(server, "throw")
        assert answer is not None
        assert answer.status_code == 500
        assert "the name of a patient" not in answer.text + server.log.read_text()
        _plugins(server, "disable", "hanging")
        deadline = time.monotonic() + 5
        while True:
            statuses = {httpx.get(f"{server.base}/$hang?how=no").status_code for _ in range(8)}
            if statuses == {503} or time.monotonic() > deadline:
                break
        assert statuses == {503}
        assert "off" in _plugins(server, "status")
        _plugins(server, "enable", "hanging")
        time.sleep(1.5)
        assert {httpx.get(f"{server.base}/$hang?how=no").status_code for _ in range(8)} == {200}


def test_one_apart_takes_nobody_with_it(tmp_path: Path) -> None:
    with running(tmp_path / "data", *_FLAGS, "--plugins-apart", "hanging") as server, ThreadPoolExecutor() as pool:
        assert _eventually(server, "count").json()["parameter"] == [{"name": "done", "valueBoolean": True}]
        assert httpx.get(f"{server.base}/Basic?_summary=count").json()["total"] == 1
        refused = _hang(server, "refuse")
        assert refused is not None
        assert (refused.status_code, refused.json()["issue"][0]["expression"]) == (404, ["http.how"])
        hung = pool.submit(_hang, server, "sleep")
        assert all(httpx.get(f"{server.base}/Basic", timeout=2).is_success for _ in range(20))
        broken = hung.result()
        assert broken is not None
        assert broken.status_code == 500
        died = _hang(server, "die")
        assert died is not None
        assert died.status_code == 503
        assert httpx.get(f"{server.base}/Basic", timeout=2).is_success
        assert _eventually(server, "no").status_code == 200


def test_one_that_needs_the_process_of_the_server_cannot_run_apart(tmp_path: Path) -> None:
    folder = Path(__file__).parents[1] / "plugins" / "platform" / "installed"
    flags = ("--plugins-dir", str(folder), "--plugins-apart", "probe", "--data-dir", str(tmp_path))
    done = subprocess.run(command("plugins", "check", *flags), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "probe cannot run apart" in done.stderr


def _eventually(server: Running, how: str) -> httpx.Response:
    until = time.monotonic() + 30
    while True:
        answer = _hang(server, how)
        if answer is not None and answer.status_code != 503:
            return answer
        assert time.monotonic() < until
        time.sleep(0.2)


def _plugins(server: Running, *arguments: str) -> str:
    flags = ("--data-dir", str(server.folder), "--plugins-dir", str(_FOLDER))
    done = subprocess.run(command("plugins", *arguments, *flags), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout

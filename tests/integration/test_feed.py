"""The change feed on real servers: processes that are killed, tenants that are written while nobody looks."""

import json
import signal
import subprocess
import time
from collections import Counter
from contextlib import ExitStack
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.integration.running import Running, command, running

INSTALLED = Path(__file__).parent / "installed"
OTHERS = ",".join(point.name for point in entry_points(group="fhir_server.plugins"))
PLUGINS = ("--plugins-dir", str(INSTALLED), *(("--plugins-disabled", OTHERS) if OTHERS else ()))


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the plugin notes what it sees."""
    monkeypatch.setenv("NOTES_OUT", str(tmp_path))
    return tmp_path


def _lines(out: Path, name: str) -> list[str]:
    file = out / name
    return file.read_text().splitlines() if file.exists() else []


def _until(condition: Any, within: float = 90) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _bundle(start: int, count: int) -> dict[str, Any]:
    entries = [
        {
            "resource": {"resourceType": "Patient", "id": f"p{number}"},
            "request": {"method": "PUT", "url": f"Patient/p{number}"},
        }
        for number in range(start, start + count)
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _put(server: Running, id_: str, tenant: str = "", **members: Any) -> None:
    base = server.base.replace("/fhir", f"/t/{tenant}/fhir") if tenant else server.base
    body = {"resourceType": "Patient", "id": id_, **members}
    httpx.put(f"{base}/Patient/{id_}", json=body, timeout=30).raise_for_status()


def _feed(out: Path, *arguments: str) -> Any:
    done = subprocess.run(
        [*command("feed", *arguments), "--data-dir", str(out / "data"), "--json"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _background(out: Path) -> psutil.Process:
    """The process that noted last."""
    return psutil.Process(int(_lines(out, "notes")[-1].split()[0]))


@pytest.mark.slow
def test_a_process_killed_in_the_middle_of_a_batch_loses_nothing(out: Path) -> None:
    with running(out / "data", *PLUGINS, "--workers", "2") as server:
        for start in range(0, 1_000, 250):
            httpx.post(server.base, json=_bundle(start, 250), timeout=60).raise_for_status()
        _until(lambda: len(_lines(out, "notes")) > 300)
        killed = _background(out)
        killed.send_signal(signal.SIGKILL)
        _until(lambda: len({line.split()[2] for line in _lines(out, "notes")}) == 1_000)
        lines = [line.split() for line in _lines(out, "notes")]
        assert {pid for pid, *_ in lines} > {str(killed.pid)}
        twice = [each for each, times in Counter(change for _, _, change, _ in lines).items() if times > 1]
        assert len(twice) < 500  # what came in the quarter of a second before is given again, not more
        _put(server, "after")
        _until(lambda: _lines(out, "notes")[-1].split()[2] == "Patient/after/_history/1")


@pytest.mark.slow
def test_a_server_killed_whole_goes_on_where_it_was(out: Path) -> None:
    with running(out / "data", *PLUGINS) as server:
        httpx.post(server.base, json=_bundle(0, 500), timeout=60).raise_for_status()
        _until(lambda: len(_lines(out, "notes")) > 50)
        server.kill()
    with running(out / "data", *PLUGINS):
        _until(lambda: len({line.split()[2] for line in _lines(out, "notes")}) == 500)


@pytest.mark.slow
def test_one_process_alone_runs_consumers_and_schedule(out: Path) -> None:
    with running(out / "data", *PLUGINS, "--workers", "2") as server:
        for number in range(50):
            _put(server, f"p{number}")
        _until(lambda: len(_lines(out, "notes")) >= 50)
        _until(lambda: len(_lines(out, "ticks")) >= 2)
    pids = {line.split()[0] for name in ("notes", "ticks") for line in _lines(out, name)}
    assert len(pids) == 1
    assert len(_lines(out, "notes")) == 50


@pytest.mark.slow
def test_workers_that_lead_in_turn_take_over_at_once(out: Path) -> None:
    with running(out / "data", *PLUGINS, "--workers", "2", "--background", "inside") as server:
        _put(server, "before")
        _until(lambda: _lines(out, "notes"))
        leader = _background(out)
        leader.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        while True:
            try:
                _put(server, "after")
                break
            except httpx.TransportError:  # the connection went to the one that was killed
                continue
        _until(lambda: any("after" in line for line in _lines(out, "notes")), 5)
        assert time.monotonic() - killed < 2
        assert _lines(out, "notes")[-1].split()[0] != str(leader.pid)


@pytest.mark.slow
def test_a_heavy_consumer_does_not_slow_requests_of_other_processes(out: Path) -> None:
    with running(out / "data", *PLUGINS, "--workers", "2") as server, ExitStack() as stack:
        _put(server, "p0")
        clients = [stack.enter_context(httpx.Client(timeout=60)) for _ in range(12)]
        for client in clients:  # connections to both workers
            client.get(f"{server.base}/Patient/p0").raise_for_status()
        (out / "heavy").touch()
        _put(server, "p1")
        time.sleep(0.5)
        times = []
        for client in clients:
            began = time.perf_counter()
            client.get(f"{server.base}/Patient/p0").raise_for_status()
            times.append(time.perf_counter() - began)
        assert max(times) < 0.8, times  # one turn of the loop of the heavy one takes a second


@pytest.mark.slow
def test_poison_waits_and_operators_see_pause_and_replay(out: Path) -> None:
    quick = ("--feed-retry-first", "0.1", "--feed-retry-longest", "0.2", "--feed-retry-for", "2")
    with running(out / "data", *PLUGINS, *quick) as server:
        for id_ in ("a", "b", "poison", "c"):
            _put(server, id_)
        _until(lambda: len(_lines(out, "picky")) == 3)
        _until(lambda: _feed(out, "dead"))
        letter = _feed(out, "dead")[0]
        assert (letter["resource"], letter["reason"]) == ("Patient/poison", "ValueError: poison")
        assert {each["name"]: each["dead"] for each in _feed(out, "status")}["notes.picky"] == 1
        (out / "antidote").touch()
        _feed(out, "replay", "notes.picky", letter["id"])
        _until(lambda: len(_lines(out, "picky")) == 4)
        assert _feed(out, "dead") == []
        _feed(out, "pause", "notes.picky")
        _until(lambda: {each["name"]: each["state"] for each in _feed(out, "status")}["notes.picky"] == "paused")
        _put(server, "d")
        time.sleep(0.5)
        assert len(_lines(out, "picky")) == 4
        _feed(out, "resume", "notes.picky")
        _until(lambda: len(_lines(out, "picky")) == 5)
    assert "ValueError: poison" not in server.log.read_text()  # messages may quote values of patients


@pytest.mark.slow
def test_tenants_that_are_closed_are_opened_when_they_are_written(out: Path) -> None:
    made = subprocess.run(
        [*command("tenants", "create", "clinic"), "--data-dir", str(out / "data"), *PLUGINS],
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert made.returncode == 0, made.stderr
    with running(out / "data", *PLUGINS, "--workers", "2", "--feed-linger", "1", "--tenant-idle", "1") as server:
        _put(server, "one", "clinic")
        _until(lambda: any("clinic Patient/one" in line for line in _lines(out, "notes")))
        time.sleep(4)
        _put(server, "two", "clinic")
        _until(lambda: any("clinic Patient/two" in line for line in _lines(out, "notes")))


@pytest.mark.slow
def test_nothing_to_do_costs_nothing(out: Path) -> None:
    with running(out / "data", *PLUGINS, "--workers", "2") as server:
        _put(server, "p")
        _until(lambda: _lines(out, "notes"))
        time.sleep(2)
        process = _background(out)
        before = sum(process.cpu_times()[:2])
        time.sleep(10)
        assert sum(process.cpu_times()[:2]) - before < 0.2  # ten ticks of its schedule are in this


@pytest.mark.slow
def test_a_tenant_that_is_suspended_or_erased_is_let_go(out: Path) -> None:
    def tenants(*arguments: str) -> None:
        done = subprocess.run(
            [*command("tenants", *arguments), "--data-dir", str(out / "data"), *PLUGINS],
            capture_output=True,
            text=True,
            timeout=90,
        )
        assert done.returncode == 0, done.stderr

    tenants("create", "clinic")
    with (
        running(out / "data", *PLUGINS, "--workers", "2", "--feed-linger", "600", "--auth", "smart") as server,
        httpx.Client(transport=httpx.HTTPTransport(uds=str(out / "data/fhir.sock")), base_url="http://local") as base,
    ):
        body = {"resourceType": "Patient", "id": "one"}
        base.put("/t/clinic/fhir/Patient/one", json=body, timeout=30).raise_for_status()
        _until(lambda: any("clinic Patient/one" in line for line in _lines(out, "notes")))
        leader = _background(out)
        files = [each.path for each in leader.open_files() if "tenants/clinic" in each.path]
        assert files  # it is kept open
        tenants("suspend", "clinic")
        _until(lambda: not [each for each in leader.open_files() if "tenants/clinic" in each.path], 60)
        tenants("resume", "clinic")
        base.put("/t/clinic/fhir/Patient/two", json={**body, "id": "two"}, timeout=30).raise_for_status()
        _until(lambda: any("clinic Patient/two" in line for line in _lines(out, "notes")))
        tenants("erase", "clinic", "--confirm", "clinic")
        _until(lambda: not [each for each in leader.open_files() if "tenants/clinic" in each.path], 60)
        assert not (out / "data/tenants/clinic").exists()
        assert server.process.poll() is None

"""What must hold when things break: power cuts, full disks, second owners, clients that stall, hostile bodies."""

import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.integration.running import Running, command, free_port, running, start

_JSON = {"content-type": "application/fhir+json"}
_ROUNDS = 20


def _pair(number: int) -> dict[str, object]:
    """A transaction of two resources that belong together."""
    entries = [
        {
            "resource": {"resourceType": "Basic", "id": f"{half}-{number}", "code": {"text": "x"}},
            "request": {"method": "PUT", "url": f"Basic/{half}-{number}"},
        }
        for half in ("left", "right")
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


class _Writer(threading.Thread):
    """Writes pairs until the server is gone; remembers which were acknowledged."""

    def __init__(self, base: str, first: int, step: int) -> None:
        super().__init__(daemon=True)
        self.base, self.number, self.step = base, first, step
        self.acknowledged: list[int] = []

    def run(self) -> None:
        with httpx.Client(timeout=10) as client:
            while True:
                try:
                    answer = client.post(self.base, json=_pair(self.number), headers=_JSON)
                except httpx.TransportError:
                    return
                assert answer.status_code == 200, answer.text
                self.acknowledged.append(self.number)
                self.number += self.step


def _ids(server: Running) -> set[str]:
    ids: set[str] = set()
    url: str | None = f"{server.base}/Basic?_count=1000&_elements=id"
    while url is not None:
        bundle = httpx.get(url, timeout=60).json()
        ids |= {entry["resource"]["id"] for entry in bundle.get("entry", ())}
        url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), None)
    return ids


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_kill_9_loses_nothing_acknowledged_and_leaves_no_half_transaction(tmp_path: Path, workers: int) -> None:
    acknowledged: set[int] = set()
    first = 0
    for round_ in range(_ROUNDS // 2):
        server = start(tmp_path / "data", "--workers", str(workers))
        writers = [_Writer(server.base, first + place, 3) for place in range(3)]
        for writer in writers:
            writer.start()
        time.sleep(0.3 + 0.05 * round_)
        server.kill()
        for writer in writers:
            writer.join(20)
            acknowledged |= set(writer.acknowledged)
        first = 1 + max(writer.number + writer.step for writer in writers)
    with running(tmp_path / "data") as server:
        ids = _ids(server)
    assert len(acknowledged) > 50
    assert not [number for number in acknowledged if f"left-{number}" not in ids]
    assert {name[5:] for name in ids if name.startswith("left-")} == {
        name[6:] for name in ids if name.startswith("right-")
    }


def test_a_second_server_on_one_folder_is_refused_with_the_address_of_the_first(tmp_path: Path) -> None:
    with running(tmp_path / "data") as server:
        arguments = ["--data-dir", str(tmp_path / "data"), "--port", str(free_port())]
        second = subprocess.run(command("serve", *arguments), capture_output=True, text=True, timeout=60)
        assert second.returncode == 1
        assert server.base.removesuffix("/fhir") in second.stderr
        assert httpx.get(f"{server.base}/metadata").is_success


def test_a_taken_port_is_refused_with_its_address(tmp_path: Path) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        arguments = ["--data-dir", str(tmp_path / "data"), "--port", str(sock.getsockname()[1])]
        done = subprocess.run(command("serve", *arguments), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert f"127.0.0.1:{arguments[-1]}" in done.stderr


def test_without_authorization_it_listens_on_loopback_only(tmp_path: Path) -> None:
    arguments = ["--data-dir", str(tmp_path / "data"), "--auth", "none"]
    arguments += ["--host", "0.0.0.0"]  # what must be refused
    done = subprocess.run(command("serve", *arguments), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "loopback" in done.stderr


def test_sigterm_finishes_what_is_under_way(tmp_path: Path) -> None:
    server = start(tmp_path / "data", "--workers", "2")
    writer = _Writer(server.base, 0, 1)
    writer.start()
    time.sleep(0.5)
    assert server.stop() == 0
    writer.join(20)
    assert writer.acknowledged
    with running(tmp_path / "data") as again:
        assert {f"left-{number}" for number in writer.acknowledged} <= _ids(again)


def test_clients_that_stall_do_not_hold_up_others(tmp_path: Path) -> None:
    """Many connections send half a request or read nothing of a large answer; others are answered as ever."""
    with running(tmp_path / "data") as server:
        _fill(server, 400)
        host, port = server.base.removeprefix("http://").removesuffix("/fhir").split(":")
        stalled = [socket.create_connection((host, int(port))) for _ in range(60)]
        for place, sock in enumerate(stalled):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            if place % 2:
                sock.sendall(b"GET /fhir/Basic?_count=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            else:
                sock.sendall(
                    b"POST /fhir HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/fhir+json\r\n"
                    b"Content-Length: 99\r\n\r\n{"
                )
        begun = time.monotonic()
        for _ in range(20):
            assert httpx.get(f"{server.base}/Basic/left-1", timeout=10).is_success
        assert time.monotonic() - begun < 5
        for sock in stalled:
            sock.close()


def _fill(server: Running, count: int) -> None:
    for number in range(count // 2):
        httpx.post(server.base, json=_pair(number), headers=_JSON, timeout=30).raise_for_status()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 48 MB of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(disk)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_full_disk_refuses_writes_and_goes_on_reading(small_disk: Path, tmp_path: Path) -> None:
    with running(small_disk / "data", logs=tmp_path) as server:
        httpx.post(server.base, json=_pair(1), headers=_JSON).raise_for_status()
        text = "x" * 1_000_000
        answers = [_put_large(server, number, text) for number in range(40)]
        statuses = {answer.status_code for answer in answers}
        assert statuses <= {201, 503, 507} and len(statuses) > 1, statuses
        refused = next(answer for answer in answers if answer.status_code != 201)
        assert refused.json()["resourceType"] == "OperationOutcome"
        assert httpx.get(f"{server.base}/Basic/left-1").is_success
        kept = {f"large-{number}" for number, answer in enumerate(answers) if answer.is_success}
        assert _ids(server) == kept | {"left-1", "right-1"}
    with running(small_disk / "data", logs=tmp_path) as again:
        assert _ids(again) == kept | {"left-1", "right-1"}
        assert again.log.stat().st_size < 10_000


def test_a_new_store_on_a_disk_that_is_nearly_full_answers_and_refuses_writes(small_disk: Path, tmp_path: Path) -> None:
    (small_disk / "others").write_bytes(b"x" * 35_000_000)
    with running(small_disk / "data", logs=tmp_path) as server:
        assert httpx.get(f"{server.base}/Basic?_summary=count").json()["total"] == 0
        refused = httpx.put(f"{server.base}/Basic/a", json={"resourceType": "Basic", "id": "a", "code": {"text": "x"}})
        assert refused.status_code == 507
        (small_disk / "others").unlink()
        again = httpx.put(f"{server.base}/Basic/a", json={"resourceType": "Basic", "id": "a", "code": {"text": "x"}})
        assert again.status_code == 201


def _put_large(server: Running, number: int, text: str) -> httpx.Response:
    body = {"resourceType": "Basic", "id": f"large-{number}", "code": {"text": text}}
    return httpx.put(f"{server.base}/Basic/large-{number}", json=body, headers=_JSON, timeout=60)


def test_hostile_bodies_are_answered_at_once_and_nothing_of_them_is_stored(tmp_path: Path) -> None:
    nested = b'{"resourceType":"Basic","code":' + b'{"extension":[' * 300 + b"{}" + b"]}" * 300 + b"}"
    wrong = {
        b"{": 400,
        b"[]": 400,
        b'{"resourceType":"Basic","code":{"text":"a"},"code":{"text":"b"}}': 400,
        b'{"resourceType":"Basic","code":{"text":"\xff"}}': 400,
        b'{"resourceType":"Basic","code":{"text":"\\u0000"}}': 400,
        b'{"resourceType":"Patient"}': 400,
        b'{"resourceType":"Basic","code":{"text":null}}': 422,
        nested: 400,
    }
    with running(tmp_path / "data") as server:
        for body, status in wrong.items():
            begun = time.monotonic()
            answer = httpx.post(f"{server.base}/Basic", content=body, headers=_JSON)
            assert answer.status_code == status, (body[:60], answer.text[:300])
            assert answer.json()["issue"][0]["diagnostics"]
            assert time.monotonic() - begun < 1
        huge = json.dumps({"resourceType": "Basic", "code": {"text": "x" * 120_000_000}}).encode()
        assert httpx.post(f"{server.base}/Basic", content=huge, headers=_JSON, timeout=60).status_code == 413
        assert httpx.get(f"{server.base}/Basic?_summary=count").json()["total"] == 0

"""The audit of a real server: what a kill leaves, and the commands that verify and export it."""

import asyncio
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import apsw
import httpx
import pytest

from fhir_server.audit.events import event_of
from fhir_server.settings import Settings
from fhir_server.storage.sqlite.reader import Reader
from tests.integration.running import Running, command, start

_WITHIN = 0.1
"""Seconds after which a read is on the disk."""


async def busy(base: str, seconds: float, answered: dict[str, float]) -> None:
    """Write and read without a pause; note the request ids of all that is answered, and when it was."""
    async with httpx.AsyncClient(base_url=base, timeout=30) as client:

        async def work(number: int) -> None:
            at = 0
            while True:
                at += 1
                method, name = ("PUT", "w") if at % 2 else ("GET", "r")
                id_ = f"{name}-{number}-{at}"
                body = {"resourceType": "Patient", "id": f"p{number}", "multipleBirthInteger": at}
                headers = {"x-request-id": id_}
                try:
                    answer = await client.request(
                        method, f"/Patient/p{number}", json=body if method == "PUT" else None, headers=headers
                    )
                except httpx.TransportError:
                    return  # it was killed
                assert answer.is_success, answer.text
                answered[id_] = time.monotonic()

        await asyncio.wait([asyncio.ensure_future(work(number)) for number in range(8)], timeout=seconds)


async def recorded(folder: Path) -> set[str]:
    """Return the request ids that the audit has."""
    reader = Reader(folder / "tenants" / "default", Settings(data_dir=folder))
    entries = await reader.audit.span(1, await reader.audit.size())
    reader.close()
    return {event_of(entry).request for entry in entries}


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_kill_loses_no_audit_of_an_answered_write(tmp_path: Path, workers: str) -> None:
    server = start(tmp_path / "data", "--audit", "on", "--workers", workers)
    answered: dict[str, float] = {}
    try:
        load = asyncio.ensure_future(busy(server.base, 30, answered))
        await asyncio.sleep(3)
        killed = time.monotonic()
        server.kill()
        await load
    finally:
        server.process.kill()
        server.process.wait()
    found = await recorded(server.folder)
    writes = {id_ for id_ in answered if id_.startswith("w")}
    old_reads = {id_ for id_, at in answered.items() if id_.startswith("r") and at < killed - _WITHIN}
    assert len(writes) > 100
    assert len(old_reads) > 100
    assert writes - found == set()
    assert old_reads - found == set()


def audit(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command("audit", *arguments, "--data-dir", folder), capture_output=True, text=True)


def proof(base: str, operation: str) -> dict[str, Any]:
    answer = httpx.get(f"{base}/AuditEvent/{operation}", timeout=30)
    assert answer.status_code == 200, answer.text
    values: dict[str, Any] = {}
    for part in answer.json()["parameter"]:
        values.setdefault(part["name"], []).append(next(v for k, v in part.items() if k.startswith("value")))
    return values


@pytest.fixture
def served(tmp_path: Path) -> Running:
    """A server with a few events, stopped; the line of its head lies beside its folder."""
    server = start(tmp_path / "data", "--audit", "on")
    try:
        for number in range(20):
            httpx.put(f"{server.base}/Patient/p{number}", json={"resourceType": "Patient", "id": f"p{number}"})
        (tmp_path / "heads.jsonl").write_text(proof(server.base, "$tree-head")["line"][0] + "\n")
        assert audit(server.folder, "verify").returncode == 0
        assert server.stop() == 0
    finally:
        server.process.kill()
        server.process.wait()
    return server


def test_a_sound_log_is_verified_and_exported(served: Running, tmp_path: Path) -> None:
    result = audit(served.folder, "verify", "--heads", str(tmp_path / "heads.jsonl"))
    assert (result.returncode, result.stdout) == (0, "")
    assert "all is as it was" in result.stderr
    rows = [json.loads(line) for line in audit(served.folder, "export").stdout.splitlines()]
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    audit(served.folder, "export", "--fhir", "--out", str(tmp_path / "events.ndjson"))
    events = [json.loads(line) for line in (tmp_path / "events.ndjson").read_text().splitlines()]
    assert {event["resourceType"] for event in events} == {"AuditEvent"}
    assert len(events) == len(rows)


def test_a_row_that_was_changed_or_cut_off_is_named(served: Running, tmp_path: Path) -> None:
    connection = apsw.Connection(str(served.folder / "tenants" / "default" / "record.db"))
    connection.execute("DELETE FROM audit WHERE seq=7; UPDATE audit SET time=time-1 WHERE seq=9")
    result = audit(served.folder, "verify", "--heads", str(tmp_path / "heads.jsonl"))
    assert result.returncode == 1
    assert "row 7 is missing" in result.stdout
    connection.execute("DELETE FROM audit WHERE seq>12; DELETE FROM record WHERE key LIKE '0000%'")
    connection.close()
    result = audit(served.folder, "verify", "--heads", str(tmp_path / "heads.jsonl"))
    assert result.returncode == 1
    assert "are missing: the head of" in result.stdout


def test_retention_is_shown_before_it_is_set(tmp_path: Path) -> None:
    server = start(tmp_path / "data", "--audit", "on")
    try:
        for number in range(300):
            httpx.get(f"{server.base}/Patient/p{number}")
        (tmp_path / "heads.jsonl").write_text(proof(server.base, "$tree-head")["line"][0] + "\n")
    finally:
        server.kill()
    long_ago = "UPDATE audit SET time=time-5*366*86400000 WHERE seq<=280"  # as if it had been recorded then
    connection = apsw.Connection(str(server.folder / "tenants" / "default" / "record.db"))
    connection.execute(long_ago)
    connection.close()
    assert audit(server.folder, "retention").returncode != 0
    shown = audit(server.folder, "retention", "--years", "3")
    assert (shown.returncode, shown.stdout[:16]) == (0, "rows 1 to 256, o")
    assert "280 rows are older than 3 years, 24 of them wait" in shown.stderr
    assert audit(server.folder, "retention", "--years", "6").stdout == ""

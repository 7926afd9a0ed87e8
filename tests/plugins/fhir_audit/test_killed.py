"""Alerts of a real server with several workers: a kill -9 leaves none out and makes none twice."""

import asyncio
import json
import random
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conformance.smart.signing import EC, assertion, public_keys
from tests.integration.running import Running, command, start

APPS = 4
KILLS = 3
pytestmark = [pytest.mark.timeout(900), pytest.mark.slow]


def run(name: str, folder: Path, *arguments: str | Path) -> str:
    done = subprocess.run(command(name, *arguments, "--data-dir", folder), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def prepared(folder: Path) -> Path:
    """Make a data folder with patients and apps; return the file of settings."""
    patients = folder / "patients.ndjson"
    patients.write_text("".join(json.dumps({"resourceType": "Patient", "id": f"p{n}"}) + "\n" for n in range(5)))
    run("load", folder / "data", patients)
    keys = folder / "keys.json"
    keys.write_text(json.dumps(public_keys(EC)))
    for number in range(APPS):
        more = ("--kind", "asymmetric", "--grant-type", "client_credentials", "--scopes", "system/*.rs")
        run("clients", folder / "data", "add", f"app{number}", "--name", f"App {number}", "--jwks", keys, *more)
    config = folder / "server.toml"
    alerts = json.dumps(f"file:{folder / 'alerts.jsonl'}")
    config.write_text(f"[plugins.fhir_audit]\nlook_every = 1\nbulk_patients = 4\ntargets = [{alerts}]\n")
    return config


def served(folder: Path, config: Path) -> Running:
    return start(folder / "data", "--auth", "smart", "--workers", "2", "--config", str(config))


async def reads(server: Running, app: str) -> None:
    """Let an app read the data of five patients; a server that is killed meanwhile is left alone."""
    origin = server.base.removesuffix("/fhir")
    form = {
        "grant_type": "client_credentials", "scope": "system/*.rs",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": assertion(app, aud=f"{origin}/auth/token"),
    }  # fmt: skip
    async with httpx.AsyncClient(timeout=30) as http:
        answer = await http.post(f"{origin}/auth/token", data=form)
        assert answer.status_code == 200, answer.text
        headers = {"authorization": f"Bearer {answer.json()['access_token']}"}
        for number in range(5):
            assert (await http.get(f"{server.base}/Patient/p{number}", headers=headers)).status_code == 200


def told(folder: Path) -> list[dict[str, Any]]:
    path = folder / "alerts.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def exported(folder: Path, type_: str) -> list[dict[str, Any]]:
    run("export", folder / "data", folder / "exported", "--type", type_)
    files = (folder / "exported").glob(f"{type_}*.ndjson")
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


async def test_each_app_is_told_of_once_whenever_the_server_is_killed(tmp_path: Path) -> None:
    config = prepared(tmp_path)
    chance = random.Random(7)
    for number in range(KILLS):
        server = served(tmp_path, config)
        try:
            await reads(server, f"app{number}")
            await asyncio.sleep(
                0.15 + chance.random() * 2
            )  # what was read is on the disk, what follows may be anywhere
        finally:
            server.kill()
    server = served(tmp_path, config)
    try:
        await reads(server, f"app{KILLS}")
        deadline = time.monotonic() + 60
        while {alert["who"] for alert in told(tmp_path)} < {f"app:app{number}" for number in range(APPS)}:
            assert time.monotonic() < deadline, told(tmp_path)
            await asyncio.sleep(0.2)
        issues, told_of = exported(tmp_path, "DetectedIssue"), exported(tmp_path, "Communication")
    finally:
        server.stop()
    assert Counter(issue["detail"].split()[0] for issue in issues) == {f"app:app{number}": 1 for number in range(APPS)}
    assert (
        {each["id"] for each in told_of} == {each["id"] for each in issues} == {each["id"] for each in told(tmp_path)}
    )
    assert {each["meta"]["versionId"] for each in told_of} == {"1"}

"""The composition: valid, without a password, its ports on loopback, its servers with few rights."""

import json
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from fhir_server.settings import Settings

ROOT = Path(__file__).parents[3]
COMPOSE = ROOT / "deploy/compose.yaml"
MAKE = ROOT / "deploy/compose/make_env"


def compose(environment: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Docker Compose, which needs no engine for this."""
    command = [Path(sys.executable).parent / "docker-compose", "-f", COMPOSE, "--env-file", environment, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env={"PATH": "/usr/bin:/bin"})


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """Make a file of passwords."""
    subprocess.run(
        [MAKE, "https://record.example/fhir", tmp_path / ".env"], check=True, timeout=30, capture_output=True
    )
    return tmp_path / ".env"


@cache
def composed(environment: Path) -> dict[str, Any]:
    """Return the composition as Docker Compose reads it."""
    done = compose(environment, "config", "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    read: dict[str, Any] = json.loads(done.stdout)
    return read


def test_each_service_is_limited_and_watched_and_its_ports_are_on_loopback(environment: Path) -> None:
    for name, service in composed(environment)["services"].items():
        assert int(service["deploy"]["resources"]["limits"]["memory"]) > 0, name
        assert "healthcheck" in service or name in ("mongodb-init", "server"), "the server's is in its image"
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert all(port["host_ip"] == "127.0.0.1" for port in service.get("ports", ())), name


def test_no_password_stands_in_it_and_nothing_starts_without(environment: Path, tmp_path: Path) -> None:
    lines = dict(line.split("=", 1) for line in environment.read_text().splitlines())
    assert all(len(value) >= 48 for name, value in lines.items() if name != "FHIR_BASE_URL")
    assert environment.stat().st_mode & 0o077 == 0
    asked = yaml.safe_load(COMPOSE.read_text())["services"]
    for service in asked.values():
        for name, value in (service.get("environment") or {}).items():
            if any(word in name for word in ("PASSWORD", "_KEY")) or "@" in value:
                assert "${" in value, name
    (tmp_path / "none").write_text("")
    refused = compose(tmp_path / "none", "config", "--quiet")
    assert refused.returncode != 0
    assert "make_env" in refused.stderr


def test_passwords_that_are_there_are_left_alone(environment: Path) -> None:
    before = environment.read_bytes()
    again = subprocess.run([MAKE, "https://other.example/fhir", environment], capture_output=True, timeout=30)
    assert again.returncode == 1
    assert environment.read_bytes() == before


def test_the_servers_are_two_with_few_rights_and_settings_that_exist(environment: Path) -> None:
    server = composed(environment)["services"]["server"]
    assert (server["read_only"], server["cap_drop"], server["deploy"]["replicas"]) == (True, ["ALL"], 2)
    known = {f"FHIR_SERVER_{name.upper()}" for name in Settings.model_fields}
    assert {name for name in server["environment"] if name.startswith("FHIR_SERVER_")} <= known
    assert composed(environment)["networks"]["record"]["internal"] is True
    given = {name[12:].lower(): value for name, value in server["environment"].items()}
    assert Settings(**given | {"trusted_proxies": given["trusted_proxies"].split(",")}).storage == "mongodb"


@pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")
def test_the_script_that_makes_the_replica_set_parses() -> None:
    subprocess.run(["node", "--check", ROOT / "deploy/compose/mongodb-init.js"], check=True, timeout=30)

"""The image: what a linter says, what goes into it, its bill of materials and its health check."""

import json
import re
import socket
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_linter_has_nothing_to_say() -> None:
    done = subprocess.run([BIN / "hadolint", ROOT / "Dockerfile"], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_extras_of_the_image_are_extras_of_the_project() -> None:
    (extras,) = re.findall(r"^ARG EXTRAS=(.+)$", DOCKERFILE, re.MULTILINE)
    assert set(extras.split(",")) <= PROJECT["optional-dependencies"].keys()
    assert "mongodb" in extras


def test_it_runs_as_a_number_that_is_not_root_and_says_what_it_is() -> None:
    last = DOCKERFILE.rsplit("\nFROM ", 1)[1]
    assert re.findall(r"^USER (.+)$", last, re.MULTILINE) == ["10001:10001"]
    for label in ("version", "revision", "created", "base.name", "base.digest", "licenses"):
        assert f"org.opencontainers.image.{label}=" in last


def test_what_the_build_copies_is_there_and_no_key_or_history_goes_to_the_engine() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    kept = [line[1:] for line in lines if line.startswith("!")]
    assert lines[1] == "*"
    assert all((ROOT / name).exists() for name in kept)
    assert not {".git", "tests", "data", "deploy", "deploy/.env"} & set(kept)
    for name in ("scripts/sbom", "deploy/healthcheck.py"):
        assert name in kept
        assert name in DOCKERFILE


def test_the_bill_of_materials_names_what_the_server_is_made_of(tmp_path: Path) -> None:
    target = tmp_path / "sbom.cdx.json"
    command = [ROOT / "scripts/sbom", BIN.parent, target, "--no-validate"]
    subprocess.run(command, check=True, timeout=60, capture_output=True)
    bill = json.loads(target.read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert (bill["metadata"]["component"]["name"], bill["metadata"]["component"]["type"]) == (
        "fhir-server",
        "application",
    )
    listed = {canonicalize_name(each["name"]): each for each in bill["components"]}
    needed = {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]}
    assert needed <= listed.keys()
    assert all(listed[name]["purl"].startswith(f"pkg:pypi/{name}@") for name in needed)
    # the schema, for some of the parts: for all of them it takes long
    some = {**bill, "components": bill["components"][:20], "dependencies": []}
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(some)) is None


@pytest.mark.parametrize(
    ("answer", "status"), [(b"HTTP/1.1 200 OK", 0), (b"HTTP/1.1 503 Busy", 1), (b"what", 1), (None, 1)]
)
def test_the_health_check_is_what_the_server_says_through_its_folder(
    tmp_path: Path, answer: bytes | None, status: int
) -> None:
    with socket.socket(socket.AF_UNIX) as door:
        if answer is not None:
            door.bind(str(tmp_path / "fhir.sock"))
            door.listen()
            threading.Thread(target=_answer, args=(door, answer), daemon=True).start()
        done = subprocess.run(
            [sys.executable, "-S", ROOT / "deploy/healthcheck.py"],
            env={"FHIR_SERVER_DATA_DIR": str(tmp_path)},
            timeout=30,
        )
    assert done.returncode == status


def _answer(door: socket.socket, answer: bytes) -> None:
    asked, _ = door.accept()
    with asked:
        assert asked.recv(1_000).startswith(b"GET /health/ready HTTP/1.1\r\n")
        asked.sendall(answer + b"\r\n\r\n")

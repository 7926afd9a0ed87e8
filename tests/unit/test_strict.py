"""FHIR_SERVER_TEST_STRICT: nothing may be left out in continuous integration but for missing public data."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_TESTS = """
import pytest

def test_without_its_data():
    pytest.skip("test data 'x' not found")

def test_without_a_tool():
    pytest.skip("node is not installed")

@pytest.mark.skipif(True, reason="never here")
def test_elsewhere():
    pass
"""


@pytest.mark.parametrize(("strict", "end"), [("", "3 skipped in"), ("1", "1 failed, 1 skipped, 1 error in")])
def test_a_skip_fails_in_strict_mode_unless_data_are_missing(tmp_path: Path, strict: str, end: str) -> None:
    (tmp_path / "test_it.py").write_text(_TESTS)
    (tmp_path / "conftest.py").write_text((Path(__file__).parents[1] / "conftest.py").read_text())
    environment = {**os.environ, "FHIR_SERVER_TEST_STRICT": strict}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        str(tmp_path),
    ]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert end in done.stdout

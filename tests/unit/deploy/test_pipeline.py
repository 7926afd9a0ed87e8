"""The pipeline: as its schema has it, with actions named by commit and few rights."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
PIPELINE = ROOT / ".github/workflows/ci.yml"


def jobs() -> dict[str, Any]:
    """Return the jobs."""
    read: dict[str, Any] = yaml.safe_load(PIPELINE.read_text())["jobs"]
    return read


def test_it_is_as_its_schema_has_it() -> None:
    command = [
        Path(sys.executable).parent / "check-jsonschema",
        "--builtin-schema",
        "vendor.github-workflows",
        PIPELINE,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def test_actions_are_named_by_commit_and_scripts_take_no_text_of_strangers() -> None:
    for job in jobs().values():
        for step in job["steps"]:
            assert "uses" not in step or re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", step["uses"])
            assert "${{" not in step.get("run", ""), "text from outside comes as a variable, not as code"


def test_jobs_have_an_end_and_the_rights_that_they_need() -> None:
    assert yaml.safe_load(PIPELINE.read_text())["permissions"] == {}
    assert {name: job["permissions"] for name, job in jobs().items()} == {
        "check": {"contents": "read"},
        "image": {"contents": "read", "id-token": "write"},
    }
    assert all(job["timeout-minutes"] <= 90 for job in jobs().values())


def test_what_it_runs_is_there_and_the_image_is_built_of_what_the_file_asks_for() -> None:
    runs = "\n".join(step.get("run", "") for job in jobs().values() for step in job["steps"])
    assert ".ci/run" in runs
    asked = set(re.findall(r"^ARG (\w+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    given = set(re.findall(r"--build-arg \"(\w+)=", runs))
    assert given <= asked
    assert asked - given == {"EXTRAS", "CYCLONEDX"}

"""The README is true: its curl lines are run against a server with demo patients and its answers compared."""

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.running import Running

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAIRS = re.findall(r"```sh\n(curl [^\n]*)\n```\n```json\n(.*?)\n```", README, re.DOTALL)
SHOWN = "http://127.0.0.1:8080/fhir"

pytestmark = pytest.mark.xdist_group("demo")


def _settled(value: Any) -> Any:
    """Leave out what differs from server to server: times of writing, and the ids of Bundles."""
    if isinstance(value, list):
        return [_settled(item) for item in value]
    if not isinstance(value, dict):
        return value
    bundle = value.get("resourceType") == "Bundle"
    return {
        name: "..." if name == "lastUpdated" or (bundle and name == "id") else _settled(item)
        for name, item in value.items()
    }


def test_the_readme_has_three_curl_lines() -> None:
    assert len(PAIRS) == 3


@pytest.mark.parametrize(("line", "answer"), PAIRS)
def test_a_curl_line_of_the_readme_gives_the_answer_it_shows(demo_server: Running, line: str, answer: str) -> None:
    words = shlex.split(line.replace(SHOWN, demo_server.base))
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    found = json.loads(done.stdout.replace(demo_server.base, SHOWN))
    assert _settled(found) == _settled(json.loads(answer))


def test_links_of_the_documentation_lead_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_every_decision_is_in_the_index() -> None:
    index = (ROOT / "docs/adr/README.md").read_text()
    for page in (ROOT / "docs/adr").glob("[0-9]*.md"):
        assert f"({page.name})" in index

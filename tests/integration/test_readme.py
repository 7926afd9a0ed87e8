"""The README is true: its curl lines are run against a server with demo patients and its answers compared."""

import json
import os
import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.running import Running, running

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


@pytest.fixture(scope="module")
def signed_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, str]]:
    """A server as `scripts/serve` starts it, and the token that it prints."""
    with running(tmp_path_factory.mktemp("smart") / "data", "--auth", "smart", demo=True) as server:
        deadline = time.monotonic() + 30
        while not (found := re.search(r"TOKEN=(\S+)", server.log.read_text())) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert found, server.log.read_text()
        yield server, found[1]


def test_the_first_start_says_how_to_sign_in(signed_in: tuple[Running, str]) -> None:
    server, token = signed_in
    said = server.log.read_text()
    assert re.search(r"Sign in as 'admin' with the password \S{20} ", said)
    line = next(line for line in said.splitlines() if "curl" in line)
    shown = subprocess.run(
        line[line.index("curl") :], shell=True, capture_output=True, env={**os.environ, "TOKEN": token}
    )
    assert json.loads(shown.stdout)["entry"]
    assert httpx.get(f"{server.base}/Patient").status_code == 401


@pytest.mark.parametrize(("line", "answer"), PAIRS)
def test_a_curl_line_of_the_readme_gives_the_answer_it_shows(
    signed_in: tuple[Running, str], line: str, answer: str
) -> None:
    demo_server, token = signed_in
    words = shlex.split(line.replace(SHOWN, demo_server.base).replace("$TOKEN", token))
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    found = json.loads(done.stdout.replace(demo_server.base, SHOWN))
    assert _settled(found) == _settled(json.loads(answer))


def _blocks(page: str) -> list[str]:
    """Blocks of a page with curl lines that can be run as they stand."""
    found = re.findall(r"```(?:sh)?\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)
    return [block for block in found if "localhost:8080" in block and "@" not in block]


@pytest.mark.parametrize("page", ("graphql.md", "match.md", "mcp.md", "operations.md", "views.md"))
def test_curl_lines_of_a_page_are_answered_with_what_they_ask_for(signed_in: tuple[Running, str], page: str) -> None:
    server, token = signed_in
    place = server.base.removeprefix("http://").removesuffix("/fhir")
    for block in _blocks(page):
        lines = re.sub(r"(?m)^fhir-server serve.*$", "", block).replace("localhost:8080", place)
        asks = 'set -e; curl() { command curl -sS --fail -H "Authorization: Bearer $TOKEN" "$@"; }\n'
        done = subprocess.run(
            ["bash", "-c", asks + lines], capture_output=True, text=True, timeout=60, env={**os.environ, "TOKEN": token}
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()
        assert '"errors"' not in done.stdout
        assert '"isError":true' not in done.stdout


def test_links_of_the_documentation_lead_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_every_decision_is_in_the_index() -> None:
    index = (ROOT / "docs/adr/README.md").read_text()
    for page in (ROOT / "docs/adr").glob("[0-9]*.md"):
        assert f"({page.name})" in index

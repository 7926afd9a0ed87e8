"""docs/ai/README.md is true: its commands run on the demo patients, and its figures are those of the pages."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fhir_ai.inputs.ingredients import ATC_OF
from fhir_ai.settings import AiSettings

from fhir_server.serving.demo import demo_bundles
from fhir_server.testing.server import serving
from tests.plugins.only import but

DOCS = Path(__file__).parents[3] / "docs" / "ai"
PAGE = (DOCS / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"```sh\n(curl .*?)\n```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    with serving(plugins_disabled=but("fhir_ai"), real_time=True) as found:
        for bundle in demo_bundles(3):
            answer = found.client.post("/fhir", content=bundle, headers={"content-type": "application/fhir+json"})
            assert answer.status_code == 200, answer.text
        yield found


def _run(server: Any, command: str) -> str:
    words = shlex.split(command)
    url = next(word for word in words if word.startswith("localhost:8080")).removeprefix("localhost:8080")
    body = words[words.index("-d") + 1] if "-d" in words else None
    method = words[words.index("-X") + 1] if "-X" in words else "POST" if body else "GET"
    answer = server.client.request(
        method, url, content=body, headers={"content-type": "application/fhir+json"} if body else {}
    )
    assert answer.is_success, answer.text
    return str(answer.text)


def _command(*words: str) -> str:
    return next(each for each in COMMANDS if all(word in each for word in words))


def test_each_command_runs(server: Any) -> None:
    assert len(COMMANDS) == 9
    for command in COMMANDS:
        _run(server, command)


def test_the_answers_are_what_the_page_says(server: Any) -> None:
    triage = json.loads(_run(server, _command("$triage")))["parameter"]
    assert next(each["valueInteger"] for each in triage if each["name"] == "acuity") == 2
    assert sum(each["name"] == "missing" for each in triage) == 6
    risks = json.loads(_run(server, _command("Patient/demo-1/$risk-assess")))["parameter"]
    names = [each["resource"]["method"]["coding"][0]["code"] for each in risks if each["name"] == "risk"]
    assert names == ["ckd_epi_2021", "fib4"]
    assert "172 mm[Hg]" in _run(server, _command("$maternal-assess"))
    text = json.loads(_run(server, _command("$extract")))["parameter"]
    said = {part["valueString"]: each for each in text if each["name"] == "suggestion" for part in each["part"]
            if part["name"] == "text"}  # fmt: skip
    assert set(said) == {"pleural effusion", "pneumonia", "BP"}


def test_the_group_has_a_line_for_each_member(server: Any) -> None:
    _run(server, _command("-X PUT"))
    lines = _run(server, _command("Group/panel/$risk-assess")).splitlines()
    assert [json.loads(each)["parameter"][0]["valueReference"]["reference"] for each in lines] == [
        "Patient/demo-1", "Patient/demo-2",
    ]  # fmt: skip


def test_figures_are_those_of_the_pages() -> None:
    models = (DOCS / "models.md").read_text(encoding="utf-8")
    for figure in ("0.767 (0.746 to 0.786)", "0.819", "0.977 (0.964 to 0.988)", "0.876", "0.615 to 0.702"):
        assert figure in PAGE and figure in models
    assert f"[{len(ATC_OF)} names]" in (DOCS / "operations.md").read_text(encoding="utf-8")
    assert "| mean of the ten | | | | 0.900 |" in (DOCS / "extract.md").read_text(encoding="utf-8")


def test_settings_stand_in_the_tables() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in (DOCS / "operations.md", DOCS / "extract.md"))
    listed = set(re.findall(r"^\| `([a-z_]+)` \| `[^`]+` \| [A-Z]", pages, re.MULTILINE))
    assert listed >= {"group_at_once", "cached_patients", "maternal_feed", "text_characters"}
    for name in listed:
        field = AiSettings.model_fields[name]
        assert f"| `{name}` | `{field.default}` | {field.description} |" in pages

"""The pages lead where they say: links, headings, files, commands; and each page can be found from the index."""

import re
import shlex
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest

from fhir_server.commands.line import commands_of, parser_of

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("plugins/*/README.md")])
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"`((?:fhir_server|plugins|dicomweb|scripts|tests|deploy)/[\w./-]+)`")
_IN_THE_WHEEL = "fhir_server/data"


def _prose(page: Path) -> str:
    return re.sub(r"```.*?```", "", page.read_text(), flags=re.S)


@cache
def _anchors(page: Path) -> frozenset[str]:
    """Return what links to headings of a page end in, as GitHub makes it of their texts."""
    titles = re.findall(r"^#+ (.*)$", _prose(page), re.M)
    plain = (re.sub(r"\]\([^)]*\)", "", title).lower() for title in titles)
    return frozenset(re.sub(r"[^\w\- ]", "", title).strip().replace(" ", "-") for title in plain)


def _is_dead(page: Path, link: str) -> bool:
    if re.match(r"(https?|mailto):", link):
        return False
    path, _, heading = link.partition("#")
    target = page.parent / path if path else page
    return not target.exists() or bool(heading and target.suffix == ".md" and heading not in _anchors(target))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_files_that_a_page_names_are_there(page: Path) -> None:
    text = _prose(page)
    assert [link for link in _LINK.findall(text) if _is_dead(page, link)] == []
    named = [name.rstrip("/") for name in _CODE.findall(text)]
    assert [name for name in named if name != _IN_THE_WHEEL and not (ROOT / name).exists()] == []


def test_each_page_is_found_from_the_index() -> None:
    for folder, index in (("docs", "index.md"), ("docs/adr", "README.md"), ("docs/ai", "README.md")):
        text = (ROOT / folder / index).read_text()
        pages = {page.name for page in (ROOT / folder).glob("*.md")} - {index}
        assert [name for name in sorted(pages) if f"({name})" not in text] == []


@pytest.mark.parametrize("plugin", entry_points(group="fhir_server.plugins"), ids=lambda plugin: plugin.name)
def test_each_setting_of_a_plugin_stands_on_a_page(plugin: EntryPoint) -> None:
    settings = plugin.load().settings
    text = "\n".join(page.read_text() for page in PAGES)
    names = settings.model_fields if settings is not None else ()
    assert [name for name in names if not re.search(rf"`{name}[` ]|\b{name} = |\.{name}\]", text)] == []


def _commands(page: Path) -> list[list[str]]:
    """Commands that a page shows as they are typed: not those with a choice or a part left out."""
    blocks = re.findall(r"```(?:sh|bash)?\n(.*?)```", page.read_text(), re.S)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    found = [re.split(r"\s+[#<>&|]", line)[0] for line in lines if line.startswith("fhir-server ")]
    return [shlex.split(line)[1:] for line in found if not re.search(r"[\[|]|\.\.\.", line)]


def test_commands_that_pages_show_are_understood(capsys: pytest.CaptureFixture[str]) -> None:
    parser = parser_of(commands_of(()))
    shown = [(page.name, words) for page in PAGES for words in _commands(page)]
    assert len(shown) > 50
    for name, words in shown:
        try:
            parser.parse_args(words)
        except SystemExit:
            pytest.fail(f"{name}: {shlex.join(words)}: {capsys.readouterr().err}")

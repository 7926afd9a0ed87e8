"""The page of the models says what the models do."""

import argparse
import re
from pathlib import Path

from fhir_ai.models import MODELS
from fhir_ai.registry.commands import add_arguments

PAGE = (Path(__file__).resolve().parents[4] / "docs" / "ai" / "models.md").read_text(encoding="utf-8")


def test_every_model_has_a_row_with_the_figures_of_its_card() -> None:
    for name, model in MODELS.items():
        card = model.card()
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}` {model.manifest.version} |"))
        area = card["auroc"]
        assert f"{area['value']:.3f} ({area['low']:.3f} to {area['high']:.3f})" in row
        assert f"{card['comparison'][0]['auroc']['value']:.3f}" in row
        better = card["comparison"][0]["difference"]["high"] < 0
        assert (", better" in row) == better
    covered = MODELS["support2-30d"].card()["conformal"]["coverage"]
    assert f"in {100 * covered:.0f} of 100" in PAGE


def test_example_of_the_page_runs_as_it_says() -> None:
    example = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert example
    code, said = example[1].split("print(")[0], example[1].split("  # ")[1].strip()
    names: dict[str, object] = {}
    exec(code, names)
    answer = names["answer"]
    assert f"{answer.probability:.3f} {answer.flagged} {answer.possible}" == said  # type: ignore[attr-defined]


def test_what_was_left_out_is_told_with_its_figures() -> None:
    tried = {each["title"]: each["auroc"] for each in MODELS["support2-30d"].card()["tried"]}
    assert f"gives {tried['only whether anybody was asked about them']:.3f}" in PAGE
    assert f"{tried['orders not to resuscitate']:.3f}" in PAGE


def test_the_commands_of_the_page_are_those_of_the_command_line() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    lines = re.findall(r"(?:^|&& |`)fhir-server models ([^`|&#\n]*)", PAGE, re.MULTILINE)
    lines += re.findall(r"^\| `\.\.\. ([^`]*)`", PAGE, re.MULTILINE)
    asked = {parser.parse_args(line.replace("[", "").replace("]", "").split()).action for line in lines}
    assert asked == {
        "list", "register", "promote", "rollback", "stop", "retire", "performance", "keygen", "sign",
    }  # fmt: skip
